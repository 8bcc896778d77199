//! The Walsh-Hadamard transform in Sylvester order: H[i][j] = (-1)^popcount(i & j).
//!
//! Butterflies (a + b, a - b) with strides 1, 2, 4, ...; the order is part of the codecs' definition, since their codes
//! come from these f32 sums. H / sqrt(B) is its own inverse.

use std::ops::{Add, Sub};

/// The block of a head dimension: the largest power of two that divides it, at least 32.
pub fn block(head_dim: usize) -> Option<usize> {
    let block = head_dim & head_dim.wrapping_neg();
    (block >= 32).then_some(block)
}

/// x = H x on consecutive blocks of `block` (a power of two), not scaled.
#[inline(always)]
pub fn transform<T: Copy + Add<Output = T> + Sub<Output = T>>(x: &mut [T], block: usize) {
    debug_assert!(block.is_power_of_two() && x.len().is_multiple_of(block));
    let mut stride = 1;
    while stride < block {
        for pair in x.chunks_exact_mut(2 * stride) {
            let (low, high) = pair.split_at_mut(stride);
            for i in 0..stride {
                let (a, b) = (low[i], high[i]);
                (low[i], high[i]) = (a + b, a - b);
            }
        }
        stride *= 2;
    }
}

/// 1 / sqrt(block), the nearest f32.
pub fn scale(block: usize) -> f32 {
    (1.0 / (block as f64).sqrt()) as f32
}

/// x = H x / sqrt(block) on consecutive blocks: the transform, then one product.
#[inline(always)]
pub fn rotate(x: &mut [f32], block: usize) {
    transform(x, block);
    let factor = scale(block);
    for x in x {
        *x *= factor;
    }
}
