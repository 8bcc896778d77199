//! Block sums by `maddubs`: unsigned times signed bytes, pairs added in 16 bits. Rows 0-7 first, then rows 8-15.

use super::{ActBlock, Dots};
use crate::backend::cpu::lanes::avx2::Avx2;
use std::arch::x86_64::*;

/// The 4 activation codes of word w, to every lane.
#[inline(always)]
unsafe fn word(a: *const ActBlock, t: usize, w: usize) -> __m256i {
    _mm256_set1_epi32((&raw const (*a.add(t)).codes).cast::<i32>().add(w).read())
}

#[inline(always)]
unsafe fn load(codes: *const u8, w: usize, half: usize) -> __m256i {
    _mm256_loadu_si256(codes.add(w * 64 + half * 32).cast())
}

impl Dots for Avx2 {
    #[inline(always)]
    unsafe fn nibbles<const N: usize, const OFFSET: u32>(codes: *const u8, a: *const ActBlock) -> [[__m256i; 2]; N] {
        let (mask, ones) = (_mm256_set1_epi8(15), _mm256_set1_epi16(1));
        let mut out = [[_mm256_setzero_si256(); 2]; N];
        for half in 0..2 {
            let mut words = [_mm256_setzero_si256(); 8];
            for w in 0..4 {
                let both = load(codes, w, half);
                words[w] = _mm256_and_si256(both, mask);
                words[w + 4] = _mm256_and_si256(_mm256_srli_epi16::<4>(both), mask);
            }
            for t in 0..N {
                // 8 pairs of at most 2 * 15 * 127 are 30,480: the 16-bit sums of a block cannot overflow. Token by
                // token, so that the words and one sum fill the 16 registers.
                let mut sum = _mm256_maddubs_epi16(words[0], word(a, t, 0));
                for w in 1..8 {
                    sum = _mm256_add_epi16(sum, _mm256_maddubs_epi16(words[w], word(a, t, w)));
                }
                out[t][half] = _mm256_madd_epi16(sum, ones);
                if OFFSET != 0 {
                    let start = _mm256_set1_epi32((*a.add(t)).neg_sum << OFFSET);
                    out[t][half] = _mm256_add_epi32(out[t][half], start);
                }
            }
        }
        out
    }

    #[inline(always)]
    unsafe fn bytes<const N: usize>(codes: *const u8, a: *const ActBlock) -> [[__m256i; 2]; N] {
        let (flip, ones) = (_mm256_set1_epi8(-128), _mm256_set1_epi16(1));
        let mut out = [[_mm256_setzero_si256(); 2]; N];
        for half in 0..2 {
            let mut sums = [_mm256_setzero_si256(); N];
            for w in 0..8 {
                // |q - 128| times a with the sign of q - 128: at most 2 * 128 * 127 a pair, where q itself would
                // saturate.
                let signed = _mm256_xor_si256(load(codes, w, half), flip);
                let size = _mm256_abs_epi8(signed);
                for t in 0..N {
                    let a = _mm256_sign_epi8(word(a, t, w), signed);
                    let four = _mm256_madd_epi16(_mm256_maddubs_epi16(size, a), ones);
                    sums[t] = _mm256_add_epi32(sums[t], four);
                }
            }
            for t in 0..N {
                out[t][half] = sums[t];
            }
        }
        out
    }

    #[inline(always)]
    unsafe fn sixes<const N: usize>(
        low: *const u8,
        high: *const u8,
        scales: *const i8,
        a: *const ActBlock,
    ) -> [[__m256i; 2]; N] {
        let (mask, two, ones) = (_mm256_set1_epi8(15), _mm256_set1_epi8(0x30), _mm256_set1_epi16(1));
        let mut out = [[_mm256_setzero_si256(); 2]; N];
        for half in 0..2 {
            let mut firsts = [_mm256_setzero_si256(); N];
            let mut seconds = [_mm256_setzero_si256(); N];
            let (mut pair0, mut pair1) = (load(high, 0, half), load(high, 1, half));
            for w in 0..4 {
                let both = load(low, w, half);
                // The pair goes to bits 4 and 5 of its byte; bits that cross bytes are masked away.
                let q0 = _mm256_or_si256(
                    _mm256_and_si256(both, mask),
                    _mm256_and_si256(_mm256_slli_epi16::<4>(pair0), two),
                );
                let q1 = _mm256_or_si256(
                    _mm256_and_si256(_mm256_srli_epi16::<4>(both), mask),
                    _mm256_and_si256(_mm256_slli_epi16::<4>(pair1), two),
                );
                pair0 = _mm256_srli_epi16::<2>(pair0);
                pair1 = _mm256_srli_epi16::<2>(pair1);
                for t in 0..N {
                    let first = _mm256_maddubs_epi16(q0, word(a, t, w));
                    let second = _mm256_maddubs_epi16(q1, word(a, t, w + 4));
                    firsts[t] = _mm256_add_epi32(firsts[t], _mm256_madd_epi16(first, ones));
                    seconds[t] = _mm256_add_epi32(seconds[t], _mm256_madd_epi16(second, ones));
                }
            }
            let scale0 = _mm256_cvtepi8_epi32(_mm_loadl_epi64(scales.add(half * 8).cast()));
            let scale1 = _mm256_cvtepi8_epi32(_mm_loadl_epi64(scales.add(16 + half * 8).cast()));
            for t in 0..N {
                let a = &*a.add(t);
                let start0 = _mm256_set1_epi32((a.neg_sum - a.neg_second) << 5);
                let start1 = _mm256_set1_epi32(a.neg_second << 5);
                let first = _mm256_mullo_epi32(scale0, _mm256_add_epi32(firsts[t], start0));
                let second = _mm256_mullo_epi32(scale1, _mm256_add_epi32(seconds[t], start1));
                out[t][half] = _mm256_add_epi32(first, second);
            }
        }
        out
    }

    const PEAK_OPS: usize = 12 * 64;
    #[inline(always)]
    unsafe fn peak(rounds: usize) -> i32 {
        let codes = _mm256_set1_epi8(std::hint::black_box(1));
        let mut sums = [_mm256_set1_epi8(std::hint::black_box(1)); 12];
        for _ in 0..rounds {
            for sum in &mut sums {
                // Each product depends on the one before, so that none is lifted out of the loop.
                *sum = _mm256_maddubs_epi16(*sum, codes);
            }
        }
        let mut all = sums[0];
        for sum in sums {
            all = _mm256_add_epi16(all, sum);
        }
        _mm256_extract_epi32::<0>(all)
    }
}
