//! Norms and unit keys.

use crate::compress::Rows;

/// Stripes of a sum of squares: element i goes to stripe i mod 16, stripes fold 8, 4, 2, 1. A fixed order that every
/// instruction set can follow.
const STRIPES: usize = 16;

/// The Euclidean norm of one row.
pub fn norm(row: &[f32]) -> f32 {
    let mut stripes = [0f32; STRIPES];
    let chunks = row.chunks_exact(STRIPES);
    for (s, x) in stripes.iter_mut().zip(chunks.remainder()) {
        *s = x * x;
    }
    for chunk in chunks {
        for (s, x) in stripes.iter_mut().zip(chunk) {
            *s += x * x;
        }
    }
    for width in [8, 4, 2, 1] {
        for i in 0..width {
            stripes[i] += stripes[i + width];
        }
    }
    stripes[0].sqrt()
}

/// The norms [n] of rows [n, d].
pub fn norms(rows: &Rows<'_>, n: usize, d: usize) -> Vec<f32> {
    let mut row = vec![0.0; d];
    (0..n)
        .map(|i| {
            rows.row(i, &mut row);
            norm(&row)
        })
        .collect()
}

/// Rows [n, d] divided by their norm plus `small`; a zero row stays zero.
pub fn units(rows: &Rows<'_>, n: usize, d: usize, small: f32) -> Vec<f32> {
    let mut units = vec![0.0; n * d];
    for (i, row) in units.chunks_exact_mut(d).enumerate() {
        rows.row(i, row);
        let norm = norm(row) + small;
        if norm > 0.0 {
            row.iter_mut().for_each(|x| *x /= norm);
        }
    }
    units
}

/// The norms [n] of rows [n, d], and the mean [d] of the unit rows.
pub fn mean(rows: &Rows<'_>, n: usize, d: usize) -> (Vec<f32>, Vec<f32>) {
    let (mut row, mut sum) = (vec![0.0; d], vec![0f64; d]);
    let mut norms = Vec::with_capacity(n);
    for i in 0..n {
        rows.row(i, &mut row);
        let norm = norm(&row);
        if norm > 0.0 {
            sum.iter_mut().zip(&row).for_each(|(s, x)| *s += f64::from(x / norm));
        }
        norms.push(norm);
    }
    (norms, sum.iter().map(|s| (s / n as f64) as f32).collect())
}

/// The sum [d] of rows [n, d].
pub fn sum(rows: &[f32], d: usize) -> Vec<f64> {
    let mut sum = vec![0f64; d];
    for row in rows.chunks_exact(d) {
        sum.iter_mut().zip(row).for_each(|(s, x)| *s += f64::from(*x));
    }
    sum
}
