//! [`Lanes`] in one 512-bit register.

use std::arch::x86_64::*;

use half::f16;

use super::{Lanes, LANES};

/// Sixteen lanes in one register.
#[derive(Clone, Copy)]
pub(crate) struct Avx512(__m512);

impl Lanes for Avx512 {
    const WIDE: bool = true;

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        Avx512(_mm512_set1_ps(x))
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        Avx512(_mm512_loadu_ps(from))
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        _mm512_storeu_ps(to, self.0);
    }

    #[inline(always)]
    unsafe fn load_f16(from: *const f16) -> Self {
        Avx512(_mm512_cvtph_ps(_mm256_loadu_si256(from.cast())))
    }

    #[inline(always)]
    unsafe fn store_f16(self, to: *mut f16) {
        let half = _mm512_cvtps_ph::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(self.0);
        _mm256_storeu_si256(to.cast(), half);
    }

    #[inline(always)]
    unsafe fn load_codes<const BITS: usize>(from: *const u8) -> Self {
        let codes = match BITS {
            2 => {
                let word = _mm512_set1_epi32(from.cast::<i32>().read_unaligned());
                let shift = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
                _mm512_and_si512(_mm512_srlv_epi32(word, shift), _mm512_set1_epi32(3))
            }
            4 => {
                let words = _mm512_castsi128_si512(_mm_loadl_epi64(from.cast()));
                let which = _mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
                let shift = _mm512_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28, 0, 4, 8, 12, 16, 20, 24, 28);
                let spread = _mm512_permutexvar_epi32(which, words);
                _mm512_and_si512(_mm512_srlv_epi32(spread, shift), _mm512_set1_epi32(15))
            }
            _ => _mm512_cvtepu8_epi32(_mm_loadu_si128(from.cast())),
        };
        Avx512(_mm512_cvtepi32_ps(codes))
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
    unsafe fn add(self, b: Self) -> Self {
        Avx512(_mm512_add_ps(self.0, b.0))
    }

    #[inline(always)]
    unsafe fn sub(self, b: Self) -> Self {
        Avx512(_mm512_sub_ps(self.0, b.0))
    }

    #[inline(always)]
    unsafe fn mul(self, b: Self) -> Self {
        Avx512(_mm512_mul_ps(self.0, b.0))
    }

    #[inline(always)]
    unsafe fn div(self, b: Self) -> Self {
        Avx512(_mm512_div_ps(self.0, b.0))
    }

    #[inline(always)]
    unsafe fn fma(self, b: Self, c: Self) -> Self {
        Avx512(_mm512_fmadd_ps(self.0, b.0, c.0))
    }

    #[inline(always)]
    unsafe fn fma_alternate(self, b: Self, c: Self) -> Self {
        Avx512(_mm512_fmaddsub_ps(self.0, b.0, c.0))
    }

    #[inline(always)]
    unsafe fn max(self, b: Self) -> Self {
        Avx512(_mm512_max_ps(self.0, b.0))
    }

    #[inline(always)]
    unsafe fn min(self, b: Self) -> Self {
        Avx512(_mm512_min_ps(self.0, b.0))
    }

    #[inline(always)]
    unsafe fn round(self) -> Self {
        Avx512(_mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(self.0))
    }

    #[inline(always)]
    unsafe fn power_of_two(self) -> Self {
        let biased = _mm512_add_epi32(_mm512_cvtps_epi32(self.0), _mm512_set1_epi32(127));
        Avx512(_mm512_castsi512_ps(_mm512_slli_epi32::<23>(biased)))
    }

    #[inline(always)]
    unsafe fn zero_below(self, limit: Self, value: Self) -> Self {
        let below = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(self.0, limit.0);
        Avx512(_mm512_maskz_mov_ps(!below, value.0))
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
    unsafe fn fold(self) -> f32 {
        let x = _mm256_add_ps(_mm512_castps512_ps256(self.0), _mm512_extractf32x8_ps::<1>(self.0));
        super::avx2::fold8(x)
    }

    #[inline(always)]
    unsafe fn fold_each(vectors: &[Self; LANES]) -> Self {
        // Step by step the folds 8, 4, 2, 1 of two vectors share one register. Vector 4l + p enters as label 4p + l,
        // because the last shuffle leaves label 4p + l in lane 4l + p.
        let label = |i: usize| vectors[i % 4 * 4 + i / 4].0;
        let mut by8 = [_mm512_setzero_ps(); 8];
        let mut i = 0;
        while i < 8 {
            let (a, b) = (label(2 * i), label(2 * i + 1));
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
}
