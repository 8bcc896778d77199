//! ggml's q8_0 and q4_0 as its reference code makes them: the encoder uses the f32 scale and its reciprocal, the
//! decoder the stored f16 scale. Codes lie in order of channels; only ggml's own block pairs j with j + 16.

use half::f16;

use super::super::kv_lanes::KvLanes;
use super::super::lanes::LANES;
use super::{largest, stored};
use crate::cache::GGML_BLOCK;

/// sc = amax / 127; code = x / sc to the nearest, halves away from zero.
#[inline(always)]
pub(super) fn encode_q8_0(x: &[f32], codes: &mut [u8], params: &mut [f16]) {
    for (b, x) in x.chunks_exact(GGML_BLOCK).enumerate() {
        let sc = largest(x) / 127.0;
        let i = if sc == 0.0 { 0.0 } else { 1.0 / sc };
        params[b] = stored(sc);
        for (j, x) in x.iter().enumerate() {
            codes[b * GGML_BLOCK + j] = (*x * i).round() as i8 as u8;
        }
    }
}

/// v = the first value of largest magnitude; sc = v / -8; code = min(15, trunc(x / sc + 8.5)).
#[inline(always)]
pub(super) fn encode_q4_0(x: &[f32], codes: &mut [u8], params: &mut [f16]) {
    for (b, x) in x.chunks_exact(GGML_BLOCK).enumerate() {
        let (mut most, mut v) = (0f32, 0f32);
        for x in x {
            if x.abs() > most {
                (most, v) = (x.abs(), *x);
            }
        }
        let sc = v / -8.0;
        let i = if sc == 0.0 { 0.0 } else { 1.0 / sc };
        params[b] = stored(sc);
        for (j, x) in x.iter().enumerate() {
            let q = (*x * i + 8.5) as u8;
            codes[b * GGML_BLOCK + j] = if q < 15 { q } else { 15 };
        }
    }
}

/// Vectors of lanes in a block.
const VECTORS: usize = GGML_BLOCK / LANES;

#[inline(always)]
pub(super) unsafe fn widen_q8_0<L: KvLanes, const V: usize>(
    codes: *const u8,
    params: *const f16,
    tokens: usize,
    rows: &mut [f32],
) {
    for i in 0..tokens * V {
        let s = L::splat(params.add(i / VECTORS).read_unaligned().to_f32());
        L::load_i8(codes.add(i * LANES).cast())
            .mul(s)
            .store(rows.as_mut_ptr().add(i * LANES));
    }
}

#[inline(always)]
pub(super) unsafe fn widen_q4_0<L: KvLanes, const V: usize>(
    codes: *const u8,
    params: *const f16,
    tokens: usize,
    rows: &mut [f32],
) {
    let zero = L::splat(8.0);
    for i in 0..tokens * V {
        let s = L::splat(params.add(i / VECTORS).read_unaligned().to_f32());
        L::load_codes::<4>(codes.add(i * LANES / 2))
            .sub(zero)
            .mul(s)
            .store(rows.as_mut_ptr().add(i * LANES));
    }
}
