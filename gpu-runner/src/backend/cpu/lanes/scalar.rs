//! Sixteen lanes in plain Rust: the reference of the other two, and the fallback of other machines.

use super::{Lanes, LANES};
use half::{bf16, f16};

/// Sixteen f32 in an array.
#[derive(Clone, Copy)]
pub(crate) struct Scalar(pub [f32; LANES]);

/// One lane wise operation written as a loop: closures are avoided throughout, see the module.
macro_rules! lanewise {
    ($i:ident => $e:expr) => {{
        let mut out = [Default::default(); LANES];
        for $i in 0..LANES {
            out[$i] = $e;
        }
        out
    }};
}

impl Lanes for Scalar {
    type Ints = [i32; LANES];

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        Scalar([x; LANES])
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        Scalar(p.cast::<[f32; LANES]>().read_unaligned())
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        p.cast::<[f32; LANES]>().write_unaligned(self.0)
    }
    #[inline(always)]
    unsafe fn load_f16(p: *const u16) -> Self {
        Scalar(lanewise!(i => f16::from_bits(p.add(i).read_unaligned()).to_f32()))
    }
    #[inline(always)]
    unsafe fn store_f16(self, p: *mut u16) {
        for (i, x) in self.0.iter().enumerate() {
            p.add(i).write_unaligned(f16::from_f32(*x).to_bits());
        }
    }
    #[inline(always)]
    unsafe fn load_bf16(p: *const u16) -> Self {
        Scalar(lanewise!(i => bf16::from_bits(p.add(i).read_unaligned()).to_f32()))
    }
    #[inline(always)]
    unsafe fn load_u8(p: *const u8) -> Self {
        Scalar(lanewise!(i => f32::from(*p.add(i))))
    }
    #[inline(always)]
    unsafe fn add(self, b: Self) -> Self {
        Scalar(lanewise!(i => self.0[i] + b.0[i]))
    }
    #[inline(always)]
    unsafe fn sub(self, b: Self) -> Self {
        Scalar(lanewise!(i => self.0[i] - b.0[i]))
    }
    #[inline(always)]
    unsafe fn mul(self, b: Self) -> Self {
        Scalar(lanewise!(i => self.0[i] * b.0[i]))
    }
    #[inline(always)]
    unsafe fn div(self, b: Self) -> Self {
        Scalar(lanewise!(i => self.0[i] / b.0[i]))
    }
    #[inline(always)]
    unsafe fn fma(self, b: Self, c: Self) -> Self {
        Scalar(lanewise!(i => self.0[i].mul_add(b.0[i], c.0[i])))
    }
    #[inline(always)]
    unsafe fn max(self, b: Self) -> Self {
        Scalar(lanewise!(i => if self.0[i] > b.0[i] { self.0[i] } else { b.0[i] }))
    }
    #[inline(always)]
    unsafe fn min(self, b: Self) -> Self {
        Scalar(lanewise!(i => if self.0[i] < b.0[i] { self.0[i] } else { b.0[i] }))
    }
    #[inline(always)]
    unsafe fn round(self) -> Self {
        // Adding and taking 1.5 * 2^23 leaves the nearest even whole number.
        const MAGIC: f32 = 12_582_912.0;
        Scalar(lanewise!(i => (self.0[i] + MAGIC) - MAGIC))
    }
    #[inline(always)]
    unsafe fn scale2(self, n: Self) -> Self {
        Scalar(lanewise!(i => {
            // Two normal factors: the first product is exact, the second rounds once.
            let n = n.0[i] as i32;
            let half = n >> 1;
            let power = [f32::from_bits(((half + 127) << 23) as u32), f32::from_bits(((n - half + 127) << 23) as u32)];
            self.0[i] * power[0] * power[1]
        }))
    }
    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        let mut a = self.0;
        for width in [8, 4, 2, 1] {
            for i in 0..width {
                a[i] += a[i + width];
            }
        }
        a[0]
    }
    #[inline(always)]
    unsafe fn largest(self) -> f32 {
        let mut a = self.0;
        for width in [8, 4, 2, 1] {
            for i in 0..width {
                a[i] = if a[i] > a[i + width] { a[i] } else { a[i + width] };
            }
        }
        a[0]
    }
    #[inline(always)]
    unsafe fn store_i8(self, p: *mut i8) {
        let rounded = self.round();
        for (i, x) in rounded.0.iter().enumerate() {
            *p.add(i) = *x as i8;
        }
    }
    #[inline(always)]
    unsafe fn prefetch(_: *const u8) {}
    #[inline(always)]
    unsafe fn zero_ints() -> Self::Ints {
        [0; LANES]
    }
    #[inline(always)]
    unsafe fn max_abs_bits(self, acc: Self::Ints) -> Self::Ints {
        lanewise!(i => acc[i].max((self.0[i].to_bits() & 0x7fff_ffff) as i32))
    }
    #[inline(always)]
    unsafe fn largest_int(ints: Self::Ints) -> i32 {
        let mut most = ints[0];
        for x in ints {
            most = most.max(x);
        }
        most
    }
    #[inline(always)]
    unsafe fn from_ints(ints: Self::Ints) -> Self {
        Scalar(lanewise!(i => ints[i] as f32))
    }
}
