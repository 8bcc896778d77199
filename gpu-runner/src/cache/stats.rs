//! What a sequence's cache came to, and the witness: whether the compressor acted as it had to.

use serde::Serialize;
use serde_json::{json, Value};

use super::layout::Layout;
use super::table::{Sequence, Store};
use super::LayerPlan;
use crate::compress::{Kept, PromptEnd, Resolved, When};
use crate::model::Shape;
use crate::{Error, Result};

/// The `kv` object of a sample. Counts are summed over stores.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KvStats {
    /// Tokens that entered the cache.
    pub seen: usize,
    /// Entries held at the end, mean over (layer, kv head).
    pub kept_mean: f64,
    /// The least of them.
    pub kept_min: usize,
    /// The most of them.
    pub kept_max: usize,
    /// Their mean per layer.
    pub kept_layers: Vec<f64>,
    /// Entries that the selection at the prompt's end left, where they differ by layer (a number each) or by kv head (a
    /// list each).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budgets: Option<Vec<Value>>,
    /// Bytes allocated to the sequence at its end: whole pages, window, positions, scores, queries.
    pub bytes_end: usize,
    /// The most bytes that were ever allocated to it.
    pub bytes_peak: usize,
    /// An f16 cache of the same tokens.
    pub bytes_f16: usize,
    /// Payload: f16 entries, codes, scales and minima.
    pub bytes_ideal: usize,
    /// Entries dropped.
    pub dropped: usize,
    /// Entries with quantised K.
    pub sealed_k: usize,
    /// Entries with quantised V.
    pub sealed_v: usize,
    /// Selections that dropped something.
    pub selections: usize,
    /// Decode forward of the first drop, 0 = after the prompt.
    pub first_drop: Option<usize>,
    /// Values clamped to the range of f16 on store.
    pub clamped: u64,
}

impl KvStats {
    /// Whether the compressor did anything: a cell in which it never did is inert.
    pub fn acted(&self) -> bool {
        self.dropped > 0 || self.sealed_k > 0 || self.sealed_v > 0
    }

    pub(super) fn of(sequence: &Sequence, shape: Shape, plans: &[LayerPlan]) -> KvStats {
        let stores = &sequence.stores;
        let held: Vec<usize> = stores.iter().map(|s| s.n).collect();
        let seen = stores.first().map_or(0, |s| s.seen);
        let layouts = || {
            stores
                .iter()
                .enumerate()
                .map(|(i, s)| (&plans[i / shape.kv_heads].layout, s))
        };
        let sealed = || layouts().map(|(layout, s)| counted(layout, s.k_paged, s.v_paged));
        KvStats {
            seen,
            kept_mean: mean(&held),
            kept_min: held.iter().copied().min().unwrap_or(0),
            kept_max: held.iter().copied().max().unwrap_or(0),
            kept_layers: held.chunks(shape.kv_heads).map(mean).collect(),
            budgets: budgets(stores, shape.kv_heads),
            bytes_end: sequence.bytes(),
            bytes_peak: sequence.bytes_peak,
            bytes_f16: seen * 4 * shape.layers * shape.kv_heads * shape.head_dim,
            bytes_ideal: layouts()
                .map(|(layout, s)| {
                    if let Some(sparse) = layout.sparse {
                        return sparse.payload_bytes(shape.head_dim, s.n, &s.sparse);
                    }
                    let (k, v) = counted(layout, s.k_paged, s.v_paged);
                    layout.payload_bytes(shape.head_dim, s.n, k, v)
                })
                .sum(),
            dropped: stores.iter().map(|s| s.dropped).sum(),
            sealed_k: sealed().map(|(k, _)| k).sum(),
            sealed_v: sealed().map(|(_, v)| v).sum(),
            selections: stores.iter().map(|s| s.selections).sum(),
            first_drop: stores.iter().filter_map(|s| s.first_drop).min(),
            clamped: sequence.clamped,
        }
    }
}

fn budgets(stores: &[Store], kv_heads: usize) -> Option<Vec<Value>> {
    let all: Vec<usize> = stores.iter().filter_map(|s| s.budget).collect();
    if all.len() < stores.len() || all.iter().all(|b| *b == all[0]) {
        return None;
    }
    let layers = || all.chunks_exact(kv_heads);
    let by_layer = layers().all(|heads| heads.iter().all(|b| *b == heads[0]));
    Some(
        layers()
            .map(|heads| if by_layer { json!(heads[0]) } else { json!(heads) })
            .collect(),
    )
}

fn mean(counts: &[usize]) -> f64 {
    counts.iter().sum::<usize>() as f64 / counts.len().max(1) as f64
}

fn counted(layout: &Layout, k_paged: usize, v_paged: usize) -> (usize, usize) {
    let head = layout.sparse.map_or(0, |s| s.head_tokens());
    let of = |quantised, paged: usize| if quantised { paged.saturating_sub(head) } else { 0 };
    (
        of(layout.k.is_quantised(), k_paged),
        of(layout.v.is_quantised(), v_paged),
    )
}

/// Entries that the stores of one layer hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// So many in every kv head.
    Each(usize),
    /// So many over all kv heads, at least `.0` and at most `.1`.
    Total(usize, usize),
}

/// What must have happened to the stores of one layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    /// Entries held.
    pub held: Held,
    /// Whether a selection may have taken entries of the f16 window, so that more are sealed than by the schedule.
    pub sealed_more: bool,
}

/// Computes from the prompt's length, the tokens seen and the effective configuration alone what every store of a
/// layer must hold.
pub fn expected(compressor: &Resolved, shape: Shape, layer: usize, prompt: usize, seen: usize) -> Expected {
    let layout = compressor.layout(layer, shape);
    let steps = seen.saturating_sub(prompt);
    let mut expected = Expected {
        held: Held::Each(seen),
        sealed_more: false,
    };
    let Some((evictor, eviction)) = compressor.evictor.as_ref().zip(compressor.eviction()) else {
        return expected;
    };
    let window = layout.k_flush.room().max(layout.v_flush.room());
    expected.sealed_more =
        layout.has_window() && matches!(eviction.when, When::Interval(_)) && eviction.recent < window;
    let prompt = prompt.min(seen);
    let mut n = prompt;
    if eviction.at_prompt && n > eviction.budget {
        let at = PromptEnd { shape, layer, prompt };
        match evictor.method.kept(&evictor.params, at) {
            Kept::Each(kept) => n = kept.min(n),
            Kept::Total { least, most } => {
                // A total is shared out at a prompt's end only; the stores grow from there.
                let (grown, all) = (shape.kv_heads * steps, shape.kv_heads * prompt);
                expected.held = Held::Total(least.min(all) + grown, most.min(all) + grown);
                return expected;
            }
        }
    }
    for t in 1..=steps {
        n += 1;
        if eviction.when.due(t) && n > eviction.budget {
            n = eviction.budget;
        }
    }
    expected.held = Held::Each(n);
    expected
}

/// Compares what the stores of a layer hold, (entries, sealed K, sealed V) each, with what they have to.
///
/// # Errors
/// `witness_failed`: a bug of the engine, never a result.
pub fn witness(
    compressor: &Resolved,
    layer: usize,
    layout: &Layout,
    expected: Expected,
    found: &[(usize, usize, usize)],
) -> Result<()> {
    let total: usize = found.iter().map(|f| f.0).sum();
    let held = match expected.held {
        Held::Each(n) => found.iter().all(|f| f.0 == n),
        Held::Total(least, most) => (least..=most).contains(&total),
    };
    let sealed = found.iter().all(|&(n, k, v)| {
        let (had_k, had_v) = layout.sealed(n);
        match expected.sealed_more {
            true => k >= had_k && v >= had_v,
            false => (k, v) == (had_k, had_v),
        }
    });
    if held && sealed {
        return Ok(());
    }
    let message = format!(
        "{} had to leave {:?} entries in layer {layer}, sealed on its schedule, but left (entries, sealed K, sealed V) \
         {found:?}; this is a bug of the engine, please report it",
        compressor.effective, expected.held
    );
    Err(Error::Compressor {
        code: "witness_failed",
        message,
    })
}

pub(super) fn check(sequence: &Sequence, compressor: &Resolved, shape: Shape, plans: &[LayerPlan]) -> Result<()> {
    for (layer, stores) in sequence.stores.chunks_exact(shape.kv_heads).enumerate() {
        let layout = &plans[layer].layout;
        let found: Vec<_> = stores
            .iter()
            .map(|store| {
                let (k, v) = counted(layout, store.k_paged, store.v_paged);
                (store.n, k, v)
            })
            .collect();
        let seen = stores.first().map_or(0, |s| s.seen);
        let had = expected(compressor, shape, layer, sequence.prompt, seen);
        witness(compressor, layer, layout, had, &found)?;
    }
    Ok(())
}
