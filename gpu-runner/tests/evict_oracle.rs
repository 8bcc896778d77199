//! A slow, plain reading of the design's sections on evictors, in f64: whole matrices, full sorts, one store at a time.

use gpu_runner::random;
use serde_json::Value;

use super::evict_replay::Replay;

/// Two scores closer than this decide by rounding; the trace needs another seed then.
const GAP: f64 = 2e-6;

/// One layer of a sequence: what its stores hold, by position.
pub struct Layer<'a> {
    replay: &'a Replay,
    layer: usize,
    method: String,
    params: Value,
    seed: u64,
    /// Tokens that entered.
    seen: usize,
    prompt: usize,
    /// Per kv head: positions, ascending, and attention sums.
    pub kept: Vec<Vec<usize>>,
    sums: Vec<Vec<f64>>,
    keys: Vec<f64>,
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

fn norm(a: &[f64]) -> f64 {
    dot(a, a).sqrt()
}

fn softmax(logits: &[f64]) -> Vec<f64> {
    let max = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let total: f64 = logits.iter().map(|x| (x - max).exp()).sum();
    logits.iter().map(|x| (x - max).exp() / total).collect()
}

fn mean(rows: &[Vec<f64>]) -> Vec<f64> {
    (0..rows[0].len())
        .map(|j| rows.iter().map(|r| r[j]).sum::<f64>() / rows.len() as f64)
        .collect()
}

impl<'a> Layer<'a> {
    /// `effective` is the resolved config {method: params}.
    pub fn new(replay: &'a Replay, layer: usize, effective: &Value, prompt: usize, seed: u64) -> Layer<'a> {
        let shape = replay.shape();
        let (method, params) = effective.as_object().unwrap().iter().next().unwrap();
        let wide = |x: &[half::f16]| x.iter().map(|x| x.to_f64()).collect();
        let tokens = replay.queries[layer].len() / (shape.q_heads * shape.head_dim);
        let mut this = Layer {
            replay,
            layer,
            method: method.clone(),
            params: params.clone(),
            seed,
            seen: prompt,
            prompt,
            kept: vec![(0..prompt).collect(); shape.kv_heads],
            sums: vec![vec![0.0; tokens]; shape.kv_heads],
            keys: wide(&replay.keys(layer, 0..tokens)),
        };
        for head in 0..shape.kv_heads {
            for token in 0..prompt {
                this.accumulate(head, token, &(0..=token).collect::<Vec<_>>());
            }
        }
        if params["compress_prompt"] != false && prompt > this.count("budget") {
            this.select(true);
        }
        this
    }

    /// The next token: attended to, observed, and selected if due.
    pub fn step(&mut self) {
        let token = self.seen;
        self.seen += 1;
        for head in 0..self.kept.len() {
            self.kept[head].push(token);
            self.accumulate(head, token, &self.kept[head].clone());
        }
        let t = self.seen - self.prompt;
        let due = match self.params["evict_at"].as_str() {
            Some("step") => true,
            Some("interval") => t.is_multiple_of(self.count("interval")),
            // r_kv has no such parameter, the pyramids select once.
            None => self.method == "r_kv" && t.is_multiple_of(self.count("interval")),
            Some(_) => false,
        };
        if due && self.kept[0].len() > self.count("budget") {
            self.select(false);
        }
    }

    fn count(&self, name: &str) -> usize {
        self.params[name].as_u64().unwrap_or(0) as usize
    }

    fn number(&self, name: &str) -> f64 {
        self.params[name].as_f64().unwrap()
    }

    fn word(&self, name: &str) -> &str {
        self.params[name].as_str().unwrap_or("")
    }

    fn key(&self, head: usize, position: usize) -> &[f64] {
        let d = self.replay.shape().head_dim;
        &self.keys[(position * self.kept.len() + head) * d..][..d]
    }

    fn query(&self, q_head: usize, token: usize) -> Vec<f64> {
        let d = self.replay.shape().head_dim;
        let row = self.replay.query(self.layer, token);
        row[q_head * d..][..d].iter().map(|x| f64::from(*x)).collect()
    }

    fn group(&self, head: usize) -> std::ops::Range<usize> {
        let g = self.replay.shape().group();
        head * g..(head + 1) * g
    }

    fn logits(&self, head: usize, q_head: usize, token: usize, positions: &[usize]) -> Vec<f64> {
        let q = self.query(q_head, token);
        let scale = (q.len() as f64).sqrt();
        positions.iter().map(|p| dot(&q, self.key(head, *p)) / scale).collect()
    }

    fn accumulate(&mut self, head: usize, token: usize, positions: &[usize]) {
        let heads = self.group(head);
        let rows: Vec<_> = heads
            .map(|h| softmax(&self.logits(head, h, token, positions)))
            .collect();
        for (p, a) in positions.iter().zip(mean(&rows)) {
            self.sums[head][*p] += a;
        }
    }

    fn select(&mut self, at_prompt: bool) {
        let scores: Vec<Vec<f64>> = (0..self.kept.len()).map(|h| self.scores(h)).collect();
        let budgets = self.budgets(&scores, at_prompt);
        let one_set = self.word("heads") == "layer";
        let (sinks, recent) = (self.count("sinks"), self.recent());
        for head in 0..self.kept.len() {
            self.kept[head] = match one_set && head > 0 {
                true => self.kept[0].clone(),
                false => keep(&self.kept[head], &scores[head], budgets[head], sinks, recent),
            };
        }
    }

    fn recent(&self) -> usize {
        let last = usize::from(self.params["protect_last"] == true);
        self.count("recent").max(self.count("obs_window")).max(last)
    }

    fn budgets(&self, scores: &[Vec<f64>], at_prompt: bool) -> Vec<usize> {
        let (heads, c, w) = (self.kept.len(), self.count("budget"), self.count("obs_window"));
        let pyramid = self.method == "pyramidkv" || self.word("layers") == "pyramid";
        let base = match pyramid && at_prompt {
            true => self.pyramid(c - w),
            false => c - w,
        };
        if self.method != "ada_kv" {
            return vec![base + w; heads];
        }
        let columns = self.prompt - w;
        let mut all = Vec::new();
        for (head, scores) in scores.iter().enumerate() {
            let mut best = scores[..columns].to_vec();
            best.sort_by(|a, b| b.partial_cmp(a).unwrap());
            let share = best[..base].iter().sum::<f64>() / best.iter().sum::<f64>();
            let factor = if self.params["normalize"] == true { share } else { 1.0 };
            all.extend((0..columns).map(|j| (scores[j] * factor, j, head)));
        }
        all.sort_by(|a, b| b.0.partial_cmp(&a.0).unwrap().then(b.1.cmp(&a.1)).then(a.2.cmp(&b.2)));
        let cut = &all[(heads * base).max(1) - 1..];
        assert!(
            cut.len() < 2 || cut[0].0 == cut[1].0 || (cut[0].0 - cut[1].0) / cut[0].0 > GAP,
            "take another seed"
        );
        let counts: Vec<f64> = (0..heads)
            .map(|h| all[..heads * base].iter().filter(|x| x.2 == h).count() as f64)
            .collect();
        let alpha = self.number("alpha");
        let wish: Vec<f64> = counts.iter().map(|n| n * (1.0 - alpha) + alpha * base as f64).collect();
        if self.word("rounding") == "published" {
            let common = (base as f64 * alpha + 1e-9).floor();
            let whole = |n: &f64| (n * (1.0 - alpha) + common).round_ties_even() as usize;
            return counts.iter().map(|n| whole(n) + w).collect();
        }
        let mut whole: Vec<usize> = wish.iter().map(|x| (x + 1e-9).floor() as usize).collect();
        let mut order: Vec<usize> = (0..heads).collect();
        let left = |h: usize| ((wish[h] - whole[h] as f64) * 1000.0).round() as i64;
        order.sort_by_key(|h| (-left(*h), *h));
        let missing = heads * base - whole.iter().sum::<usize>();
        order[..missing].iter().for_each(|h| whole[*h] += 1);
        whole.iter().map(|n| n + w).collect()
    }

    fn pyramid(&self, a: usize) -> usize {
        let (layers, left) = (
            self.replay.shape().layers as i64,
            (self.prompt - self.count("obs_window")) as i64,
        );
        let (a, l) = (a as i64, self.layer as i64);
        if (self.prompt as i64) < 2 * a || layers == 1 {
            return a as usize;
        }
        let mut min = a / self.count("beta") as i64;
        let mut max = 2 * a - min;
        if max >= left {
            (max, min) = (left, 2 * a - left);
        }
        if self.word("rounding") == "published" {
            return (max - l * ((max - min) / (layers - 1))) as usize;
        }
        let cum = |l: i64| (2 * (layers - 1) * l * max - (max - min) * l * (l - 1)) / (2 * (layers - 1));
        (cum(l + 1) - cum(l)) as usize
    }

    /// One number an entry of a store; what is protected gets any.
    fn scores(&self, head: usize) -> Vec<f64> {
        let held = &self.kept[head];
        match self.method.as_str() {
            "random" => held.iter().map(|p| self.draw(head, *p)).collect(),
            "knorm" => held.iter().map(|p| -norm(self.key(head, *p))).collect(),
            "keydiff" => {
                let units: Vec<Vec<f64>> = held.iter().map(|p| unit(self.key(head, *p), 0.0)).collect();
                let anchor = mean(&units);
                units.iter().map(|u| -dot(u, &anchor) / norm(&anchor)).collect()
            }
            "h2o" => {
                let visible = self.word("normalise") == "visible";
                let by = |p: usize| if visible { (self.seen - p) as f64 } else { 1.0 };
                held.iter().map(|p| self.sums[head][*p] / by(*p)).collect()
            }
            "tova" => {
                let heads = match self.word("heads") {
                    "layer" => 0..self.replay.shape().q_heads,
                    _ => self.group(head),
                };
                let g = self.replay.shape().group();
                let rows: Vec<_> = heads
                    .map(|h| softmax(&self.logits(h / g, h, self.seen - 1, held)))
                    .collect();
                mean(&rows)
            }
            "r_kv" => self.r_kv(head),
            _ => self.snapkv(head),
        }
    }

    fn draw(&self, head: usize, position: usize) -> f64 {
        let words = [3, self.seed, self.layer as u64, head as u64, position as u64];
        f64::from(random::uniform(random::key(self.count("seed") as u64, words), 0))
    }

    fn reduce(&self, rows: &[Vec<f64>], by: &str) -> Vec<f64> {
        match by {
            "mean" => mean(rows),
            _ => (0..rows[0].len())
                .map(|j| rows.iter().map(|r| r[j]).fold(f64::NEG_INFINITY, f64::max))
                .collect(),
        }
    }

    fn pool(&self, s: &[f64]) -> Vec<f64> {
        let half = self.count("kernel") as i64 / 2;
        let at = |j: i64| usize::try_from(j).ok().and_then(|j| s.get(j)).copied();
        let around = |i: usize| (i as i64 - half..=i as i64 + half).map(at);
        (0..s.len())
            .map(|i| match self.word("pool") {
                "max" => around(i).flatten().fold(f64::NEG_INFINITY, f64::max),
                "avg" => around(i).map(|x| x.unwrap_or(0.0)).sum::<f64>() / self.count("kernel") as f64,
                _ => s[i],
            })
            .collect()
    }

    fn snapkv(&self, head: usize) -> Vec<f64> {
        let (held, w) = (&self.kept[head], self.count("obs_window"));
        let columns = held.len() - w;
        let summed = |rows: &dyn Fn(usize, &[usize]) -> Vec<f64>| {
            let mut sums = vec![0.0; columns];
            for token in self.seen - w..self.seen {
                let sees: Vec<usize> = held.iter().copied().filter(|p| *p <= token).collect();
                let a = softmax(&rows(token, &sees));
                (0..columns).for_each(|j| sums[j] += a[j]);
            }
            sums
        };
        let heads: Vec<usize> = self.group(head).collect();
        let of = |h: usize| summed(&|token, sees| self.logits(head, h, token, sees));
        let gqa = self.word("gqa");
        let scores = match self.word("gqa_at") {
            "logits" => self.pool(&summed(&|token, sees| {
                let rows: Vec<_> = heads.iter().map(|h| self.logits(head, *h, token, sees)).collect();
                self.reduce(&rows, gqa)
            })),
            "weights" => self.pool(&self.reduce(&heads.iter().map(|h| of(*h)).collect::<Vec<_>>(), gqa)),
            _ => self.reduce(&heads.iter().map(|h| self.pool(&of(*h))).collect::<Vec<_>>(), gqa),
        };
        [scores, vec![0.0; w]].concat()
    }

    fn r_kv(&self, head: usize) -> Vec<f64> {
        let (held, w) = (&self.kept[head], self.count("obs_window"));
        let columns = &held[..held.len() - w];
        let mut importance = vec![0.0; columns.len()];
        for token in self.seen - w..self.seen {
            let rows: Vec<_> = self.group(head).map(|h| self.logits(head, h, token, columns)).collect();
            let a = softmax(&self.reduce(&rows, "max"));
            (0..columns.len()).for_each(|j| importance[j] += a[j] / w as f64);
        }
        let importance = self.pool(&importance);
        let units: Vec<Vec<f64>> = held.iter().map(|p| unit(self.key(head, *p), 1e-8)).collect();
        let n = held.len();
        let mut column = vec![0.0; n];
        for i in 0..n {
            let mut row: Vec<f64> = (0..n)
                .map(|j| if i == j { 0.0 } else { dot(&units[i], &units[j]) })
                .collect();
            if let Some(j) = (0..n).rev().find(|j| *j != i && row[*j] > self.number("threshold")) {
                row[j] = 0.0;
            }
            (0..n).for_each(|j| column[j] += row[j] / n as f64);
        }
        let redundancy = softmax(&column);
        let lambda = self.number("lambda");
        let z = (0..columns.len()).map(|j| lambda * importance[j] - (1.0 - lambda) * redundancy[j]);
        z.chain(vec![0.0; w]).collect()
    }
}

fn unit(x: &[f64], small: f64) -> Vec<f64> {
    let norm = norm(x) + small;
    x.iter().map(|x| x / norm).collect()
}

/// Section 1.6, by a full sort.
fn keep(positions: &[usize], scores: &[f64], budget: usize, sinks: usize, recent: usize) -> Vec<usize> {
    let n = positions.len();
    if n <= budget {
        return positions.to_vec();
    }
    let protected = |i: &usize| positions[*i] < sinks || *i + recent >= n;
    let mut kept: Vec<usize> = (0..n).filter(protected).collect();
    let mut others: Vec<usize> = (0..n).filter(|i| !protected(i)).collect();
    others.sort_by(|a, b| scores[*b].partial_cmp(&scores[*a]).unwrap().then(b.cmp(a)));
    let room = budget - kept.len();
    if room > 0 && room < others.len() {
        let (last, next) = (scores[others[room - 1]], scores[others[room]]);
        let gap = (last - next).abs() / last.abs().max(next.abs());
        assert!(
            last == next || gap > GAP,
            "scores {last} and {next} differ by rounding; take another seed"
        );
    }
    kept.extend(&others[..room]);
    kept.sort_unstable();
    kept.into_iter().map(|i| positions[i]).collect()
}
