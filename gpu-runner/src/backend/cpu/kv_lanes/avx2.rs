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

/// Sixteen codes of BITS, eight a register.
#[inline(always)]
unsafe fn codes<const BITS: usize>(from: *const u8) -> (__m256i, __m256i) {
    match BITS {
        1 => {
            let bits = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
            let word = _mm256_set1_epi32(i32::from(from.cast::<u16>().read_unaligned()));
            let high = _mm256_add_epi32(bits, _mm256_set1_epi32(8));
            let mask = _mm256_set1_epi32(1);
            (
                _mm256_and_si256(_mm256_srlv_epi32(word, bits), mask),
                _mm256_and_si256(_mm256_srlv_epi32(word, high), mask),
            )
        }
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
        3 => {
            // Eight codes are 24 bits; the upper ones are read from one byte before, so that no read leaves the six.
            let low = _mm256_set1_epi32(from.cast::<i32>().read_unaligned());
            let high = _mm256_set1_epi32(from.add(2).cast::<i32>().read_unaligned());
            let shift = _mm256_setr_epi32(0, 3, 6, 9, 12, 15, 18, 21);
            let later = _mm256_add_epi32(shift, _mm256_set1_epi32(8));
            let mask = _mm256_set1_epi32(7);
            (
                _mm256_and_si256(_mm256_srlv_epi32(low, shift), mask),
                _mm256_and_si256(_mm256_srlv_epi32(high, later), mask),
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
    }
}

/// Lanes of a table of sixteen, by eight codes: bit 3 chooses the half.
#[inline(always)]
unsafe fn pick(codes: __m256i, table: Avx2) -> __m256 {
    let low = _mm256_permutevar8x32_ps(table.0, codes);
    let high = _mm256_permutevar8x32_ps(table.1, codes);
    _mm256_blendv_ps(low, high, _mm256_castsi256_ps(_mm256_slli_epi32::<28>(codes)))
}

impl KvLanes for Avx2 {
    const WIDE: bool = false;

    #[inline(always)]
    unsafe fn load_codes<const BITS: usize>(from: *const u8) -> Self {
        let (a, b) = codes::<BITS>(from);
        Avx2(_mm256_cvtepi32_ps(a), _mm256_cvtepi32_ps(b))
    }

    #[inline(always)]
    unsafe fn look_up<const BITS: usize>(from: *const u8, table: Self) -> Self {
        let (a, b) = codes::<BITS>(from);
        Avx2(pick(a, table), pick(b, table))
    }

    #[inline(always)]
    unsafe fn load_i8(from: *const i8) -> Self {
        Avx2(
            _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(from.cast()))),
            _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(from.add(8).cast()))),
        )
    }

    #[inline(always)]
    unsafe fn load_e4m3(from: *const u8) -> Self {
        // The same bits as an f16 are the value times 2^-8: both formats have subnormals, and the bias is 8 more.
        let bytes = _mm256_cvtepu8_epi16(_mm_loadu_si128(from.cast()));
        let sign = _mm256_slli_epi16::<8>(_mm256_and_si256(bytes, _mm256_set1_epi16(0x80)));
        let rest = _mm256_slli_epi16::<7>(_mm256_and_si256(bytes, _mm256_set1_epi16(0x7f)));
        let halves = _mm256_or_si256(sign, rest);
        let factor = _mm256_set1_ps(256.0);
        Avx2(
            _mm256_mul_ps(_mm256_cvtph_ps(_mm256_castsi256_si128(halves)), factor),
            _mm256_mul_ps(_mm256_cvtph_ps(_mm256_extracti128_si256::<1>(halves)), factor),
        )
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
