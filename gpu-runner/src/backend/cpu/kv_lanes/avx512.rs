//! [`KvLanes`] in one 512-bit register.

use std::arch::x86_64::*;

use super::{KvLanes, LANES};
use crate::backend::cpu::lanes::avx512::Avx512;

/// Sixteen codes of BITS.
#[inline(always)]
unsafe fn codes<const BITS: usize>(from: *const u8) -> __m512i {
    match BITS {
        1 => {
            let word = _mm512_set1_epi32(i32::from(from.cast::<u16>().read_unaligned()));
            let shift = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
            _mm512_and_si512(_mm512_srlv_epi32(word, shift), _mm512_set1_epi32(1))
        }
        2 => {
            let word = _mm512_set1_epi32(from.cast::<i32>().read_unaligned());
            let shift = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
            _mm512_and_si512(_mm512_srlv_epi32(word, shift), _mm512_set1_epi32(3))
        }
        3 => {
            // Eight codes are 24 bits; the upper ones are read from one byte before, so that no read leaves the six.
            let low = _mm256_set1_epi32(from.cast::<i32>().read_unaligned());
            let high = _mm256_set1_epi32(from.add(2).cast::<i32>().read_unaligned());
            let words = _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high);
            let shift = _mm512_setr_epi32(0, 3, 6, 9, 12, 15, 18, 21, 8, 11, 14, 17, 20, 23, 26, 29);
            _mm512_and_si512(_mm512_srlv_epi32(words, shift), _mm512_set1_epi32(7))
        }
        4 => {
            let words = _mm512_castsi128_si512(_mm_loadl_epi64(from.cast()));
            let which = _mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
            let shift = _mm512_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28, 0, 4, 8, 12, 16, 20, 24, 28);
            let spread = _mm512_permutexvar_epi32(which, words);
            _mm512_and_si512(_mm512_srlv_epi32(spread, shift), _mm512_set1_epi32(15))
        }
        _ => _mm512_cvtepu8_epi32(_mm_loadu_si128(from.cast())),
    }
}

impl KvLanes for Avx512 {
    const WIDE: bool = true;

    #[inline(always)]
    unsafe fn load_codes<const BITS: usize>(from: *const u8) -> Self {
        Avx512(_mm512_cvtepi32_ps(codes::<BITS>(from)))
    }

    #[inline(always)]
    unsafe fn look_up<const BITS: usize>(from: *const u8, table: Self) -> Self {
        Avx512(_mm512_permutexvar_ps(codes::<BITS>(from), table.0))
    }

    #[inline(always)]
    unsafe fn load_i8(from: *const i8) -> Self {
        let bytes = _mm_loadu_si128(from.cast());
        Avx512(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes)))
    }

    #[inline(always)]
    unsafe fn load_e4m3(from: *const u8) -> Self {
        // The same bits as an f16 are the value times 2^-8: both formats have subnormals, and the bias is 8 more.
        let bytes = _mm256_cvtepu8_epi16(_mm_loadu_si128(from.cast()));
        let sign = _mm256_slli_epi16::<8>(_mm256_and_si256(bytes, _mm256_set1_epi16(0x80)));
        let rest = _mm256_slli_epi16::<7>(_mm256_and_si256(bytes, _mm256_set1_epi16(0x7f)));
        let halves = _mm256_or_si256(sign, rest);
        Avx512(_mm512_mul_ps(_mm512_cvtph_ps(halves), _mm512_set1_ps(256.0)))
    }

    #[inline(always)]
    unsafe fn store_u8(self, to: *mut u8) {
        _mm_storeu_si128(to.cast(), _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(self.0)));
    }

    #[inline(always)]
    unsafe fn load_pairs(from: *const f32) -> Self {
        let each = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
        Avx512(_mm512_permutexvar_ps(
            each,
            _mm512_castps256_ps512(_mm256_loadu_ps(from)),
        ))
    }

    #[inline(always)]
    unsafe fn fma_alternate(self, b: Self, c: Self) -> Self {
        Avx512(_mm512_fmaddsub_ps(self.0, b.0, c.0))
    }

    #[inline(always)]
    unsafe fn one_if_zero(self) -> Self {
        let zero = _mm512_cmp_ps_mask::<_CMP_EQ_OQ>(self.0, _mm512_setzero_ps());
        Avx512(_mm512_mask_mov_ps(self.0, zero, _mm512_set1_ps(1.0)))
    }

    #[inline(always)]
    unsafe fn swap_pairs(self) -> Self {
        Avx512(_mm512_permute_ps::<0b10_11_00_01>(self.0))
    }

    #[inline(always)]
    unsafe fn sum_each(vectors: &[Self; LANES]) -> Self {
        // Step by step the folds 8, 4, 2, 1 of two vectors share one register. Vector 4l + p enters as label 4p + l,
        // because the last shuffle leaves label 4p + l in lane 4l + p.
        let mut by8 = [_mm512_setzero_ps(); 8];
        let mut i = 0;
        while i < 8 {
            let (first, second) = (2 * i, 2 * i + 1);
            let a = vectors[first % 4 * 4 + first / 4].0;
            let b = vectors[second % 4 * 4 + second / 4].0;
            by8[i] = _mm512_add_ps(_mm512_shuffle_f32x4::<0x44>(a, b), _mm512_shuffle_f32x4::<0xee>(a, b));
            i += 1;
        }
        let mut by4 = [_mm512_setzero_ps(); 4];
        i = 0;
        while i < 4 {
            let (a, b) = (by8[2 * i], by8[2 * i + 1]);
            by4[i] = _mm512_add_ps(_mm512_shuffle_f32x4::<0x88>(a, b), _mm512_shuffle_f32x4::<0xdd>(a, b));
            i += 1;
        }
        let mut by2 = [_mm512_setzero_ps(); 2];
        i = 0;
        while i < 2 {
            let (a, b) = (by4[2 * i], by4[2 * i + 1]);
            by2[i] = _mm512_add_ps(_mm512_shuffle_ps::<0x44>(a, b), _mm512_shuffle_ps::<0xee>(a, b));
            i += 1;
        }
        let (a, b) = (by2[0], by2[1]);
        Avx512(_mm512_add_ps(
            _mm512_shuffle_ps::<0x88>(a, b),
            _mm512_shuffle_ps::<0xdd>(a, b),
        ))
    }

    #[inline(always)]
    unsafe fn transpose(rows: &mut [Self; LANES]) {
        // Blocks of 4 x 4 inside each 128-bit quarter, then the quarters.
        let mut quads = [_mm512_setzero_ps(); LANES];
        let mut i = 0;
        while i < LANES {
            let (a, b, c, d) = (rows[i].0, rows[i + 1].0, rows[i + 2].0, rows[i + 3].0);
            let (ab0, ab1) = (_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
            let (cd0, cd1) = (_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
            quads[i] = _mm512_shuffle_ps::<0x44>(ab0, cd0);
            quads[i + 1] = _mm512_shuffle_ps::<0xee>(ab0, cd0);
            quads[i + 2] = _mm512_shuffle_ps::<0x44>(ab1, cd1);
            quads[i + 3] = _mm512_shuffle_ps::<0xee>(ab1, cd1);
            i += 4;
        }
        i = 0;
        while i < 4 {
            let (a, b, c, d) = (quads[i], quads[4 + i], quads[8 + i], quads[12 + i]);
            let (ab0, ab1) = (_mm512_shuffle_f32x4::<0x88>(a, b), _mm512_shuffle_f32x4::<0xdd>(a, b));
            let (cd0, cd1) = (_mm512_shuffle_f32x4::<0x88>(c, d), _mm512_shuffle_f32x4::<0xdd>(c, d));
            rows[i] = Avx512(_mm512_shuffle_f32x4::<0x88>(ab0, cd0));
            rows[4 + i] = Avx512(_mm512_shuffle_f32x4::<0x88>(ab1, cd1));
            rows[8 + i] = Avx512(_mm512_shuffle_f32x4::<0xdd>(ab0, cd0));
            rows[12 + i] = Avx512(_mm512_shuffle_f32x4::<0xdd>(ab1, cd1));
            i += 1;
        }
    }
}
