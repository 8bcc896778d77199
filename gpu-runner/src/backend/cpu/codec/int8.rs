//! Symmetric signed bytes with one scale: s = f16(amax / 127), 1 if that is 0; code = x / s to the nearest, ties to
//! even, within +-127.

use half::f16;

use super::super::kv_lanes::KvLanes;
use super::super::lanes::LANES;
use super::{largest, stored};

#[inline(always)]
pub(super) fn encode(x: &[f32], codes: &mut [u8], params: &mut [f16]) {
    let s = stored(largest(x) / 127.0);
    let s = if s == f16::ZERO { f16::ONE } else { s };
    params[0] = s;
    let s = s.to_f32();
    for (code, x) in codes.iter_mut().zip(x) {
        let q = (*x / s).clamp(-127.0, 127.0);
        // Adding and taking 1.5 * 2^23 leaves the nearest even whole number.
        const MAGIC: f32 = 12_582_912.0;
        *code = ((q + MAGIC) - MAGIC) as i8 as u8;
    }
}

#[inline(always)]
pub(super) unsafe fn widen<L: KvLanes, const V: usize>(
    codes: *const u8,
    params: *const f16,
    tokens: usize,
    rows: &mut [f32],
) {
    for t in 0..tokens {
        let s = L::splat(params.add(t).read_unaligned().to_f32());
        for j in 0..V {
            let at = (t * V + j) * LANES;
            L::load_i8(codes.add(at).cast()).mul(s).store(rows.as_mut_ptr().add(at));
        }
    }
}
