//! LagKV: tokens that stand out against what comes right after them stay; no attention is read.
//!
//! Behind the first `sinks` tokens the prompt falls into partitions of `lag` tokens. Each is compared with the next one:
//! every channel of K and of V is scaled so that the next partition's minimum is 0 and its maximum is 1, and a token is
//! the more particular, the more its scaled channels differ among themselves.
//!
//! The exact rule, for T > budget C, sinks S and lag L. P = (T - S) div L partitions are whole; partition p holds
//! positions [S + pL, S + (p+1)L).
//! 1. Sinks, the last whole partition and the (T - S) mod L tokens behind it always stay: the last has no successor.
//! 2. For a token i of partition p < P - 1 and channel c: `z = (x[i][c] - min) / (max - min)`, with minimum and maximum of
//!    channel c over partition p + 1; 0 if both are equal. `s[i]` is the standard deviation of z over the d channels, with
//!    divisor d - 1. The tokens' score is softmax(s) over the partition, for K and for V, summed.
//! 3. The other C - S - L - (T - S) mod L places are shared out equally over the P - 1 partitions, one each by turns from
//!    the latest on; a partition keeps its best, and a tie goes to the later token.
//!
//! Selection happens once, per kv head, after the last prompt chunk; positions stay original. `budget > sinks + 2 lag`, so
//! that step 1 always fits. Ours differs from the published form, which keeps a fixed ratio of each partition, in that the
//! budget is a number of tokens, like that of every other evictor.
//!
//! Based on: Liang et al., "LagKV: Lag-Relative Information of the KV Cache Tells Which Tokens Are Important", arXiv
//! 2504.04704.
//!
//! Parameters: `budget` entries; `sinks` S; `lag` L, by default a quarter of the budget behind the sinks up to the paper's
//! 128.

use std::cmp::Ordering;
use std::ops::Range;

use serde_json::Value;

use super::score::schema;
use super::{
    refusal, Compressor, Eviction, HeadView, Param, ParamKind, ParamValue, Params, Reads, Rows, Spec, View, When,
};
use crate::model::Shape;
use crate::Result;

/// The method.
pub struct LagKv;

static SPEC: Spec = Spec {
    name: "lagkv",
    title: "LagKV",
    section: 0,
    params: &[
        schema::BUDGET,
        Param::new(
            "sinks",
            ParamKind::Range(0, 1024),
            ParamValue::Int(4),
            "protected first tokens",
        ),
        Param::new(
            "lag",
            ParamKind::Range(1, 65_536),
            ParamValue::Null,
            "tokens of a partition; null resolves to (budget-sinks) div 4, at least 1 and at most 128",
        ),
    ],
    evict_at: Some("prefill"),
    rules: &["budget > sinks + 2*lag"],
    identity_setting: Some("budget >= prompt length"),
    paper: Some("arXiv 2504.04704"),
    source: "LagKV: lag_kv; kvpress: lagkv_press.py",
    ..schema::EVICTOR
};

/// Above every score of a token that competes.
const ALWAYS: f32 = 2.0;

/// For tokens `part` of rows [.., d]: how far their channels, scaled by those of `next`, spread.
fn spreads(rows: &Rows<'_>, part: Range<usize>, next: Range<usize>, d: usize) -> Vec<f64> {
    let mut row = vec![0f32; d];
    let (mut min, mut max) = (vec![f32::INFINITY; d], vec![f32::NEG_INFINITY; d]);
    for i in next {
        rows.row(i, &mut row);
        min.iter_mut().zip(&row).for_each(|(m, x)| *m = m.min(*x));
        max.iter_mut().zip(&row).for_each(|(m, x)| *m = m.max(*x));
    }
    let mut scaled = vec![0f64; d];
    let mut spread = |i: usize| {
        rows.row(i, &mut row);
        for (c, z) in scaled.iter_mut().enumerate() {
            *z = match max[c] - min[c] {
                0.0 => 0.0,
                range => f64::from(row[c] - min[c]) / f64::from(range),
            };
        }
        let mean = scaled.iter().sum::<f64>() / d as f64;
        let squares = scaled.iter().map(|z| (z - mean).powi(2)).sum::<f64>();
        (squares / (d as f64 - 1.0).max(1.0)).sqrt()
    };
    part.map(&mut spread).collect()
}

/// Softmax of `x`.
fn softmax(x: &[f64]) -> impl Iterator<Item = f64> + '_ {
    let max = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let total: f64 = x.iter().map(|x| (x - max).exp()).sum();
    x.iter().map(move |x| (x - max).exp() / total)
}

/// Scores [n] of one store: of a token that competes, the share of its partition that is worse or it itself, so that a
/// joint selection takes the best of each partition by turns; of the others [`ALWAYS`].
pub fn scores(keys: &Rows<'_>, values: &Rows<'_>, n: usize, d: usize, sinks: usize, lag: usize) -> Vec<f32> {
    let mut scores = vec![ALWAYS; n];
    let whole = n.saturating_sub(sinks) / lag;
    for p in 0..whole.saturating_sub(1) {
        let part = sinks + p * lag..sinks + (p + 1) * lag;
        let next = part.end..part.end + lag;
        let of = |rows| spreads(rows, part.clone(), next.clone(), d);
        let (k, v) = (of(keys), of(values));
        let both: Vec<f32> = softmax(&k).zip(softmax(&v)).map(|(k, v)| (k + v) as f32).collect();
        if both.iter().any(|x| x.is_nan()) {
            scores[part].fill(f32::NAN);
            continue;
        }
        let mut order: Vec<usize> = (0..lag).collect();
        // Stable: of equal scores the later token is the better one.
        order.sort_by(|a, b| both[*a].partial_cmp(&both[*b]).unwrap_or(Ordering::Equal));
        for (worse, i) in order.into_iter().enumerate() {
            scores[part.start + i] = (worse + 1) as f32 / lag as f32;
        }
    }
    scores
}

impl Compressor for LagKv {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn settle(&self, params: &mut Params) {
        if params.get("lag") == Some(ParamValue::Null) {
            let quarter = (params.int("budget") - params.int("sinks")) / 4;
            params.set("lag", ParamValue::Int(quarter.clamp(1, 128)));
        }
    }

    fn check(&self, params: &Params, _shape: Option<Shape>) -> Result<()> {
        let (budget, sinks, lag) = (params.int("budget"), params.int("sinks"), params.int("lag"));
        if budget > sinks + 2 * lag {
            return Ok(());
        }
        let message = format!(
            "lagkv: budget {budget} leaves no entry to choose beside {sinks} sinks and up to two partitions of lag {lag}; it \
             must be at least {}",
            sinks + 2 * lag + 1
        );
        Err(refusal("budget_too_small", message))
    }

    fn eviction(&self, params: &Params) -> Option<Eviction> {
        let reads = Reads {
            keys: true,
            values: true,
            ..Reads::default()
        };
        Some(Eviction {
            sinks: params.count("sinks"),
            recent: params.count("lag"),
            ..schema::eviction(params, When::Prefill, reads)
        })
    }

    fn score(&self, params: &Params, view: &View<'_>) -> Vec<Vec<f32>> {
        let (d, sinks, lag) = (view.shape.head_dim, params.count("sinks"), params.count("lag"));
        let of = |h: &HeadView<'_>| scores(&h.keys, &h.values, h.positions.len(), d, sinks, lag);
        view.heads.iter().map(of).collect()
    }

    fn identity(&self) -> Option<Value> {
        schema::identity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compress::select::{select, Rule};

    /// K and V of 12 tokens, 4 channels: numpy's `default_rng(7).normal`, two decimals.
    const K: [f32; 48] = [
        0.0, 0.3, -0.27, -0.89, -0.45, -0.99, 0.06, 1.34, -0.49, -0.62, 0.49, 0.36, 0.11, -0.93, -0.03, 0.7, -1.34,
        -0.46, -1.9, -1.29, -1.84, -0.24, -1.27, 0.27, 0.16, -0.19, -2.52, -0.54, -0.05, 0.11, -1.53, -0.48, -0.98,
        -0.81, 1.06, -0.81, -0.03, 0.88, -0.58, -0.11, 0.11, 0.06, -1.23, 0.08, 1.36, -1.55, 0.86, 0.12,
    ];
    const V: [f32; 48] = [
        -0.64, 2.0, 0.76, -1.2, 0.07, 0.58, -0.19, 0.68, -0.07, 0.67, 1.44, -0.68, 0.2, -0.46, 0.13, -1.19, -0.58,
        -0.2, 0.9, 1.15, -1.32, -0.79, 0.65, -1.99, -0.46, -0.1, 1.26, 0.69, -0.33, -0.37, -0.25, 1.52, -0.43, -0.3,
        0.35, -0.12, -0.2, -1.11, -0.01, -0.44, 1.17, 0.65, -0.02, 0.67, -0.34, 1.05, -0.01, 0.58,
    ];

    fn of(k: &[f32], v: &[f32], n: usize, sinks: usize, lag: usize) -> Vec<f32> {
        let d = k.len() / n;
        scores(&Rows::Wide(k.to_vec()), &Rows::Wide(v.to_vec()), n, d, sinks, lag)
    }

    fn kept(scores: &[f32], budget: usize, sinks: usize, recent: usize) -> Vec<usize> {
        let positions: Vec<u32> = (0..scores.len() as u32).collect();
        let rule = Rule { budget, sinks, recent };
        select(rule, &positions, scores).unwrap()
    }

    /// By numpy, `((x[a:b] - lo) / (hi - lo)).std(1, ddof=1)` and softmax for K and V: tokens 1 2 3 score .89523 .44659
    /// .65818, tokens 4 5 6 score .42029 1.07584 .50386. Partition 7 8 9 has no successor.
    #[test]
    fn partitions_are_ranked_against_the_next_one() {
        let found = of(&K, &V, 12, 1, 3);
        let third = 1.0 / 3.0;
        assert_eq!(found[1..7], [1.0, third, 2.0 * third, third, 1.0, 2.0 * third]);
        assert_eq!(found[7..], [ALWAYS; 5]);
        // Three places for six tokens: the best of each, then the later of two second ones.
        assert_eq!(kept(&found, 9, 1, 3), [0, 1, 5, 6, 7, 8, 9, 10, 11]);
    }

    #[test]
    fn channels_of_one_value_say_nothing_and_ties_go_to_the_later_token() {
        let found = of(&[1.0; 40], &[0.0; 40], 10, 0, 4);
        assert_eq!(
            found,
            [0.25, 0.5, 0.75, 1.0, ALWAYS, ALWAYS, ALWAYS, ALWAYS, ALWAYS, ALWAYS]
        );
        assert_eq!(kept(&found, 9, 0, 4), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    }

    #[test]
    fn every_partition_keeps_its_share_whatever_its_scores() {
        let mut k = K.to_vec();
        // Partition 1 2 3 spreads a thousand times as far.
        k[4..16].iter_mut().for_each(|x| *x *= 1000.0);
        let found = of(&k, &V, 12, 1, 3);
        assert_eq!(kept(&found, 8, 1, 3).iter().filter(|p| (1..4).contains(*p)).count(), 1);
    }

    #[test]
    fn a_nan_is_passed_on() {
        let mut v = V.to_vec();
        v[9] = f32::NAN;
        assert!(of(&K, &v, 12, 1, 3)[1].is_nan());
    }

    #[test]
    fn budgets_without_room_are_refused() {
        let request = |budget| serde_json::json!({"lagkv": {"budget": budget, "sinks": 4, "lag": 16}});
        assert!(crate::compress::resolve(&request(37), None).is_ok());
        for (budget, lag) in [(1024, 128), (40, 9), (7, 1)] {
            let short = crate::compress::resolve(&serde_json::json!({"lagkv": {"budget": budget}}), None).unwrap();
            assert_eq!(short.effective["lagkv"]["lag"], lag);
        }
        match crate::compress::resolve(&request(36), None) {
            Err(crate::Error::Compressor { code, .. }) => assert_eq!(code, "budget_too_small"),
            other => panic!("{other:?}"),
        }
    }
}
