//! [`Lanes`] in plain Rust: the meaning of every operation.

use half::f16;

use super::{Lanes, LANES};

/// Sixteen lanes in an array.
#[derive(Clone, Copy)]
pub(crate) struct Scalar([f32; LANES]);

#[inline(always)]
fn map(a: Scalar, b: Scalar, f: impl Fn(f32, f32) -> f32) -> Scalar {
    Scalar(std::array::from_fn(|i| f(a.0[i], b.0[i])))
}

impl Lanes for Scalar {
    const WIDE: bool = false;

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        Scalar([x; LANES])
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        Scalar(from.cast::<[f32; LANES]>().read_unaligned())
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        to.cast::<[f32; LANES]>().write_unaligned(self.0);
    }

    #[inline(always)]
    unsafe fn load_f16(from: *const f16) -> Self {
        Scalar(std::array::from_fn(|i| from.add(i).read_unaligned().to_f32()))
    }

    #[inline(always)]
    unsafe fn store_f16(self, to: *mut f16) {
        for (i, x) in self.0.iter().enumerate() {
            to.add(i).write_unaligned(f16::from_f32(*x));
        }
    }

    #[inline(always)]
    unsafe fn load_codes<const BITS: usize>(from: *const u8) -> Self {
        let mask = ((1u32 << BITS) - 1) as u8;
        Scalar(std::array::from_fn(|i| {
            f32::from(from.add(i * BITS / 8).read() >> (i * BITS % 8) & mask)
        }))
    }

    #[inline(always)]
    unsafe fn store_u8(self, to: *mut u8) {
        for (i, x) in self.0.iter().enumerate() {
            to.add(i).write(*x as u8);
        }
    }

    #[inline(always)]
    unsafe fn load_pairs(from: *const f32) -> Self {
        Scalar(std::array::from_fn(|i| from.add(i / 2).read_unaligned()))
    }

    #[inline(always)]
    unsafe fn add(self, b: Self) -> Self {
        map(self, b, |a, b| a + b)
    }

    #[inline(always)]
    unsafe fn sub(self, b: Self) -> Self {
        map(self, b, |a, b| a - b)
    }

    #[inline(always)]
    unsafe fn mul(self, b: Self) -> Self {
        map(self, b, |a, b| a * b)
    }

    #[inline(always)]
    unsafe fn div(self, b: Self) -> Self {
        map(self, b, |a, b| a / b)
    }

    #[inline(always)]
    unsafe fn fma(self, b: Self, c: Self) -> Self {
        Scalar(std::array::from_fn(|i| self.0[i].mul_add(b.0[i], c.0[i])))
    }

    #[inline(always)]
    unsafe fn fma_alternate(self, b: Self, c: Self) -> Self {
        Scalar(std::array::from_fn(|i| {
            self.0[i].mul_add(b.0[i], if i % 2 == 0 { -c.0[i] } else { c.0[i] })
        }))
    }

    #[inline(always)]
    unsafe fn max(self, b: Self) -> Self {
        map(self, b, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    unsafe fn min(self, b: Self) -> Self {
        map(self, b, |a, b| if a < b { a } else { b })
    }

    #[inline(always)]
    unsafe fn round(self) -> Self {
        Scalar(self.0.map(f32::round_ties_even))
    }

    #[inline(always)]
    unsafe fn power_of_two(self) -> Self {
        Scalar(self.0.map(|n| f32::from_bits(((n as i32 + 127) as u32) << 23)))
    }

    #[inline(always)]
    unsafe fn zero_below(self, limit: Self, value: Self) -> Self {
        Scalar(std::array::from_fn(|i| {
            if self.0[i] < limit.0[i] {
                0.0
            } else {
                value.0[i]
            }
        }))
    }

    #[inline(always)]
    unsafe fn one_if_zero(self) -> Self {
        Scalar(self.0.map(|x| if x == 0.0 { 1.0 } else { x }))
    }

    #[inline(always)]
    unsafe fn swap_pairs(self) -> Self {
        Scalar(std::array::from_fn(|i| self.0[i ^ 1]))
    }

    #[inline(always)]
    unsafe fn fold(self) -> f32 {
        let mut x = self.0;
        let mut half = LANES / 2;
        while half > 0 {
            for i in 0..half {
                x[i] += x[i + half];
            }
            half /= 2;
        }
        x[0]
    }

    #[inline(always)]
    unsafe fn fold_each(vectors: &[Self; LANES]) -> Self {
        let mut out = [0.0; LANES];
        for (sum, vector) in out.iter_mut().zip(vectors) {
            *sum = vector.fold();
        }
        Scalar(out)
    }
}
