//! The low-rank correction of gear: power iteration from a seeded start.
//!
//! Matrices are lists of columns here, so that sums run along memory. Columns are rescaled by powers of two between
//! passes, which is exact and keeps ten passes over large errors in range.

use half::f16;

use super::{dot, to_f16};
use crate::random::{key, uniform};

/// First word of the keys of starting matrices.
const START: u64 = 1;

/// A column that orthogonalising leaves shorter than this share of its length was a combination of those before it.
const DEPENDENT: f64 = 1e-6;

/// Names the block whose starting matrix is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seed {
    /// The method's seed.
    pub seed: u64,
    /// Layer.
    pub layer: usize,
    /// Kv head.
    pub head: usize,
    /// 0 for K, 1 for V.
    pub tensor: u64,
    /// Which block of the store.
    pub block: usize,
}

impl Seed {
    /// The starting matrix as `r` columns of `d`: element (c, k) is uniform c * r + k.
    pub fn start(self, d: usize, r: usize) -> Vec<f32> {
        let words = [
            START,
            self.layer as u64,
            self.head as u64,
            self.tensor,
            self.block as u64,
        ];
        let key = key(self.seed, words);
        let columns = (0..r).flat_map(|k| (0..d).map(move |c| uniform(key, (c * r + k) as u64)));
        columns.collect()
    }
}

/// Q and Pm with E ~ Q Pm^T.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Factors {
    /// [n, r]: a row a token.
    pub q: Vec<f16>,
    /// [r, d]: the columns of Pm.
    pub p: Vec<f16>,
}

/// Factors of rank `r` of the error `e` [n, d], from the starting columns `p` [r, d].
///
/// # Panics
/// If shapes do not fit or `loops` is 0.
pub fn factors(e: &[f32], d: usize, r: usize, loops: usize, mut p: Vec<f32>) -> Factors {
    let n = e.len() / d;
    assert!(loops > 0 && e.len() == n * d && p.len() == r * d && r <= n && r <= d);
    if r == 0 {
        return Factors::default();
    }
    let mut q = vec![0f32; r * n];
    for pass in 0..loops {
        let last = pass + 1 == loops;
        if last {
            orthonormalise(&mut p, d);
        }
        for (p, q) in p.chunks_exact(d).zip(q.chunks_exact_mut(n)) {
            e.chunks_exact(d).zip(q).for_each(|(e, q)| *q = dot(e, p));
        }
        if last {
            orthonormalise(&mut q, n);
        }
        for (p, q) in p.chunks_exact_mut(d).zip(q.chunks_exact(n)) {
            p.fill(0.0);
            for (e, q) in e.chunks_exact(d).zip(q) {
                p.iter_mut().zip(e).for_each(|(p, e)| *p += e * q);
            }
            if !last {
                rescale(p);
            }
        }
    }
    Factors {
        q: (0..n)
            .flat_map(|i| q.chunks_exact(n).map(move |q| to_f16(q[i])))
            .collect(),
        p: p.into_iter().map(to_f16).collect(),
    }
}

/// The Q factor of a thin QR: modified Gram-Schmidt, each column against those before it twice. A column that depends
/// on them becomes 0.
fn orthonormalise(columns: &mut [f32], length: usize) {
    for j in 0..columns.len() / length {
        let (before, rest) = columns.split_at_mut(j * length);
        let column = &mut rest[..length];
        let size = wide_dot(column, column).sqrt();
        for other in before.chunks_exact(length).chain(before.chunks_exact(length)) {
            let along = wide_dot(other, column);
            for (x, y) in column.iter_mut().zip(other) {
                *x = (f64::from(*x) - along * f64::from(*y)) as f32;
            }
        }
        let left = wide_dot(column, column).sqrt();
        if left > DEPENDENT * size {
            column.iter_mut().for_each(|x| *x = (f64::from(*x) / left) as f32);
        } else {
            column.fill(0.0);
        }
    }
}

/// x · y in f64, four stripes: products of f32 are exact there.
fn wide_dot(x: &[f32], y: &[f32]) -> f64 {
    let mut stripes = [0f64; 4];
    for (x, y) in x.chunks(4).zip(y.chunks(4)) {
        for (sum, (x, y)) in stripes.iter_mut().zip(x.iter().zip(y)) {
            *sum += f64::from(*x) * f64::from(*y);
        }
    }
    (stripes[0] + stripes[2]) + (stripes[1] + stripes[3])
}

/// Divides by the power of two of the largest value.
fn rescale(column: &mut [f32]) {
    let most = column
        .iter()
        .fold(0f32, |most, x| if x.abs() > most { x.abs() } else { most });
    if most.is_normal() {
        // The exponent field alone: a power of two, at most 2^127.
        let power = f32::from_bits(most.to_bits() & 0x7f80_0000);
        column.iter_mut().for_each(|x| *x /= power);
    }
}
