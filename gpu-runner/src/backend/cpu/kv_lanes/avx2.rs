//! [`KvLanes`] in two 256-bit registers.

use std::arch::x86_64::*;

use super::{KvLanes, LANES};
use crate::backend::cpu::lanes::{avx2::Avx2, Lanes};

/// Eight lanes that hold whole numbers of 0..=255, as bytes.
#[inline(always)]
unsafe fn bytes(x: __m256) -> __m128i {
    let words = _mm256_cvtps_epi32(x);
    let halves = _mm_packus_epi32(_mm256_castsi256_si128(words), _mm256_extracti128_si256::<1>(words));
    _mm_packus_epi16(halves, halves)
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
    let (a, b) = (by_two(by4[0], by4[1]), by_two(by4[2], by4[3]));
    _mm256_add_ps(_mm256_shuffle_ps::<0x88>(a, b), _mm256_shuffle_ps::<0xdd>(a, b))
}

/// Fold 2 of two vectors in one.
#[inline(always)]
unsafe fn by_two(a: __m256, b: __m256) -> __m256 {
    _mm256_add_ps(_mm256_shuffle_ps::<0x44>(a, b), _mm256_shuffle_ps::<0xee>(a, b))
}

impl KvLanes for Avx2 {
    const WIDE: bool = false;

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
                let low = _mm256_set1_epi32(from.cast::<i32>().read_unaligned());
                let high = _mm256_set1_epi32(from.add(4).cast::<i32>().read_unaligned());
                let shift = _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28);
                let mask = _mm256_set1_epi32(15);
                (
                    _mm256_and_si256(_mm256_srlv_epi32(low, shift), mask),
                    _mm256_and_si256(_mm256_srlv_epi32(high, shift), mask),
                )
            }
            _ => (
                _mm256_cvtepu8_epi32(_mm_loadl_epi64(from.cast())),
                _mm256_cvtepu8_epi32(_mm_loadl_epi64(from.add(8).cast())),
            ),
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
    unsafe fn fma_alternate(self, b: Self, c: Self) -> Self {
        Avx2(
            _mm256_fmaddsub_ps(self.0, b.0, c.0),
            _mm256_fmaddsub_ps(self.1, b.1, c.1),
        )
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
    unsafe fn sum_each(vectors: &[Self; LANES]) -> Self {
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

    #[inline(always)]
    unsafe fn transpose(rows: &mut [Self; LANES]) {
        let mut square = [0f32; LANES * LANES];
        for (i, row) in rows.iter().enumerate() {
            let mut lanes = [0f32; LANES];
            row.store(lanes.as_mut_ptr());
            for (j, x) in lanes.iter().enumerate() {
                square[j * LANES + i] = *x;
            }
        }
        for (i, row) in rows.iter_mut().enumerate() {
            *row = Self::load(square.as_ptr().add(i * LANES));
        }
    }
}
