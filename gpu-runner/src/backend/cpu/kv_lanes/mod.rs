//! Sixteen f32 lanes: the vector that attention and seal are written over, once.
//!
//! A kernel is generic over [`Lanes`] and implements [`Kernel`]; [`run`] compiles it per instruction set. Every
//! operation has the same bits in each: sums are sixteen stripes folded 8, 4, 2, 1, products fuse where written, and
//! nothing approximates. Refused: one hand-written copy a set, which would have to be kept equal by hand.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod scalar;

use std::sync::OnceLock;

use half::f16;

use super::Isa;

/// Lanes of a vector.
pub const LANES: usize = 16;

/// Sixteen f32 lanes.
///
/// # Safety
/// Every function needs the instruction set of its implementation; pointers must be valid for the sixteen elements
/// (or as stated) that they name, of any alignment.
#[allow(clippy::missing_safety_doc)]
pub(crate) trait Lanes: Copy {
    /// Whether there are 32 registers of sixteen lanes, for large tiles.
    const WIDE: bool;

    unsafe fn splat(x: f32) -> Self;
    unsafe fn load(from: *const f32) -> Self;
    unsafe fn store(self, to: *mut f32);
    unsafe fn load_f16(from: *const f16) -> Self;
    /// Rounds to nearest, ties to even.
    unsafe fn store_f16(self, to: *mut f16);
    /// Codes of BITS (2, 4 or 8), low bits first: 2 * BITS bytes.
    unsafe fn load_codes<const BITS: usize>(from: *const u8) -> Self;
    /// Whole numbers of 0..=255, one byte each.
    unsafe fn store_u8(self, to: *mut u8);
    /// Eight floats, each in two adjacent lanes.
    unsafe fn load_pairs(from: *const f32) -> Self;
    unsafe fn add(self, b: Self) -> Self;
    unsafe fn sub(self, b: Self) -> Self;
    unsafe fn mul(self, b: Self) -> Self;
    unsafe fn div(self, b: Self) -> Self;
    /// self * b + c, rounded once.
    unsafe fn fma(self, b: Self, c: Self) -> Self;
    /// self * b - c in even lanes, self * b + c in odd lanes, rounded once.
    unsafe fn fma_alternate(self, b: Self, c: Self) -> Self;
    /// Lane by lane `if self > b { self } else { b }`.
    unsafe fn max(self, b: Self) -> Self;
    /// Lane by lane `if self < b { self } else { b }`.
    unsafe fn min(self, b: Self) -> Self;
    /// To the nearest whole number, ties to even.
    unsafe fn round(self) -> Self;
    /// 2^n of whole numbers n in -126..=127.
    unsafe fn power_of_two(self) -> Self;
    /// 0 in the lanes where `self` < `limit`, `value` elsewhere.
    unsafe fn zero_below(self, limit: Self, value: Self) -> Self;
    /// 1 in the lanes that are 0, the lane elsewhere.
    unsafe fn one_if_zero(self) -> Self;
    /// Adjacent lanes exchanged.
    unsafe fn swap_pairs(self) -> Self;
    /// Sum of the lanes, folded 8, 4, 2, 1.
    unsafe fn fold(self) -> f32;
    /// Lane t = fold of vector t.
    unsafe fn fold_each(vectors: &[Self; LANES]) -> Self;
}

/// 2^x to about 1 unit in the last place, 0 below -126: round to n, then a polynomial of degree 7 of the rest.
#[inline(always)]
pub(crate) unsafe fn exp2<L: Lanes>(x: L) -> L {
    let limit = L::splat(-126.0);
    // `max` gives its second operand for a NaN: a NaN stays one and is seen in the sum.
    let bounded = limit.max(x);
    let n = bounded.round();
    let f = bounded.sub(n);
    let mut p = L::splat(EXP2[7]);
    let mut i = 7;
    while i > 0 {
        i -= 1;
        p = p.fma(f, L::splat(EXP2[i]));
    }
    x.zero_below(limit, p.mul(n.power_of_two()))
}

/// ln(2)^k / k!.
const EXP2: [f32; 8] = [
    1.0,
    std::f32::consts::LN_2,
    0.240_226_5,
    0.055_504_11,
    0.009_618_129,
    0.001_333_355_8,
    0.000_154_035_3,
    0.000_015_252_734,
];

/// A piece of work that is compiled once per instruction set.
pub(crate) trait Kernel {
    /// Does the work.
    ///
    /// # Safety
    /// The machine has the instruction set of `L`; implementations are `#[inline(always)]`.
    unsafe fn run<L: Lanes>(self);
}

/// Runs a kernel with an instruction set, or the best that this machine has if that is less.
pub(crate) fn run<K: Kernel>(isa: Isa, kernel: K) {
    static BEST: OnceLock<Isa> = OnceLock::new();
    match isa.min(*BEST.get_or_init(Isa::detect)) {
        // SAFETY: `Isa::detect` found exactly these features on this machine.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => unsafe { run_avx512(kernel) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => unsafe { run_avx2(kernel) },
        // SAFETY: plain Rust needs no features.
        _ => unsafe { kernel.run::<scalar::Scalar>() },
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
unsafe fn run_avx512<K: Kernel>(kernel: K) {
    kernel.run::<avx512::Avx512>();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn run_avx2<K: Kernel>(kernel: K) {
    kernel.run::<avx2::Avx2>();
}
