//! Rotary position embedding over adjacent channel pairs (2i, 2i+1).
//!
//! Angles are computed in f64 and rounded to f32 once, so a table has the same bits on every instruction set. Tables
//! are made in blocks of positions when first asked for: a context of 131,072 costs nothing until it is used.

use std::sync::OnceLock;

use crate::{Error, Result};

/// Positions per lazily made block of the table.
const BLOCK: usize = 256;

/// How a file scales the frequencies.
#[derive(Debug, Clone, PartialEq)]
pub enum RopeScaling {
    /// As the base says.
    None,
    /// Every angle is divided by the factor (`rope.scaling.type` linear).
    Linear(f32),
    /// One divisor per pair (`rope_freqs.weight` of Llama 3.1), head_dim / 2 of them.
    Factors(Vec<f32>),
}

/// Rotation of heads of `head_dim` channels at any position of a context.
pub struct Rope {
    head_dim: usize,
    frequencies: Vec<f64>,
    blocks: Vec<OnceLock<Box<[f32]>>>,
}

impl Rope {
    /// A table for positions 0..`positions`.
    ///
    /// # Errors
    /// An odd head dimension, a base or a factor that is no positive number, or a wrong number of factors.
    pub fn new(head_dim: usize, base: f32, scaling: &RopeScaling, positions: usize) -> Result<Rope> {
        let unsupported = |text: String| Err(Error::Unsupported(text));
        if head_dim == 0 || !head_dim.is_multiple_of(2) {
            return unsupported(format!("head dimension {head_dim} has no channel pairs to rotate"));
        }
        if !(base.is_finite() && base > 0.0) {
            return unsupported(format!("rope frequency base {base} is not a positive number"));
        }
        let pairs = head_dim / 2;
        let divisors: Vec<f64> = match scaling {
            RopeScaling::None => vec![1.0; pairs],
            RopeScaling::Linear(factor) => vec![f64::from(*factor); pairs],
            RopeScaling::Factors(factors) if factors.len() == pairs => factors.iter().map(|&f| f64::from(f)).collect(),
            RopeScaling::Factors(factors) => {
                return unsupported(format!("{} rope factors for {pairs} channel pairs", factors.len()))
            }
        };
        if let Some(bad) = divisors.iter().find(|d| !(d.is_finite() && **d > 0.0)) {
            return unsupported(format!("rope scaling factor {bad} is not a positive number"));
        }
        let frequencies = divisors
            .iter()
            .enumerate()
            .map(|(i, divisor)| f64::from(base).powf(-2.0 * i as f64 / head_dim as f64) / divisor)
            .collect();
        let blocks = (0..positions.div_ceil(BLOCK)).map(|_| OnceLock::new()).collect();
        Ok(Rope {
            head_dim,
            frequencies,
            blocks,
        })
    }

    /// Channels per head.
    pub fn head_dim(&self) -> usize {
        self.head_dim
    }

    /// Positions that the table serves (rounded up to whole blocks).
    pub fn positions(&self) -> usize {
        self.blocks.len() * BLOCK
    }

    /// The cosines, then the sines, of position `pos`: [2, head_dim / 2], f32.
    ///
    /// # Panics
    /// If `pos` is not below [`Rope::positions`].
    pub fn row(&self, pos: usize) -> &[f32] {
        let block = self.blocks[pos / BLOCK].get_or_init(|| self.block(pos / BLOCK));
        &block[pos % BLOCK * self.head_dim..][..self.head_dim]
    }

    fn block(&self, block: usize) -> Box<[f32]> {
        let mut rows = Vec::with_capacity(BLOCK * self.head_dim);
        for pos in block * BLOCK..(block + 1) * BLOCK {
            rows.extend(self.frequencies.iter().map(|f| (pos as f64 * f).cos() as f32));
            rows.extend(self.frequencies.iter().map(|f| (pos as f64 * f).sin() as f32));
        }
        rows.into_boxed_slice()
    }

    /// Rotates consecutive heads `x` [heads, head_dim] to position `pos`: one fused multiply-add a channel,
    /// (x0·cos - x1·sin, x1·cos + x0·sin) with the second product rounded first.
    pub fn apply(&self, x: &mut [f32], pos: usize) {
        let (cos, sin) = self.row(pos).split_at(self.head_dim / 2);
        for head in x.chunks_exact_mut(self.head_dim) {
            for ((pair, &c), &s) in head.chunks_exact_mut(2).zip(cos).zip(sin) {
                let (a, b) = (pair[0], pair[1]);
                pair[0] = a.mul_add(c, -(b * s));
                pair[1] = b.mul_add(c, a * s);
            }
        }
    }
}
