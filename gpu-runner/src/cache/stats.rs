//! What a sequence's cache came to, and the witness: whether the compressor acted as it had to.

use serde::Serialize;

use super::layout::Layout;
use super::table::Sequence;
use super::LayerPlan;
use crate::compress::{Budget, Resolved, Selection, StepRule};
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
    /// Bytes allocated to the sequence at its end: whole pages, window, positions.
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
            bytes_end: sequence.bytes,
            bytes_peak: sequence.bytes_peak,
            bytes_f16: seen * 4 * shape.layers * shape.kv_heads * shape.head_dim,
            bytes_ideal: layouts()
                .map(|(layout, s)| {
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

fn mean(counts: &[usize]) -> f64 {
    counts.iter().sum::<usize>() as f64 / counts.len().max(1) as f64
}

fn counted(layout: &Layout, k_paged: usize, v_paged: usize) -> (usize, usize) {
    let of = |quantised, paged| if quantised { paged } else { 0 };
    (
        of(layout.k.is_quantised(), k_paged),
        of(layout.v.is_quantised(), v_paged),
    )
}

/// What must have happened to the stores of one layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    /// Entries held.
    pub held: usize,
    /// Entries with quantised K.
    pub sealed_k: usize,
    /// Entries with quantised V.
    pub sealed_v: usize,
}

/// Computes from the prompt's length, the tokens seen and the effective configuration alone what every store of a
/// layer must hold.
pub fn expected(compressor: &Resolved, layer: usize, layout: &Layout, prompt: usize, seen: usize) -> Expected {
    let budget = compressor.method.budget(&compressor.params, layer);
    let bound = |rule_drops: bool, n: usize| match budget {
        Budget::Tokens { sinks, recent } if rule_drops => n.min(sinks + recent),
        _ => n,
    };
    let selects = compressor.method.after_prefill(&compressor.params) != Selection::KeepAll;
    let steps = seen.saturating_sub(prompt);
    let after_prompt = bound(selects, prompt.min(seen));
    // One drop a step keeps a store at its bound, and below it nothing is due.
    let held = match compressor.method.after_step(&compressor.params) {
        StepRule::Nothing => after_prompt + steps,
        StepRule::Ring => bound(true, after_prompt + steps),
    };
    let (sealed_k, sealed_v) = layout.sealed(held);
    Expected {
        held,
        sealed_k,
        sealed_v,
    }
}

/// Compares what happened in a layer's store with what had to happen.
///
/// # Errors
/// `witness_failed`: a bug of the engine, never a result.
pub fn witness(compressor: &Resolved, layer: usize, had: Expected, found: Expected) -> Result<()> {
    if had == found {
        return Ok(());
    }
    let message = format!(
        "{} had to leave {} entries with {} K and {} V sealed in layer {layer}, but left {} with {} and {}; this is a \
         bug of the engine, please report it",
        compressor.effective, had.held, had.sealed_k, had.sealed_v, found.held, found.sealed_k, found.sealed_v
    );
    Err(Error::Compressor {
        code: "witness_failed",
        message,
    })
}

pub(super) fn check(sequence: &Sequence, compressor: &Resolved, shape: Shape, plans: &[LayerPlan]) -> Result<()> {
    for (i, store) in sequence.stores.iter().enumerate() {
        let layer = i / shape.kv_heads;
        let layout = &plans[layer].layout;
        let (sealed_k, sealed_v) = counted(layout, store.k_paged, store.v_paged);
        let found = Expected {
            held: store.n,
            sealed_k,
            sealed_v,
        };
        let had = expected(compressor, layer, layout, sequence.prompt, store.seen);
        witness(compressor, layer, had, found)?;
    }
    Ok(())
}
