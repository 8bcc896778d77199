//! Decode attention: one query token a sequence over sealed pages and window, in one pass.
//!
//! A task is (sequence, kv head, chunk of places). It computes the chunk's scores for all query heads of the group, an
//! f32 softmax, and the weighted sum of V; chunks merge in order. Codes widen in registers. K by channel: q is scaled
//! once a group of tokens and q·minima is one scalar a group; V by token: code·scale + minimum is exact in f32. Token
//! codecs in a rotated basis: q is rotated once a task, the sum over sealed V is turned back once, and f16 entries take
//! the plain q and join the sum after that. Keys stored before RoPE are rotated in f32 to the angle of their slot.

use std::cell::Cell;

use super::super::arena::Arena;
use super::super::codec::{self, rotation};
use super::super::kv_lanes::KvLanes;
use super::super::lanes::{for_isa, LANES};
use super::super::seal::Tensor;
use super::super::sparse::widen::Reader;
use super::super::{Isa, Pool};
use super::exponent_scale;
use super::rows::{load_row, rotate, scale_queries, undo_scales, weigh, widen_codes, widen_f16};
use super::step_weights::StepWeights;
use crate::cache::{Axis, KeyForm, KvCache, LayerPlan, PageId, PageMap, Part, Rotation, SeqId, Store, WINDOW_TOKENS};
use crate::model::rope::Rope;

/// How many places before their use rows are asked for: two runs.
const AHEAD: usize = 2 * LANES;

/// Bytes of a cache line.
const LINE: usize = 64;

/// Places per task where results must not depend on the batch.
pub const CHUNK: usize = 1024;

/// Attends: q [n, q_heads, head_dim] f32, one row a sequence -> out of the same shape. `chunk` places a task (rounded
/// up to a multiple of 64): [`CHUNK`] for results that do not depend on the batch. Leaves the softmax weights in `weights`
/// if they are asked for. Returns the rows of `seqs` whose scores were not finite.
///
/// # Panics
/// If a shape does not fit, or a sequence has no entry.
#[allow(clippy::too_many_arguments)]
pub fn decode(
    pool: &Pool,
    isa: Isa,
    cache: &KvCache,
    seqs: &[SeqId],
    layer: usize,
    q: &[f32],
    chunk: usize,
    out: &mut [f32],
    mut weights: Option<&mut StepWeights>,
) -> Vec<usize> {
    if let Some(weights) = &mut weights {
        weights.resize(cache, seqs, layer);
    }
    let shape = cache.shape();
    let (d, g) = (shape.head_dim, shape.group());
    assert!(q.len() == seqs.len() * shape.q_heads * d && out.len() == q.len());
    let chunk = chunk.max(64).next_multiple_of(64);
    // Of a partial result: the maximum and the sum of every query head, then its V sums.
    let width = g * (2 + d);
    let mut tasks = Vec::new();
    let mut parts = Vec::with_capacity(seqs.len() * shape.kv_heads);
    for (row, seq) in seqs.iter().enumerate() {
        for head in 0..shape.kv_heads {
            let n = cache.store(*seq, layer, head).n;
            assert!(n > 0, "attention over an empty store");
            let first = tasks.len();
            tasks.extend(
                (0..n)
                    .step_by(chunk)
                    .map(|start| (row, head, start, n.min(start + chunk))),
            );
            parts.push(first..tasks.len());
        }
    }
    let mut partials = vec![0f32; tasks.len() * width];
    let target = Shared(partials.as_mut_ptr());
    let raw = weights.as_mut().map(|w| (Shared(w.values.as_mut_ptr()), &w.starts));
    let work = |i: usize| {
        let (row, head, start, end) = tasks[i];
        let plan = cache.plan(layer);
        let kernel = Chunk {
            arena: cache.arena(),
            store: cache.store(seqs[row], layer, head),
            head,
            plan,
            window: cache.window_map(),
            rope: (plan.layout.key_form == KeyForm::PreRope).then(|| cache.rope()),
            q: &q[(row * shape.q_heads + head * g) * d..][..g * d],
            d,
            g,
            places: start..end,
            // Task i alone writes partial i, and `partials` outlives the region.
            out: target.at(i * width),
            // Task i alone writes these places of its (row, head).
            weights: raw
                .as_ref()
                .map(|(values, starts)| values.at(starts[row * shape.kv_heads + head])),
        };
        attend_chunk(isa, &kernel);
    };
    pool.tasks(tasks.len(), &work);
    let mut bad = Vec::new();
    for ((i, range), out) in parts.into_iter().enumerate().zip(out.chunks_exact_mut(g * d)) {
        let partials = &partials[range.start * width..range.end * width];
        let mut parts = Merge {
            partials,
            d,
            g,
            out,
            chunk,
            weights: weights
                .as_mut()
                .map_or(&mut [], |w| &mut w.values[w.starts[i]..w.starts[i + 1]]),
            finite: true,
        };
        merge(isa, &mut parts);
        let row = i / shape.kv_heads;
        if !parts.finite && bad.last() != Some(&row) {
            bad.push(row);
        }
    }
    bad
}

/// A pointer that several threads offset to their own part.
struct Shared(*mut f32);

// SAFETY: the parts are disjoint; see the uses of `at`.
unsafe impl Sync for Shared {}

impl Shared {
    fn at(&self, offset: usize) -> *mut f32 {
        self.0.wrapping_add(offset)
    }
}

/// One task: out = [max g][sum g][V sums g, d], and the weights against the task's own maximum, if asked for.
struct Chunk<'a> {
    arena: &'a Arena,
    store: &'a Store,
    /// The kv head.
    head: usize,
    plan: &'a LayerPlan,
    window: &'a PageMap,
    rope: Option<&'a Rope>,
    q: &'a [f32],
    d: usize,
    g: usize,
    places: std::ops::Range<usize>,
    out: *mut f32,
    /// Of the whole store: [g, n].
    weights: Option<*mut f32>,
}

thread_local! {
    static SCRATCH: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

for_isa! {
    fn attend_chunk(chunk: &Chunk<'_>) = chunk_body
}

#[inline(always)]
unsafe fn chunk_body<L: KvLanes>(chunk: &Chunk<'_>) {
    match chunk.d {
        64 => chunk.attend::<L, 4>(),
        128 => chunk.attend::<L, 8>(),
        other => unreachable!("head dimension {other} is refused when the cache is made"),
    }
}

impl Chunk<'_> {
    /// V = head_dim / 16 vectors a row.
    #[inline(always)]
    unsafe fn attend<L: KvLanes, const V: usize>(&self) {
        let (d, g, n) = (V * LANES, self.g, self.places.len());
        // Room for a run of sixteen scores that starts at the last place.
        let stride = n.next_multiple_of(LANES) + LANES;
        let need = g * stride + LANES * d + g * d + g;
        // Taken and put back: inside a closure the kernel would be compiled without its instruction set.
        let mut scratch = SCRATCH.take();
        if scratch.len() < need {
            scratch.resize(need, 0.0);
        }
        let (scores, rest) = scratch.split_at_mut(g * stride);
        let (rows, rest) = rest.split_at_mut(LANES * d);
        let (scaled, base) = rest.split_at_mut(g * d);
        self.scores::<L, V>(scores, stride, rows, scaled, &mut base[..g]);
        self.softmax::<L>(scores, stride);
        self.values::<L, V>(scores, stride, rows);
        SCRATCH.set(scratch);
    }

    /// scores [g, stride]: exponents of 2, in order of places.
    #[inline(always)]
    unsafe fn scores<L: KvLanes, const V: usize>(
        &self,
        scores: &mut [f32],
        stride: usize,
        rows: &mut [f32],
        scaled: &mut [f32],
        base: &mut [f32],
    ) {
        let d = V * LANES;
        let scale = L::splat(exponent_scale(d));
        let mut scaled_for = usize::MAX;
        let mut place = self.places.start;
        while place < self.places.end {
            let (part, page, map, row, end) = self.run_at(place, self.store.k_paged, self.plan.layout.k);
            let tokens = end - place;
            let codes = self.arena.page_ptr(page).add(map.k_codes + row * part.row_bytes(d));
            self.prefetch::<L>(place + AHEAD, Tensor::K);
            let mut q = self.q.as_ptr();
            match part {
                Part::F16 => {
                    widen_f16::<L, V>(codes, tokens, rows);
                    if let Some(rope) = self.rope {
                        for t in 0..tokens {
                            let slot = self.store.slot(place + t, self.plan.sinks);
                            rotate::<L, V>(&mut rows[t * d..], rope.row(slot));
                        }
                    }
                }
                Part::Int { bits, axis, group } => {
                    debug_assert_eq!(axis, Axis::Channel);
                    if scaled_for != place / group {
                        scaled_for = place / group;
                        let params = self.arena.page_ptr(page).add(map.k_params + row / group * 4 * d);
                        scale_queries::<L, V>(self.q, params, scaled, base);
                    }
                    widen_codes::<L, V>(bits, codes, tokens, rows);
                    q = scaled.as_ptr();
                }
                Part::Token { codec, rotation } => {
                    if rotation != Rotation::None {
                        if scaled_for == usize::MAX {
                            scaled_for = 0;
                            scaled.copy_from_slice(self.q);
                            for q in scaled.chunks_exact_mut(d) {
                                rotation::rotate(rotation, q);
                            }
                        }
                        q = scaled.as_ptr();
                    }
                    let params = map.k_params + row * part.param_row_bytes(d);
                    let params = self.arena.page_ptr(page).add(params);
                    codec::widen::<L, V>(codec, codes, params, tokens, rows);
                }
                Part::Sparse { .. } => self.corrected(map).widen::<L, V>(Tensor::K, place, tokens, rows),
            }
            for (h, base) in base.iter().enumerate() {
                let q: [L; V] = load_row::<L, V>(q.add(h * d));
                let mut sums = [L::splat(0.0); LANES];
                // All sixteen rows: those past `tokens` hold an older run, and their scores are overwritten or masked.
                for (t, sum) in sums.iter_mut().enumerate() {
                    let row = rows.as_ptr().add(t * d);
                    let mut s = L::load(row).mul(q[0]);
                    let mut j = 1;
                    while j < V {
                        s = L::load(row.add(j * LANES)).fma(q[j], s);
                        j += 1;
                    }
                    *sum = s;
                }
                let mut score = L::sum_each(&sums);
                if let Part::Int { .. } = part {
                    score = score.add(L::splat(*base));
                }
                let at = h * stride + place - self.places.start;
                score.mul(scale).store(scores.as_mut_ptr().add(at));
            }
            place = end;
        }
    }

    /// scores become exp2(score - max), 0 past the last place; max and sum go to `out`.
    #[inline(always)]
    unsafe fn softmax<L: KvLanes>(&self, scores: &mut [f32], stride: usize) {
        let n = self.places.len();
        for h in 0..self.g {
            let scores = &mut scores[h * stride..(h + 1) * stride];
            scores[n..].fill(f32::NEG_INFINITY);
            let mut top = L::splat(f32::NEG_INFINITY);
            for at in (0..n).step_by(LANES) {
                top = L::load(scores.as_ptr().add(at)).max(top);
            }
            let mut lanes = [0.0; LANES];
            top.store(lanes.as_mut_ptr());
            let max = lanes.iter().fold(f32::NEG_INFINITY, |a, b| if a > *b { a } else { *b });
            let mut sum = L::splat(0.0);
            for at in (0..n).step_by(LANES) {
                let p = L::load(scores.as_ptr().add(at)).sub(L::splat(max)).exp2();
                p.store(scores.as_mut_ptr().add(at));
                sum = sum.add(p);
            }
            let out = self.out;
            out.add(h).write(max);
            out.add(self.g + h).write(sum.sum());
            if let Some(weights) = self.weights {
                let to = weights.add(h * self.store.n + self.places.start);
                std::ptr::copy_nonoverlapping(scores.as_ptr(), to, n);
            }
        }
    }

    /// V sums of every query head, in order of places.
    #[inline(always)]
    unsafe fn values<L: KvLanes, const V: usize>(&self, weights: &[f32], stride: usize, rows: &mut [f32]) {
        let d = V * LANES;
        let out = self.out.add(2 * self.g);
        std::slice::from_raw_parts_mut(out, self.g * d).fill(0.0);
        let mut place = self.places.start;
        let rotation = self.plan.layout.v.rotation();
        // Sealed places come first: their sum is turned back once, before f16 rows join it.
        let mut turned = rotation != Rotation::None && place < self.store.v_paged;
        while place < self.places.end {
            if turned && place >= self.store.v_paged {
                turned = false;
                self.undo::<V>(rotation, out);
            }
            let (part, page, map, row, end) = self.run_at(place, self.store.v_paged, self.plan.layout.v);
            let tokens = end - place;
            let codes = self.arena.page_ptr(page).add(map.v_codes + row * part.row_bytes(d));
            self.prefetch::<L>(place + AHEAD, Tensor::V);
            match part {
                Part::F16 => widen_f16::<L, V>(codes, tokens, rows),
                Part::Int { bits, axis, group } => {
                    debug_assert_eq!(axis, Axis::Token);
                    widen_codes::<L, V>(bits, codes, tokens, rows);
                    let params = self.arena.page_ptr(page).add(map.v_params + row * (d / group) * 4);
                    undo_scales::<L, V>(group, params, tokens, rows);
                }
                Part::Token { codec, .. } => {
                    let params = map.v_params + row * part.param_row_bytes(d);
                    let params = self.arena.page_ptr(page).add(params);
                    codec::widen::<L, V>(codec, codes, params, tokens, rows);
                }
                Part::Sparse { .. } => self.corrected(map).widen::<L, V>(Tensor::V, place, tokens, rows),
            }
            let weights = weights.as_ptr().add(place - self.places.start);
            let mut h = 0;
            let most = if L::WIDE { 16 / V } else { 1 };
            while h < self.g {
                let heads = most.min(self.g - h);
                let (w, o) = (weights.add(h * stride), out.add(h * d));
                match heads {
                    4 => weigh::<L, V, 4>(w, stride, rows, tokens, o),
                    3 => weigh::<L, V, 3>(w, stride, rows, tokens, o),
                    2 => weigh::<L, V, 2>(w, stride, rows, tokens, o),
                    _ => weigh::<L, V, 1>(w, stride, rows, tokens, o),
                }
                h += heads.min(4);
            }
            place = end;
        }
        if turned {
            self.undo::<V>(rotation, out);
        }
    }

    /// Turns V sums [g, d] back into the model's basis.
    #[inline(always)]
    unsafe fn undo<const V: usize>(&self, rotation: Rotation, out: *mut f32) {
        for h in 0..self.g {
            let sum = std::slice::from_raw_parts_mut(out.add(h * V * LANES), V * LANES);
            rotation::undo(rotation, sum);
        }
    }

    /// Reads codes with corrections.
    #[inline(always)]
    fn corrected<'b>(&'b self, map: &'b PageMap) -> Reader<'b> {
        Reader {
            arena: self.arena,
            store: &self.store.sparse,
            plan: self
                .plan
                .sparse
                .as_ref()
                .expect("a part with corrections has their plan"),
            map,
            head: self.head,
            rope: self.rope,
        }
    }

    /// Asks for the bytes of the run at `place`, if there is one: pages are scattered, and a run takes less time than
    /// a read of memory.
    #[inline(always)]
    unsafe fn prefetch<L: KvLanes>(&self, place: usize, tensor: Tensor) {
        if place >= self.places.end {
            return;
        }
        let layout = &self.plan.layout;
        let (part, page, map, row, end) = match tensor {
            Tensor::K => self.run_at(place, self.store.k_paged, layout.k),
            Tensor::V => self.run_at(place, self.store.v_paged, layout.v),
        };
        let (codes, params) = match tensor {
            Tensor::K => (map.k_codes, map.k_params),
            Tensor::V => (map.v_codes, map.v_params),
        };
        let row_bytes = part.row_bytes(self.d);
        let page = self.arena.page_ptr(page);
        for at in (0..(end - place) * row_bytes).step_by(LINE) {
            L::prefetch(page.add(codes + row * row_bytes + at));
        }
        let (from, bytes) = match part {
            Part::F16 => return,
            Part::Int {
                axis: Axis::Channel,
                group,
                ..
            } => (row / group * 4 * self.d, 4 * self.d),
            _ => {
                let bytes = part.param_row_bytes(self.d);
                (row * bytes, (end - place) * bytes)
            }
        };
        for at in (0..bytes).step_by(LINE) {
            L::prefetch(page.add(params + from + at));
        }
    }

    /// Where the entry at `place` lies, and the end of the run of at most sixteen places that lie behind it in the
    /// same segment: (part, page, map, row, end).
    #[inline(always)]
    fn run_at(&self, place: usize, paged: usize, part: Part) -> (Part, PageId, &PageMap, usize, usize) {
        // Runs end at multiples of 16 and at the border of pages and window; no run leaves its page or its group.
        let end = ((place / LANES + 1) * LANES).min(self.places.end);
        if let Some(sparse) = self.plan.sparse.as_ref().filter(|_| place < paged) {
            return sparse.run_at(&self.store.sparse, &self.plan.page, place, end.min(paged));
        }
        if place < paged {
            let tokens = self.plan.layout.page_tokens;
            let page = self.store.pages[place / tokens];
            (part, page, &self.plan.page, place % tokens, end.min(paged))
        } else {
            let (page, row) = self.store.window.at(place);
            // Rows of the window do not follow places after a drop, so a run can meet the end of a page.
            (Part::F16, page, self.window, row, end.min(place + WINDOW_TOKENS - row))
        }
    }
}

/// Merges partials of one (sequence, kv head) in order: out [g, d].
struct Merge<'a> {
    partials: &'a [f32],
    d: usize,
    g: usize,
    out: &'a mut [f32],
    chunk: usize,
    /// [g, n] against the maximum of each part; become softmax weights. Empty if not asked for.
    weights: &'a mut [f32],
    finite: bool,
}

for_isa! {
    fn merge(parts: &mut Merge<'_>) = merge_body
}

#[inline(always)]
unsafe fn merge_body<L: KvLanes>(merge: &mut Merge<'_>) {
    let (d, g) = (merge.d, merge.g);
    let width = g * (2 + d);
    for h in 0..g {
        let mut max = f32::NEG_INFINITY;
        for part in merge.partials.chunks_exact(width) {
            max = if max > part[h] { max } else { part[h] };
        }
        let mut total = 0f32;
        let out = &mut merge.out[h * d..(h + 1) * d];
        out.fill(0.0);
        for part in merge.partials.chunks_exact(width) {
            let mut weight = [0.0; LANES];
            L::splat(part[h] - max).exp2().store(weight.as_mut_ptr());
            total = part[g + h].mul_add(weight[0], total);
            for c in (0..d).step_by(LANES) {
                let o = out.as_mut_ptr().add(c);
                let v = L::load(part.as_ptr().add(2 * g + h * d + c));
                v.fma(L::splat(weight[0]), L::load(o)).store(o);
            }
        }
        merge.finite &= total.is_finite() && total > 0.0;
        for c in (0..d).step_by(LANES) {
            let o = out.as_mut_ptr().add(c);
            L::load(o).div(L::splat(total)).store(o);
        }
        let n = merge.weights.len() / g;
        for (i, part) in merge.partials.chunks_exact(width).enumerate() {
            let end = n.min((i + 1) * merge.chunk);
            for at in (n.min(i * merge.chunk)..end).step_by(LANES) {
                let w = merge.weights.as_mut_ptr().add(h * n + at);
                let scale = L::splat(part[h] - max).exp2().div(L::splat(total));
                let count = LANES.min(end - at);
                L::load_part(w, count).mul(scale).store_part(w, count);
            }
        }
    }
}
