//! Block sums by `vpdpbusd`: a broadcast of 4 activation codes feeds 4 codes of 16 rows; lanes are rows.

use super::{ActBlock, Dots};
use crate::backend::cpu::lanes::avx512::Avx512;
use std::arch::x86_64::*;

/// sums + the 4 products per row of word w of token t.
#[inline(always)]
unsafe fn dot(sums: __m512i, codes: __m512i, a: *const ActBlock, t: usize, w: usize) -> __m512i {
    let a = (&raw const (*a.add(t)).codes).cast::<i32>().add(w).read();
    _mm512_dpbusd_epi32(sums, codes, _mm512_set1_epi32(a))
}

#[inline(always)]
unsafe fn load(codes: *const u8, w: usize) -> __m512i {
    _mm512_loadu_si512(codes.add(w * 64).cast())
}

impl Dots for Avx512 {
    #[inline(always)]
    unsafe fn nibbles<const N: usize, const OFFSET: u32>(codes: *const u8, a: *const ActBlock) -> [__m512i; N] {
        let mask = _mm512_set1_epi8(15);
        let mut sums = [_mm512_setzero_si512(); N];
        if OFFSET != 0 {
            for (t, sums) in sums.iter_mut().enumerate() {
                *sums = _mm512_slli_epi32::<OFFSET>(_mm512_set1_epi32((*a.add(t)).neg_sum));
            }
        }
        for w in 0..4 {
            let both = load(codes, w);
            let lo = _mm512_and_si512(both, mask);
            let hi = _mm512_and_si512(_mm512_srli_epi16::<4>(both), mask);
            for t in 0..N {
                sums[t] = dot(sums[t], lo, a, t, w);
            }
            for t in 0..N {
                sums[t] = dot(sums[t], hi, a, t, w + 4);
            }
        }
        sums
    }

    #[inline(always)]
    unsafe fn bytes<const N: usize>(codes: *const u8, a: *const ActBlock) -> [__m512i; N] {
        let mut sums = [_mm512_setzero_si512(); N];
        for (t, sums) in sums.iter_mut().enumerate() {
            *sums = _mm512_slli_epi32::<7>(_mm512_set1_epi32((*a.add(t)).neg_sum));
        }
        for w in 0..8 {
            let codes = load(codes, w);
            for t in 0..N {
                sums[t] = dot(sums[t], codes, a, t, w);
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
    ) -> [__m512i; N] {
        let (mask, two) = (_mm512_set1_epi8(15), _mm512_set1_epi8(0x30));
        let mut firsts = [_mm512_setzero_si512(); N];
        let mut seconds = [_mm512_setzero_si512(); N];
        for t in 0..N {
            let a = &*a.add(t);
            firsts[t] = _mm512_set1_epi32((a.neg_sum - a.neg_second) << 5);
            seconds[t] = _mm512_slli_epi32::<5>(_mm512_set1_epi32(a.neg_second));
        }
        let (mut pair0, mut pair1) = (load(high, 0), load(high, 1));
        for w in 0..4 {
            let both = load(low, w);
            // The pair goes to bits 4 and 5 of its byte; bits that cross bytes are masked away.
            let q0 = _mm512_or_si512(
                _mm512_and_si512(both, mask),
                _mm512_and_si512(_mm512_slli_epi16::<4>(pair0), two),
            );
            let q1 = _mm512_or_si512(
                _mm512_and_si512(_mm512_srli_epi16::<4>(both), mask),
                _mm512_and_si512(_mm512_slli_epi16::<4>(pair1), two),
            );
            pair0 = _mm512_srli_epi16::<2>(pair0);
            pair1 = _mm512_srli_epi16::<2>(pair1);
            for t in 0..N {
                firsts[t] = dot(firsts[t], q0, a, t, w);
                seconds[t] = dot(seconds[t], q1, a, t, w + 4);
            }
        }
        let scale0 = _mm512_cvtepi8_epi32(_mm_loadu_si128(scales.cast()));
        let scale1 = _mm512_cvtepi8_epi32(_mm_loadu_si128(scales.add(16).cast()));
        for t in 0..N {
            let first = _mm512_mullo_epi32(scale0, firsts[t]);
            let second = _mm512_mullo_epi32(scale1, seconds[t]);
            firsts[t] = _mm512_add_epi32(first, second);
        }
        firsts
    }

    const PEAK_OPS: usize = 12 * 128;
    #[inline(always)]
    unsafe fn peak(rounds: usize) -> i32 {
        let codes = _mm512_set1_epi8(std::hint::black_box(1));
        let mut sums = [_mm512_setzero_si512(); 12];
        for _ in 0..rounds {
            for sum in &mut sums {
                *sum = _mm512_dpbusd_epi32(*sum, codes, codes);
            }
        }
        let mut all = sums[0];
        for sum in sums {
            all = _mm512_add_epi32(all, sum);
        }
        _mm512_reduce_add_epi32(all)
    }
}
