//! [`KvLanes`] in plain Rust: the meaning of every operation.

use half::f16;

use super::{KvLanes, LANES};
use crate::backend::cpu::lanes::{scalar::Scalar, Lanes};

/// Sixteen codes of BITS.
#[inline(always)]
unsafe fn codes<const BITS: usize>(from: *const u8) -> [usize; LANES] {
    let mask = (1usize << BITS) - 1;
    std::array::from_fn(|i| {
        let (byte, shift) = (i * BITS / 8, i * BITS % 8);
        let low = usize::from(from.add(byte).read()) >> shift;
        let high = match shift + BITS > 8 {
            true => usize::from(from.add(byte + 1).read()) << (8 - shift),
            false => 0,
        };
        (low | high) & mask
    })
}

impl KvLanes for Scalar {
    const WIDE: bool = false;

    #[inline(always)]
    unsafe fn load_codes<const BITS: usize>(from: *const u8) -> Self {
        Scalar(codes::<BITS>(from).map(|code| code as f32))
    }

    #[inline(always)]
    unsafe fn look_up<const BITS: usize>(from: *const u8, table: Self) -> Self {
        Scalar(codes::<BITS>(from).map(|code| table.0[code]))
    }

    #[inline(always)]
    unsafe fn load_i8(from: *const i8) -> Self {
        Scalar(std::array::from_fn(|i| f32::from(from.add(i).read())))
    }

    #[inline(always)]
    unsafe fn load_e4m3(from: *const u8) -> Self {
        // The same bits as an f16 are the value times 2^-8: both formats have subnormals, and the bias is 8 more.
        Scalar(std::array::from_fn(|i| {
            let byte = u16::from(from.add(i).read());
            f16::from_bits((byte & 0x80) << 8 | (byte & 0x7f) << 7).to_f32() * 256.0
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
