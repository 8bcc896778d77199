//! Tables of one layer from its keys before RoPE and its values.

use half::f16;
use rayon::prelude::*;

use super::artefact::{KeyTables, Tables, ValueTables};
use super::{lloyd, norm};
use crate::backend::cpu::sparse::kvquant::{centre, normalised, value_range};
use crate::backend::cpu::sparse::outliers::per_tail;

/// The value at `share` (0 to 1) of sorted values, linear between neighbours.
///
/// # Panics
/// If there are none.
pub fn percentile(sorted: &[f32], share: f64) -> f32 {
    let at = share * (sorted.len() - 1) as f64;
    let low = (at.floor() as usize).min(sorted.len() - 1);
    let high = (low + 1).min(sorted.len() - 1);
    let (a, b) = (f64::from(sorted[low]), f64::from(sorted[high]));
    (a + (b - a) * (at - low as f64)) as f32
}

/// A key channel: its bounds, and what lies within, normalised.
struct Channel {
    lo: f32,
    hi: f32,
    usual: Vec<f32>,
}

/// Tables of a layer: k (before RoPE) and v [tokens, kv_heads, d], sinks left out already.
///
/// # Panics
/// If there is no token.
pub fn calibrate_layer(k: &[f16], v: &[f16], kv_heads: usize, d: usize, bits: u8, sparsity: f64) -> Tables {
    let width = kv_heads * d;
    let channels: Vec<Channel> = (0..width)
        .into_par_iter()
        .map(|channel| {
            let mut column: Vec<f32> = k.iter().skip(channel).step_by(width).map(|x| x.to_f32()).collect();
            column.sort_unstable_by(f32::total_cmp);
            let lo = percentile(&column, sparsity / 2.0);
            let hi = percentile(&column, 1.0 - sparsity / 2.0);
            let (zero, range) = centre(lo, hi);
            column.retain(|x| (lo..=hi).contains(x));
            column.iter_mut().for_each(|x| *x = normalised(*x, zero, range));
            Channel { lo, hi, usual: column }
        })
        .collect();
    let by_head = |bound: fn(&Channel) -> f32| -> Vec<Vec<f32>> {
        let heads = channels.chunks(d);
        heads.map(|head| head.iter().map(bound).collect()).collect()
    };
    let (lo, hi) = (by_head(|c| c.lo), by_head(|c| c.hi));
    let (codebook, k_norm) = fit(channels.into_iter().flat_map(|c| c.usual).collect(), bits);
    let k = KeyTables {
        lo,
        hi,
        codebook,
        norm: k_norm,
    };
    let k_tail = per_tail(d, sparsity);
    let rows: Vec<Vec<f32>> = v
        .par_chunks(d)
        .map(|row| {
            let row: Vec<f32> = row.iter().map(|x| x.to_f32()).collect();
            let (chosen, zero, range) = value_range(&row, k_tail);
            let rest = row.iter().enumerate().filter(|(c, _)| chosen.binary_search(c).is_err());
            rest.map(|(_, x)| normalised(*x, zero.to_f32(), range.to_f32()))
                .collect()
        })
        .collect();
    let (codebook, v_norm) = fit(rows.into_iter().flatten().collect(), bits);
    Tables {
        k,
        v: ValueTables { codebook, norm: v_norm },
    }
}

/// Codebook and Q-Norm of normalised values.
fn fit(mut values: Vec<f32>, bits: u8) -> (Vec<f32>, super::Norm) {
    values.par_sort_unstable_by(f32::total_cmp);
    let codebook = lloyd(&values, bits);
    let norm = norm(&values, &codebook);
    (codebook, norm)
}
