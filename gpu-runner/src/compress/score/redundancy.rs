//! R-KV's redundancy: how much a key resembles the others, its nearest later copy not counted.
//!
//! With unit keys u, `S[i][j] = u_i.u_j` (0 on the diagonal). Row i forgives one entry: that of its *neighbour*, the
//! largest j with `S[i][j] > threshold`. `c[j]` is the mean of column j of what is left.
//!
//! S is never held. A column of S sums to `u_j.(sum of u) - u_j.u_j`, so only neighbours need products of pairs, and they
//! are looked for from the newest key backwards in tiles: a row that has found its neighbour takes no part in the next.

use super::unit;
use crate::compress::{Kernels, Rows};

/// Columns of a tile: the first finds the neighbour of nearly every key of a real model.
const COLUMNS: usize = 256;

/// Rows that go to the kernel at once: a tile of products is 256 KiB.
const ROWS: usize = 256;

/// What is added to a norm before it divides.
const SMALL: f32 = 1e-8;

/// For each row the largest other row whose cosine is above the threshold, with that cosine.
pub type Neighbours = Vec<Option<(usize, f32)>>;

/// The column means [n] of the cosines of keys [n, d], neighbours left out, and the neighbours.
pub fn column_means(
    kernels: &dyn Kernels,
    keys: &Rows<'_>,
    n: usize,
    d: usize,
    threshold: f32,
) -> (Vec<f32>, Neighbours) {
    let units = unit::units(keys, n, d, SMALL);
    let neighbours = neighbours(kernels, &units, d, threshold);
    let total = unit::sum(&units, d);
    let mut sums: Vec<f64> = units
        .chunks_exact(d)
        .map(|u| {
            let with = |other: f64, x: f32| f64::from(x) * (other - f64::from(x));
            u.iter().zip(&total).map(|(x, t)| with(*t, *x)).sum()
        })
        .collect();
    for (j, cosine) in neighbours.iter().flatten() {
        sums[*j] -= f64::from(*cosine);
    }
    (sums.into_iter().map(|s| (s / n as f64) as f32).collect(), neighbours)
}

/// The neighbours of unit rows [n, d].
fn neighbours(kernels: &dyn Kernels, units: &[f32], d: usize, threshold: f32) -> Neighbours {
    let n = units.len() / d;
    let mut found: Neighbours = vec![None; n];
    let mut open: Vec<usize> = (0..n).collect();
    let mut rows = Vec::new();
    let mut products = Vec::new();
    let mut end = n;
    while end > 0 && !open.is_empty() {
        let start = end.saturating_sub(COLUMNS);
        let tile = Rows::Wide(units[start * d..end * d].to_vec());
        for some in open.chunks(ROWS) {
            rows.clear();
            some.iter()
                .for_each(|i| rows.extend_from_slice(&units[i * d..(i + 1) * d]));
            products.clear();
            products.resize(some.len() * (end - start), 0.0);
            kernels.dots(&rows, &tile, end - start, 1.0, &mut products);
            for (i, row) in some.iter().zip(products.chunks_exact(end - start)) {
                let above = |j: &usize| row[j - start] > threshold && j != i;
                found[*i] = (start..end).rev().find(above).map(|j| (j, row[j - start]));
            }
        }
        open.retain(|i| found[*i].is_none());
        end = start;
    }
    found
}
