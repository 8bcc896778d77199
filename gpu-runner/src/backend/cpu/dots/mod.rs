//! Exact integer sums of one block: 16 rows of weight codes times the int8 codes of N tokens.
//!
//! Weight codes lie as a panel lays them: word w (4 codes) of rows 0..16, then word w + 1. Each implementation gives
//! the same integers, so that only the float part of `linear` decides the bits.

// Loops count tokens, which index several arrays at once.
#![allow(clippy::needless_range_loop)]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod scalar;

use super::activations::ActBlock;
use super::lanes::Lanes;

/// Bytes of a block of 4-bit codes: byte i of a row has weight i in its low and weight i + 16 in its high nibble.
pub(crate) const NIBBLES: usize = 256;
/// Bytes of a block of 8-bit codes.
pub(crate) const BYTES: usize = 512;
/// Bytes of a block of 2-bit planes: word h of a row, bits 2j.. of its byte i = weight 16 h + 4 j + i.
pub(crate) const PAIRS: usize = 128;

/// Sums of one block for N tokens; `a` points to the N blocks of a tile. Unsafe as [`Lanes`] is: the instruction set,
/// and that `codes` and `a` hold a block.
pub(crate) trait Dots: Lanes {
    /// sum(q a) - 2^OFFSET sum(a), q in 0..=15; without offset for OFFSET = 0.
    unsafe fn nibbles<const N: usize, const OFFSET: u32>(codes: *const u8, a: *const ActBlock) -> [Self::Ints; N];
    /// sum((q - 128) a), q in 0..=255.
    unsafe fn bytes<const N: usize>(codes: *const u8, a: *const ActBlock) -> [Self::Ints; N];
    /// sum over both halves h of scale[h] (sum(q a) - 32 sum(a)), q in 0..=63 from a block of nibbles and one of pairs;
    /// `scales` [2][16 rows].
    unsafe fn sixes<const N: usize>(
        low: *const u8,
        high: *const u8,
        scales: *const i8,
        a: *const ActBlock,
    ) -> [Self::Ints; N];

    /// Integer operations (a multiply-add is two) of one round of [`Dots::peak`].
    const PEAK_OPS: usize;
    /// The fastest instruction for int8 products, independent and in registers: what the machine can do at most. The
    /// result only keeps the work alive.
    unsafe fn peak(rounds: usize) -> i32;
}
