//! Block sums in plain Rust.

use super::{ActBlock, Dots};
use crate::backend::cpu::lanes::scalar::Scalar;
use crate::backend::cpu::lanes::LANES;

impl Dots for Scalar {
    #[inline(always)]
    unsafe fn nibbles<const N: usize, const OFFSET: u32>(codes: *const u8, a: *const ActBlock) -> [[i32; LANES]; N] {
        let mut sums = [[0; LANES]; N];
        for (t, sums) in sums.iter_mut().enumerate() {
            let a = &*a.add(t);
            for (row, sum) in sums.iter_mut().enumerate() {
                *sum = if OFFSET == 0 { 0 } else { a.neg_sum << OFFSET };
                for i in 0..16 {
                    let byte = *codes.add(i / 4 * 64 + row * 4 + i % 4);
                    *sum += i32::from(byte & 15) * i32::from(a.codes[i]);
                    *sum += i32::from(byte >> 4) * i32::from(a.codes[i + 16]);
                }
            }
        }
        sums
    }

    #[inline(always)]
    unsafe fn bytes<const N: usize>(codes: *const u8, a: *const ActBlock) -> [[i32; LANES]; N] {
        let mut sums = [[0; LANES]; N];
        for (t, sums) in sums.iter_mut().enumerate() {
            let a = &*a.add(t);
            for (row, sum) in sums.iter_mut().enumerate() {
                for (i, &code) in a.codes.iter().enumerate() {
                    let q = *codes.add(i / 4 * 64 + row * 4 + i % 4);
                    *sum += (i32::from(q) - 128) * i32::from(code);
                }
            }
        }
        sums
    }

    #[inline(always)]
    unsafe fn sixes<const N: usize>(
        low: *const u8,
        high: *const u8,
        scales: *const i8,
        a: *const ActBlock,
    ) -> [[i32; LANES]; N] {
        let mut sums = [[0; LANES]; N];
        for (t, sums) in sums.iter_mut().enumerate() {
            let a = &*a.add(t);
            for (row, sum) in sums.iter_mut().enumerate() {
                for half in 0..2 {
                    let mut part = 0;
                    for i in 0..16 {
                        let nibble = *low.add(i / 4 * 64 + row * 4 + i % 4) >> (4 * half) & 15;
                        let pair = *high.add(half * 64 + row * 4 + i % 4) >> (i / 4 * 2) & 3;
                        part += (i32::from(nibble | pair << 4) - 32) * i32::from(a.codes[16 * half + i]);
                    }
                    *sum += i32::from(*scales.add(half * LANES + row)) * part;
                }
            }
        }
        sums
    }

    const PEAK_OPS: usize = 64;
    #[inline(always)]
    unsafe fn peak(rounds: usize) -> i32 {
        let (mut sums, a) = ([0i32; 32], std::hint::black_box([3i8; 32]));
        for round in 0..rounds {
            for (sum, a) in sums.iter_mut().zip(a) {
                *sum = sum.wrapping_add(i32::from(round as u8) * i32::from(a));
            }
        }
        sums.iter().fold(0, |x, y| x.wrapping_add(*y))
    }
}
