//! f16 and f32.

use crate::backend::cpu::lanes::{for_isa, Lanes, LANES};
use half::f16;

/// The largest finite f16.
const MAX: f32 = 65_504.0;

for_isa! {
    /// out[i] = x[i], exact.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn f16_to_f32(x: &[f16], out: &mut [f32]) = f16_to_f32_body
}

for_isa! {
    /// out[i] = x[i] clamped to +-65504 and rounded to nearest even; returns how many were clamped. A NaN stays one.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn f32_to_f16(x: &[f32], out: &mut [f16]) -> usize = f32_to_f16_body
}

#[inline(always)]
unsafe fn f16_to_f32_body<V: Lanes>(x: &[f16], out: &mut [f32]) {
    assert_eq!(x.len(), out.len(), "lengths of a conversion");
    for (x, out) in x.chunks(LANES).zip(out.chunks_mut(LANES)) {
        if x.len() == LANES {
            V::load_f16(x.as_ptr().cast()).store(out.as_mut_ptr());
        } else {
            let mut part = [f16::ZERO; LANES];
            part[..x.len()].copy_from_slice(x);
            V::load_f16(part.as_ptr().cast()).store_part(out.as_mut_ptr(), x.len());
        }
    }
}

#[inline(always)]
unsafe fn f32_to_f16_body<V: Lanes>(x: &[f32], out: &mut [f16]) -> usize {
    assert_eq!(x.len(), out.len(), "lengths of a conversion");
    let mut bits = V::zero_ints();
    for (x, out) in x.chunks(LANES).zip(out.chunks_mut(LANES)) {
        let v = V::load_part(x.as_ptr(), x.len());
        bits = v.max_abs_bits(bits);
        // The value is the second operand, which a NaN in it leaves as it is.
        let clamped = V::splat(MAX).min(V::splat(-MAX).max(v));
        if x.len() == LANES {
            clamped.store_f16(out.as_mut_ptr().cast());
        } else {
            let mut part = [f16::ZERO; LANES];
            clamped.store_f16(part.as_mut_ptr().cast());
            out.copy_from_slice(&part[..x.len()]);
        }
    }
    if V::largest_int(bits) <= MAX.to_bits() as i32 {
        return 0;
    }
    let mut clamped = 0;
    for x in x {
        clamped += usize::from(x.abs() > MAX);
    }
    clamped
}
