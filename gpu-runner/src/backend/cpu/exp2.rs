//! 2^x in f32: one polynomial, one sequence of fused multiply-adds, the same bits on every instruction set.
//!
//! x = n + f with n whole and f in [-0.5, 0.5]; 2^f = 1 + f q(f), q of degree 5 fitted for least relative error
//! (2e-9 before rounding of the coefficients); then one scaling by 2^n. 2^0 is exactly 1, 2^-inf is 0, 2^NaN is NaN.

use super::lanes::{for_isa, Lanes, LANES};

/// Coefficients of 2^f, of f^0 first.
pub(crate) const POLY: [f32; 7] = [
    1.0,
    f32::from_bits(0x3f31_7218),
    f32::from_bits(0x3e75_fdee),
    f32::from_bits(0x3d63_5774),
    f32::from_bits(0x3c1d_96a6),
    f32::from_bits(0x3aaf_9f2a),
    f32::from_bits(0x3920_fdde),
];

/// At and below it the result rounds to 0.
pub(crate) const LOW: f32 = -150.0;
/// At and above it the result is infinite.
pub(crate) const HIGH: f32 = 128.0;

/// 2^x, the scalar form. Within 2 units in the last place for normal results.
pub fn exp2_poly(x: f32) -> f32 {
    const MAGIC: f32 = 12_582_912.0;
    let x = if LOW > x { LOW } else { x };
    let x = if HIGH < x { HIGH } else { x };
    let n = (x + MAGIC) - MAGIC;
    let f = x - n;
    let mut p = POLY[6];
    for c in POLY[..6].iter().rev() {
        p = p.mul_add(f, *c);
    }
    let n = n as i32;
    let half = n >> 1;
    let power = |e: i32| f32::from_bits(((e + 127) << 23) as u32);
    p * power(half) * power(n - half)
}

for_isa! {
    /// x[i] = 2^x[i].
    pub fn exp2_in_place(x: &mut [f32]) = exp2_body
}

#[inline(always)]
unsafe fn exp2_body<V: Lanes>(x: &mut [f32]) {
    for part in x.chunks_mut(LANES) {
        let v = V::load_part(part.as_ptr(), part.len()).exp2();
        v.store_part(part.as_mut_ptr(), part.len());
    }
}
