//! [`KvLanes`] in plain Rust: the meaning of every operation.

use super::{KvLanes, LANES};
use crate::backend::cpu::lanes::{scalar::Scalar, Lanes};

impl KvLanes for Scalar {
    const WIDE: bool = false;

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
    unsafe fn fma_alternate(self, b: Self, c: Self) -> Self {
        Scalar(std::array::from_fn(|i| {
            self.0[i].mul_add(b.0[i], if i % 2 == 0 { -c.0[i] } else { c.0[i] })
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
    unsafe fn sum_each(vectors: &[Self; LANES]) -> Self {
        let mut out = [0.0; LANES];
        for (sum, vector) in out.iter_mut().zip(vectors) {
            *sum = vector.sum();
        }
        Scalar(out)
    }

    #[inline(always)]
    unsafe fn transpose(rows: &mut [Self; LANES]) {
        for i in 0..LANES {
            for j in 0..i {
                (rows[i].0[j], rows[j].0[i]) = (rows[j].0[i], rows[i].0[j]);
            }
        }
    }
}
