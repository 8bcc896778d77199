//! What attention and seal need of sixteen lanes beyond [`Lanes`]: codes, rotated pairs, many sums at once.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod scalar;

use super::lanes::{Lanes, LANES};

/// More of [`Lanes`], under the same conditions: every method needs the instruction set of its implementation, pointers
/// must be valid for the stated number of elements, of any alignment.
pub(crate) trait KvLanes: Lanes {
    /// Whether there are 32 registers of sixteen lanes, for large tiles.
    const WIDE: bool;

    /// Reads 16 codes of BITS (1, 2, 3, 4 or 8), low bits first: 2 * BITS bytes.
    unsafe fn load_codes<const BITS: usize>(p: *const u8) -> Self;
    /// Reads 16 codes of BITS (1 to 4) as above, each as the lane of `table` that it names.
    unsafe fn look_up<const BITS: usize>(p: *const u8, table: Self) -> Self;
    /// Reads 16 signed bytes as numbers.
    unsafe fn load_i8(p: *const i8) -> Self;
    /// Reads 16 E4M3 bytes; exact.
    unsafe fn load_e4m3(p: *const u8) -> Self;
    /// Writes 16 whole numbers of 0..=255 as bytes.
    unsafe fn store_u8(self, p: *mut u8);
    /// Reads 8 values, each into two adjacent lanes.
    unsafe fn load_pairs(p: *const f32) -> Self;
    /// self * b - c in even lanes, self * b + c in odd lanes, one rounding.
    unsafe fn fma_alternate(self, b: Self, c: Self) -> Self;
    /// 1 in the lanes that are 0, the lane elsewhere.
    unsafe fn one_if_zero(self) -> Self;
    /// Adjacent lanes exchanged.
    unsafe fn swap_pairs(self) -> Self;
    /// Lane t = [`Lanes::sum`] of vector t.
    unsafe fn sum_each(vectors: &[Self; LANES]) -> Self;
    /// Transposes 16 x 16: lane j of vector i goes to lane i of vector j.
    unsafe fn transpose(rows: &mut [Self; LANES]);
}
