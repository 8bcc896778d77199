//! Lloyd-Max codes of N(0, 1): the scalar quantiser behind TurboQuant's rotation.
//!
//! Zandieh et al., "TurboQuant: Online Vector Quantization with Near-optimal Distortion Rate", arXiv 2504.19874. The
//! rotated coordinates of a vector times sqrt(d) / norm are close to N(0, 1), so one fixed codebook serves all.

use half::f16;

use super::super::kv_lanes::KvLanes;
use super::super::lanes::LANES;
use super::{stored, sum_squares, MAX_DIM};

/// Mirrors the positive centroids; the rest of the table is not used.
const fn centroids<const N: usize>(positive: [f32; N]) -> [f32; LANES] {
    let mut all = [0.0; LANES];
    let mut i = 0;
    while i < N {
        all[N + i] = positive[i];
        all[N - 1 - i] = -positive[i];
        i += 1;
    }
    all
}

/// Mirrors the bounds behind 0; the rest of the table is above every number.
const fn bounds<const N: usize>(positive: [f32; N]) -> [f32; LANES - 1] {
    let mut all = [f32::INFINITY; LANES - 1];
    let mut i = 0;
    all[N] = 0.0;
    while i < N {
        all[N + 1 + i] = positive[i];
        all[N - 1 - i] = -positive[i];
        i += 1;
    }
    all
}

/// Centroids of 1, 2, 3 and 4 bits, ascending.
// Digits as the design prints them.
#[allow(clippy::excessive_precision)]
pub const CENTROIDS: [[f32; LANES]; 4] = [
    centroids([0.797885]),
    centroids([0.452780, 1.510418]),
    centroids([0.245094, 0.756005, 1.343909, 2.151946]),
    centroids([
        0.128395, 0.388048, 0.656759, 0.942340, 1.256231, 1.618046, 2.069017, 2.732590,
    ]),
];

/// Bounds between them, ascending.
#[allow(clippy::excessive_precision)]
pub const BOUNDS: [[f32; LANES - 1]; 4] = [
    bounds([]),
    bounds([0.981599]),
    bounds([0.500550, 1.049957, 1.747927]),
    bounds([0.258222, 0.522404, 0.799550, 1.099286, 1.437139, 1.843532, 2.400803]),
];

/// y = x / norm for x = the transform, not scaled, of a vector of that norm; code = how many bounds are <= y.
#[inline(always)]
pub(super) fn encode(bits: u8, renorm: bool, x: &[f32], norm: f32, codes: &mut [u8], params: &mut [f16]) {
    let (table, bounds) = (&CENTROIDS[bits as usize - 1], &BOUNDS[bits as usize - 1]);
    if norm == 0.0 {
        // Codes of y = 0 with a scale of 0.
        codes.fill(1 << (bits - 1));
        params[0] = f16::ZERO;
        return;
    }
    for (codes, x) in codes.chunks_exact_mut(LANES).zip(x.chunks_exact(LANES)) {
        let mut y = [0f32; LANES];
        for i in 0..LANES {
            y[i] = x[i] / norm;
        }
        let mut count = [0u32; LANES];
        for bound in &bounds[..(1 << bits) - 1] {
            for i in 0..LANES {
                count[i] += u32::from(*bound <= y[i]);
            }
        }
        for i in 0..LANES {
            codes[i] = count[i] as u8;
        }
    }
    params[0] = match renorm {
        false => stored(norm),
        true => {
            let mut decoded = [0f32; MAX_DIM];
            for (c, code) in decoded.iter_mut().zip(codes.iter()) {
                *c = table[*code as usize];
            }
            // |c| of c = centroids / sqrt(d); the division by a power of two is exact.
            let square = sum_squares(&decoded[..x.len()]) / x.len() as f32;
            stored(norm / square.sqrt())
        }
    };
}

#[inline(always)]
pub(super) unsafe fn widen<L: KvLanes, const V: usize, const BITS: usize>(
    codes: *const u8,
    params: *const f16,
    tokens: usize,
    rows: &mut [f32],
) {
    let factor = L::splat(crate::hadamard::scale(V * LANES));
    let table = L::load(CENTROIDS[BITS - 1].as_ptr()).mul(factor);
    for t in 0..tokens {
        let s = L::splat(params.add(t).read_unaligned().to_f32());
        for j in 0..V {
            let at = t * V + j;
            L::look_up::<BITS>(codes.add(at * 2 * BITS), table)
                .mul(s)
                .store(rows.as_mut_ptr().add(at * LANES));
        }
    }
}
