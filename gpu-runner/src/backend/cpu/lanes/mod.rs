//! Sixteen f32 lanes, the unit in which every vector operation of the CPU backend is written.
//!
//! An operation is written once, generic over [`Lanes`], and compiled for each instruction set by [`for_isa`]. All
//! three implementations do the same IEEE operations in the same order, so the bits are equal by construction: element
//! i of a sum goes to lane i mod 16, and lanes fold 8, 4, 2, 1.
//!
//! Generic bodies and everything they call must be `#[inline(always)]` and free of closures: a closure is compiled
//! without the instruction set of its caller, which costs a call and a spill per operation.

#[cfg(target_arch = "x86_64")]
pub(crate) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) mod avx512;
pub(crate) mod scalar;

/// Lanes of one vector, and rows of one weight panel.
pub(crate) const LANES: usize = 16;

/// Sixteen f32. Every method is unsafe for one reason: the machine must have the instruction set of the implementation;
/// pointers must be valid for the stated number of elements, of any alignment.
pub(crate) trait Lanes: Copy {
    /// Sixteen i32 or bit patterns.
    type Ints: Copy;

    unsafe fn splat(x: f32) -> Self;
    /// Reads 16 values.
    unsafe fn load(p: *const f32) -> Self;
    /// Writes 16 values.
    unsafe fn store(self, p: *mut f32);
    /// Reads 16 f16 bit patterns; exact.
    unsafe fn load_f16(p: *const u16) -> Self;
    /// Writes 16 f16 bit patterns, rounded to nearest even.
    unsafe fn store_f16(self, p: *mut u16);
    /// Reads 16 bf16 bit patterns; exact.
    unsafe fn load_bf16(p: *const u16) -> Self;
    /// Reads 16 unsigned bytes as numbers.
    unsafe fn load_u8(p: *const u8) -> Self;
    unsafe fn add(self, b: Self) -> Self;
    unsafe fn sub(self, b: Self) -> Self;
    unsafe fn mul(self, b: Self) -> Self;
    unsafe fn div(self, b: Self) -> Self;
    /// self * b + c, one rounding.
    unsafe fn fma(self, b: Self, c: Self) -> Self;
    /// Per lane `if self > b { self } else { b }`: a NaN in either gives b.
    unsafe fn max(self, b: Self) -> Self;
    /// Per lane `if self < b { self } else { b }`: a NaN in either gives b.
    unsafe fn min(self, b: Self) -> Self;
    /// To the nearest whole number, ties to even; for |x| < 2^22.
    unsafe fn round(self) -> Self;
    /// self * 2^n for whole n in [-150, 128] and self in [0.5, 2]: one rounding, subnormal and infinite results included.
    unsafe fn scale2(self, n: Self) -> Self;
    /// Sum of the lanes, folded 8, 4, 2, 1.
    unsafe fn sum(self) -> f32;
    /// Largest lane, folded 8, 4, 2, 1 by [`Lanes::max`].
    unsafe fn largest(self) -> f32;
    /// Nearest-even integers of 16 values within [-127, 127], as bytes.
    unsafe fn store_i8(self, p: *mut i8);

    unsafe fn zero_ints() -> Self::Ints;
    /// Per lane the larger of `acc` and the bits of |self|, as integers: orders finite < infinite < NaN.
    unsafe fn max_abs_bits(self, acc: Self::Ints) -> Self::Ints;
    /// The largest lane.
    unsafe fn largest_int(ints: Self::Ints) -> i32;
    unsafe fn from_ints(ints: Self::Ints) -> Self;

    /// Asks for the cache line of `p`, which need not be valid.
    unsafe fn prefetch(p: *const u8);

    /// Reads `count` <= 16 values, zeros beyond.
    #[inline(always)]
    unsafe fn load_part(p: *const f32, count: usize) -> Self {
        if count >= LANES {
            return Self::load(p);
        }
        let mut lanes = [0f32; LANES];
        std::ptr::copy_nonoverlapping(p, lanes.as_mut_ptr(), count);
        Self::load(lanes.as_ptr())
    }

    /// Writes the first `count` <= 16 lanes.
    #[inline(always)]
    unsafe fn store_part(self, p: *mut f32, count: usize) {
        if count >= LANES {
            return self.store(p);
        }
        let mut lanes = [0f32; LANES];
        self.store(lanes.as_mut_ptr());
        std::ptr::copy_nonoverlapping(lanes.as_ptr(), p, count);
    }

    /// 2^self, see [`super::exp2`].
    #[inline(always)]
    unsafe fn exp2(self) -> Self {
        use super::exp2::{HIGH, LOW, POLY};
        // A NaN comes through: min and max give their second operand then.
        let x = Self::splat(LOW).max(self);
        let x = Self::splat(HIGH).min(x);
        let n = x.round();
        let f = x.sub(n);
        let mut p = Self::splat(POLY[6]);
        p = p.fma(f, Self::splat(POLY[5]));
        p = p.fma(f, Self::splat(POLY[4]));
        p = p.fma(f, Self::splat(POLY[3]));
        p = p.fma(f, Self::splat(POLY[2]));
        p = p.fma(f, Self::splat(POLY[1]));
        p = p.fma(f, Self::splat(POLY[0]));
        p.scale2(n)
    }
}

/// Defines `fn name(isa, ..)` which runs the generic `unsafe fn body<V: Lanes>(..)` compiled for `isa`.
///
/// The body may count on the instruction set only; its other preconditions are checked by its caller.
macro_rules! for_isa {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? = $body:ident) => {
        $(#[$meta])*
        $vis fn $name(isa: $crate::backend::cpu::Isa, $($arg: $ty),*) $(-> $ret)? {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,f16c")]
            unsafe fn avx2($($arg: $ty),*) $(-> $ret)? {
                $body::<$crate::backend::cpu::lanes::avx2::Avx2>($($arg),*)
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
            unsafe fn avx512($($arg: $ty),*) $(-> $ret)? {
                $body::<$crate::backend::cpu::lanes::avx512::Avx512>($($arg),*)
            }
            isa.require();
            // SAFETY: `require` has checked that the machine has the instruction set.
            unsafe {
                match isa {
                    $crate::backend::cpu::Isa::Scalar => {
                        $body::<$crate::backend::cpu::lanes::scalar::Scalar>($($arg),*)
                    }
                    #[cfg(target_arch = "x86_64")]
                    $crate::backend::cpu::Isa::Avx2 => avx2($($arg),*),
                    #[cfg(target_arch = "x86_64")]
                    $crate::backend::cpu::Isa::Avx512 => avx512($($arg),*),
                    #[cfg(not(target_arch = "x86_64"))]
                    _ => unreachable!("require refuses x86 sets on other machines"),
                }
            }
        }
    };
}
pub(crate) use for_isa;
