//! Weights as the kernels read them: panels of 16 rows, interleaved by 4 bytes.
//!
//! A panel is a run of steps (32 columns; 256 for the K types), each with the codes and the scales of 16 rows, so that
//! a thread reads its rows as one stream. Bits per weight are those of the file (Q4_K: 4.625, its 6-bit scales are
//! widened to bytes). A type is one file here: how a block of a row is packed, and how a step is added to 16 sums.

mod float;
mod q4_0;
mod q4_1;
mod q4_k;
mod q6_k;
mod q8_0;

pub(crate) use float::{Bf16, F16, F32};
pub(crate) use q4_0::Q4_0;
pub(crate) use q4_1::Q4_1;
pub(crate) use q4_k::Q4K;
pub(crate) use q6_k::Q6K;
pub(crate) use q8_0::Q8_0;

use super::dots::Dots;
use crate::quant::WeightType;

/// Rows of a panel.
pub const PANEL_ROWS: usize = 16;

/// The forms in which a matrix reads its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Inputs {
    /// int8 blocks: quantised weights.
    pub int8: bool,
    /// What the int8 blocks round away, as int8 blocks again: sharp matrices.
    pub residual: bool,
    /// f32: float weights.
    pub float: bool,
}

impl Inputs {
    /// The form for one weight type.
    pub fn of(ty: WeightType) -> Inputs {
        let float = matches!(ty, WeightType::F32 | WeightType::F16 | WeightType::BF16);
        Inputs {
            int8: !float,
            residual: false,
            float,
        }
    }

    /// The forms for both.
    pub fn or(self, other: Inputs) -> Inputs {
        Inputs {
            int8: self.int8 || other.int8,
            residual: self.residual || other.residual,
            float: self.float || other.float,
        }
    }

    /// Whether `other` asks for nothing more.
    pub fn cover(self, other: Inputs) -> bool {
        self.or(other) == self
    }
}

/// One weight type in panel form.
pub(crate) trait Panel {
    /// Columns of a step.
    const COLS: usize;
    /// Bytes of a step, 16 rows.
    const BYTES: usize;
    /// Bytes of the file per step and row.
    const FILE_BYTES: usize;
    /// `ActBlock` or f32.
    type Input;
    /// Inputs of a step, per token.
    const INPUTS: usize;

    /// Puts one row's part of a step (`block`, as in the file, short only at the end of a float row) into `step`, which
    /// was zero.
    fn pack(block: &[u8], row: usize, step: &mut [u8]);

    /// Adds a step to y [N tokens][16 rows]; with `fetch`, asks for what comes [`AHEAD`]. Unsafe: `step` holds a step,
    /// `a` its inputs for a tile of N tokens.
    unsafe fn add<V: Dots, const N: usize>(step: *const u8, a: *const Self::Input, y: &mut [V; N], fetch: bool);
}

/// What packing needs to know of a type.
pub(crate) struct Layout {
    pub cols: usize,
    pub bytes: usize,
    pub file_bytes: usize,
    pub pack: fn(&[u8], usize, &mut [u8]),
}

impl Layout {
    const fn new<P: Panel>() -> Layout {
        Layout {
            cols: P::COLS,
            bytes: P::BYTES,
            file_bytes: P::FILE_BYTES,
            pack: P::pack,
        }
    }

    /// The panel form of a type.
    pub fn of(ty: WeightType) -> Layout {
        match ty {
            WeightType::F32 => Layout::new::<F32>(),
            WeightType::F16 => Layout::new::<F16>(),
            WeightType::BF16 => Layout::new::<Bf16>(),
            WeightType::Q4_0 => Layout::new::<Q4_0>(),
            WeightType::Q4_1 => Layout::new::<Q4_1>(),
            WeightType::Q8_0 => Layout::new::<Q8_0>(),
            WeightType::Q4K => Layout::new::<Q4K>(),
            WeightType::Q6K => Layout::new::<Q6K>(),
        }
    }
}

/// Bytes between a load and the prefetch that runs ahead of it: about the latency of memory.
const AHEAD: usize = 3_072;

/// Asks for the lines that lie [`AHEAD`] of `bytes` bytes from `at`. A few at a time: a burst for 256 columns stalls on
/// the lines in flight.
#[inline(always)]
unsafe fn fetch_ahead<V: Dots>(at: *const u8, bytes: usize) {
    for line in (0..bytes).step_by(64) {
        V::prefetch(at.wrapping_add(AHEAD + line));
    }
}

/// Writes 4-byte words of one row into a block of words of 16 rows.
fn interleave(words: &[u8], row: usize, out: &mut [u8]) {
    for (w, word) in words.chunks_exact(4).enumerate() {
        out[w * 4 * PANEL_ROWS + 4 * row..][..4].copy_from_slice(word);
    }
}

/// Writes one row's f16 into a run of 16.
fn put_half(bits: &[u8], row: usize, out: &mut [u8]) {
    out[2 * row..][..2].copy_from_slice(&bits[..2]);
}
