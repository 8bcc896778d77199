//! The group quantiser with a token's whole vector as its group.
//!
//! m = f16(min x), s = f16((max x - m) / (2^b - 1)), 1 if that is 0; code = (x - m) / s within 0..=2^b - 1 to the
//! nearest, ties to even. A minimum of -0 is stored as 0.

use half::f16;

use super::super::kv_lanes::KvLanes;
use super::super::lanes::LANES;
use super::stored;

#[inline(always)]
pub(super) fn encode(bits: u8, x: &[f32], codes: &mut [u8], params: &mut [f16]) {
    let top = ((1u32 << bits) - 1) as f32;
    let (mut min, mut max) = (x[0], x[0]);
    for x in x {
        min = if *x < min { *x } else { min };
        max = if *x > max { *x } else { max };
    }
    let m = stored(min + 0.0);
    let s = stored((max - m.to_f32()) / top);
    let s = if s == f16::ZERO { f16::ONE } else { s };
    (params[0], params[1]) = (s, m);
    let (s, m) = (s.to_f32(), m.to_f32());
    for (code, x) in codes.iter_mut().zip(x) {
        let q = ((*x - m) / s).clamp(0.0, top);
        // Adding and taking 1.5 * 2^23 leaves the nearest even whole number.
        const MAGIC: f32 = 12_582_912.0;
        *code = ((q + MAGIC) - MAGIC) as u8;
    }
}

#[inline(always)]
pub(super) unsafe fn widen<L: KvLanes, const V: usize, const BITS: usize>(
    codes: *const u8,
    params: *const f16,
    tokens: usize,
    rows: &mut [f32],
) {
    for t in 0..tokens {
        let s = L::splat(params.add(2 * t).read_unaligned().to_f32());
        let m = L::splat(params.add(2 * t + 1).read_unaligned().to_f32());
        for j in 0..V {
            let at = t * V + j;
            L::load_codes::<BITS>(codes.add(at * 2 * BITS))
                .fma(s, m)
                .store(rows.as_mut_ptr().add(at * LANES));
        }
    }
}
