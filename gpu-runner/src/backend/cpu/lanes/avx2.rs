//! Sixteen lanes as two AVX2 registers (lanes 0-7 and 8-15), with FMA and F16C.

use super::Lanes;
use std::arch::x86_64::*;

/// Sixteen f32 in two registers.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(pub __m256, pub __m256);

impl Lanes for Avx2 {
    type Ints = [__m256i; 2];

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        let x = _mm256_set1_ps(x);
        Avx2(x, x)
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        Avx2(_mm256_loadu_ps(p), _mm256_loadu_ps(p.add(8)))
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        _mm256_storeu_ps(p, self.0);
        _mm256_storeu_ps(p.add(8), self.1);
    }
    #[inline(always)]
    unsafe fn load_f16(p: *const u16) -> Self {
        Avx2(
            _mm256_cvtph_ps(_mm_loadu_si128(p.cast())),
            _mm256_cvtph_ps(_mm_loadu_si128(p.add(8).cast())),
        )
    }
    #[inline(always)]
    unsafe fn store_f16(self, p: *mut u16) {
        const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT;
        _mm_storeu_si128(p.cast(), _mm256_cvtps_ph::<NEAREST>(self.0));
        _mm_storeu_si128(p.add(8).cast(), _mm256_cvtps_ph::<NEAREST>(self.1));
    }
    #[inline(always)]
    unsafe fn load_bf16(p: *const u16) -> Self {
        let lo = _mm256_cvtepu16_epi32(_mm_loadu_si128(p.cast()));
        let hi = _mm256_cvtepu16_epi32(_mm_loadu_si128(p.add(8).cast()));
        Avx2(
            _mm256_castsi256_ps(_mm256_slli_epi32::<16>(lo)),
            _mm256_castsi256_ps(_mm256_slli_epi32::<16>(hi)),
        )
    }
    #[inline(always)]
    unsafe fn load_u8(p: *const u8) -> Self {
        let bytes = _mm_loadu_si128(p.cast());
        let lo = _mm256_cvtepu8_epi32(bytes);
        let hi = _mm256_cvtepu8_epi32(_mm_srli_si128::<8>(bytes));
        Avx2(_mm256_cvtepi32_ps(lo), _mm256_cvtepi32_ps(hi))
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
    unsafe fn scale2(self, n: Self) -> Self {
        Avx2(scale2(self.0, n.0), scale2(self.1, n.1))
    }
    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        let eight = _mm256_add_ps(self.0, self.1);
        let four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
        let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
        _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
    }
    #[inline(always)]
    unsafe fn largest(self) -> f32 {
        let eight = _mm256_max_ps(self.0, self.1);
        let four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
        let two = _mm_max_ps(four, _mm_movehl_ps(four, four));
        _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps::<1>(two, two)))
    }
    #[inline(always)]
    unsafe fn store_i8(self, p: *mut i8) {
        let words = _mm256_packs_epi32(_mm256_cvtps_epi32(self.0), _mm256_cvtps_epi32(self.1));
        // packs works within 128-bit halves: 64-bit groups come out as 0, 2, 1, 3.
        let words = _mm256_permute4x64_epi64::<0b11_01_10_00>(words);
        let bytes = _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256::<1>(words));
        _mm_storeu_si128(p.cast(), bytes);
    }
    #[inline(always)]
    unsafe fn prefetch(p: *const u8) {
        _mm_prefetch::<_MM_HINT_T0>(p.cast())
    }
    #[inline(always)]
    unsafe fn zero_ints() -> Self::Ints {
        [_mm256_setzero_si256(); 2]
    }
    #[inline(always)]
    unsafe fn max_abs_bits(self, acc: Self::Ints) -> Self::Ints {
        let mask = _mm256_set1_epi32(0x7fff_ffff);
        [
            _mm256_max_epi32(acc[0], _mm256_and_si256(mask, _mm256_castps_si256(self.0))),
            _mm256_max_epi32(acc[1], _mm256_and_si256(mask, _mm256_castps_si256(self.1))),
        ]
    }
    #[inline(always)]
    unsafe fn largest_int(ints: Self::Ints) -> i32 {
        let eight = _mm256_max_epi32(ints[0], ints[1]);
        let four = _mm_max_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256::<1>(eight));
        let two = _mm_max_epi32(four, _mm_shuffle_epi32::<0b00_00_11_10>(four));
        _mm_cvtsi128_si32(_mm_max_epi32(two, _mm_shuffle_epi32::<1>(two)))
    }
    #[inline(always)]
    unsafe fn from_ints(ints: Self::Ints) -> Self {
        Avx2(_mm256_cvtepi32_ps(ints[0]), _mm256_cvtepi32_ps(ints[1]))
    }
}

/// x * 2^n by two normal factors: the first product is exact, the second rounds once.
#[inline(always)]
unsafe fn scale2(x: __m256, n: __m256) -> __m256 {
    let bias = _mm256_set1_epi32(127);
    let n = _mm256_cvtps_epi32(n);
    let half = _mm256_srai_epi32::<1>(n);
    let rest = _mm256_sub_epi32(n, half);
    let first = _mm256_castsi256_ps(_mm256_slli_epi32::<23>(_mm256_add_epi32(half, bias)));
    let second = _mm256_castsi256_ps(_mm256_slli_epi32::<23>(_mm256_add_epi32(rest, bias)));
    _mm256_mul_ps(_mm256_mul_ps(x, first), second)
}
