//! [`Lanes`] in two 256-bit registers.

use std::arch::x86_64::*;

use half::f16;

use super::{Lanes, LANES};

/// Lanes 0..8 and 8..16.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(__m256, __m256);

/// Sum of eight lanes, folded 4, 2, 1.
#[inline(always)]
pub(super) unsafe fn fold8(x: __m256) -> f32 {
    let x = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
    let x = _mm_add_ps(x, _mm_movehl_ps(x, x));
    _mm_cvtss_f32(_mm_add_ss(x, _mm_shuffle_ps::<1>(x, x)))
}

/// Eight lanes that hold whole numbers of 0..=255, as bytes.
#[inline(always)]
unsafe fn bytes(x: __m256) -> __m128i {
    let words = _mm256_cvtps_epi32(x);
    let halves = _mm_packus_epi32(_mm256_castsi256_si128(words), _mm256_extracti128_si256::<1>(words));
    _mm_packus_epi16(halves, halves)
}

#[inline(always)]
unsafe fn power_of_two(n: __m256) -> __m256 {
    let biased = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
    _mm256_castsi256_ps(_mm256_slli_epi32::<23>(biased))
}

#[inline(always)]
unsafe fn pairs(from: *const f32) -> __m256 {
    let each = _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3);
    _mm256_permutevar8x32_ps(_mm256_castps128_ps256(_mm_loadu_ps(from)), each)
}

#[inline(always)]
unsafe fn one_if_zero(x: __m256) -> __m256 {
    _mm256_blendv_ps(
        x,
        _mm256_set1_ps(1.0),
        _mm256_cmp_ps::<_CMP_EQ_OQ>(x, _mm256_setzero_ps()),
    )
}

/// Lane t = fold 4, 2, 1 of x[t], as in the 512-bit form.
#[inline(always)]
unsafe fn fold_eight(x: [__m256; 8]) -> __m256 {
    // Vector 4l + p enters as label 2p + l: the last shuffle leaves that label in lane 4l + p.
    let mut by4 = [_mm256_setzero_ps(); 4];
    let mut i = 0;
    while i < 4 {
        let (a, b) = (x[i], x[4 + i]);
        by4[i] = _mm256_add_ps(
            _mm256_permute2f128_ps::<0x20>(a, b),
            _mm256_permute2f128_ps::<0x31>(a, b),
        );
        i += 1;
    }
    let two = |a, b| _mm256_add_ps(_mm256_shuffle_ps::<0x44>(a, b), _mm256_shuffle_ps::<0xee>(a, b));
    let (a, b) = (two(by4[0], by4[1]), two(by4[2], by4[3]));
    _mm256_add_ps(_mm256_shuffle_ps::<0x88>(a, b), _mm256_shuffle_ps::<0xdd>(a, b))
}

impl Lanes for Avx2 {
    const WIDE: bool = false;

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        Avx2(_mm256_set1_ps(x), _mm256_set1_ps(x))
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        Avx2(_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8)))
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        _mm256_storeu_ps(to, self.0);
        _mm256_storeu_ps(to.add(8), self.1);
    }

    #[inline(always)]
    unsafe fn load_f16(from: *const f16) -> Self {
        let half = |at: *const f16| _mm256_cvtph_ps(_mm_loadu_si128(at.cast()));
        Avx2(half(from), half(from.add(8)))
    }

    #[inline(always)]
    unsafe fn store_f16(self, to: *mut f16) {
        let half = |x| _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(x);
        _mm_storeu_si128(to.cast(), half(self.0));
        _mm_storeu_si128(to.add(8).cast(), half(self.1));
    }

    #[inline(always)]
    unsafe fn load_codes<const BITS: usize>(from: *const u8) -> Self {
        let (a, b) = match BITS {
            2 => {
                let word = _mm256_set1_epi32(from.cast::<i32>().read_unaligned());
                let low = _mm256_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14);
                let high = _mm256_setr_epi32(16, 18, 20, 22, 24, 26, 28, 30);
                let mask = _mm256_set1_epi32(3);
                (
                    _mm256_and_si256(_mm256_srlv_epi32(word, low), mask),
                    _mm256_and_si256(_mm256_srlv_epi32(word, high), mask),
                )
            }
            4 => {
                let word = |at: usize| _mm256_set1_epi32(from.add(at).cast::<i32>().read_unaligned());
                let shift = _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28);
                let mask = _mm256_set1_epi32(15);
                (
                    _mm256_and_si256(_mm256_srlv_epi32(word(0), shift), mask),
                    _mm256_and_si256(_mm256_srlv_epi32(word(4), shift), mask),
                )
            }
            _ => {
                let byte = |at: usize| _mm256_cvtepu8_epi32(_mm_loadl_epi64(from.add(at).cast()));
                (byte(0), byte(8))
            }
        };
        Avx2(_mm256_cvtepi32_ps(a), _mm256_cvtepi32_ps(b))
    }

    #[inline(always)]
    unsafe fn store_u8(self, to: *mut u8) {
        _mm_storel_epi64(to.cast(), bytes(self.0));
        _mm_storel_epi64(to.add(8).cast(), bytes(self.1));
    }

    #[inline(always)]
    unsafe fn load_pairs(from: *const f32) -> Self {
        Avx2(pairs(from), pairs(from.add(4)))
    }

    #[inline(always)]
    unsafe fn add(self, b: Self) -> Self {
        Avx2(_mm256_add_ps(self.0, b.0), _mm256_add_ps(self.1, b.1))
    }

    #[inline(always)]
    unsafe fn sub(self, b: Self) -> Self {
        Avx2(_mm256_sub_ps(self.0, b.0), _mm256_sub_ps(self.1, b.1))
    }

    #[inline(always)]
    unsafe fn mul(self, b: Self) -> Self {
        Avx2(_mm256_mul_ps(self.0, b.0), _mm256_mul_ps(self.1, b.1))
    }

    #[inline(always)]
    unsafe fn div(self, b: Self) -> Self {
        Avx2(_mm256_div_ps(self.0, b.0), _mm256_div_ps(self.1, b.1))
    }

    #[inline(always)]
    unsafe fn fma(self, b: Self, c: Self) -> Self {
        Avx2(_mm256_fmadd_ps(self.0, b.0, c.0), _mm256_fmadd_ps(self.1, b.1, c.1))
    }

    #[inline(always)]
    unsafe fn fma_alternate(self, b: Self, c: Self) -> Self {
        Avx2(
            _mm256_fmaddsub_ps(self.0, b.0, c.0),
            _mm256_fmaddsub_ps(self.1, b.1, c.1),
        )
    }

    #[inline(always)]
    unsafe fn max(self, b: Self) -> Self {
        Avx2(_mm256_max_ps(self.0, b.0), _mm256_max_ps(self.1, b.1))
    }

    #[inline(always)]
    unsafe fn min(self, b: Self) -> Self {
        Avx2(_mm256_min_ps(self.0, b.0), _mm256_min_ps(self.1, b.1))
    }

    #[inline(always)]
    unsafe fn round(self) -> Self {
        const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
        Avx2(_mm256_round_ps::<NEAREST>(self.0), _mm256_round_ps::<NEAREST>(self.1))
    }

    #[inline(always)]
    unsafe fn power_of_two(self) -> Self {
        Avx2(power_of_two(self.0), power_of_two(self.1))
    }

    #[inline(always)]
    unsafe fn zero_below(self, limit: Self, value: Self) -> Self {
        let keep = |x, limit, value| _mm256_andnot_ps(_mm256_cmp_ps::<_CMP_LT_OQ>(x, limit), value);
        Avx2(keep(self.0, limit.0, value.0), keep(self.1, limit.1, value.1))
    }

    #[inline(always)]
    unsafe fn one_if_zero(self) -> Self {
        Avx2(one_if_zero(self.0), one_if_zero(self.1))
    }

    #[inline(always)]
    unsafe fn swap_pairs(self) -> Self {
        Avx2(
            _mm256_permute_ps::<0b10_11_00_01>(self.0),
            _mm256_permute_ps::<0b10_11_00_01>(self.1),
        )
    }

    #[inline(always)]
    unsafe fn fold(self) -> f32 {
        fold8(_mm256_add_ps(self.0, self.1))
    }

    #[inline(always)]
    unsafe fn fold_each(vectors: &[Self; LANES]) -> Self {
        let mut low = [_mm256_setzero_ps(); 8];
        let mut high = low;
        let mut i = 0;
        while i < 8 {
            low[i] = _mm256_add_ps(vectors[i].0, vectors[i].1);
            high[i] = _mm256_add_ps(vectors[8 + i].0, vectors[8 + i].1);
            i += 1;
        }
        Avx2(fold_eight(low), fold_eight(high))
    }
}
