//! What a model file says about its own shape, checked before anything is allocated from it.

use super::rope::RopeScaling;
use super::Shape;

/// The architectures: the table that `list`, loading and the channel order read.
pub const ARCHITECTURES: &[Architecture] = &[
    Architecture {
        name: "llama",
        channel_order: ChannelOrder::Adjacent,
        qkv_bias: false,
    },
    Architecture {
        name: "qwen2",
        channel_order: ChannelOrder::HalfSplit,
        qkv_bias: true,
    },
];

/// One row of [`ARCHITECTURES`].
#[derive(Debug, PartialEq, Eq)]
pub struct Architecture {
    /// `general.architecture` of the file.
    pub name: &'static str,
    /// Which channels of a head make a RoPE pair in the file.
    pub channel_order: ChannelOrder,
    /// Q, K and V have biases.
    pub qkv_bias: bool,
}

/// Which channels of a head make a RoPE pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelOrder {
    /// (2i, 2i + 1), as the engine computes.
    Adjacent,
    /// (i, i + d/2): rows are permuted at load, new row 2i = old i, new 2i + 1 = old i + d/2.
    HalfSplit,
}

impl Architecture {
    /// The row named `name`.
    pub fn find(name: &str) -> Option<&'static Architecture> {
        ARCHITECTURES.iter().find(|a| a.name == name)
    }
}

/// How positions become angles.
#[derive(Debug, Clone, PartialEq)]
pub struct RopeConfig {
    /// Base of the frequencies.
    pub base: f32,
    /// What the file does to them.
    pub scaling: RopeScaling,
}

/// The shape of a model.
#[derive(Debug, Clone)]
pub struct Config {
    /// Its architecture.
    pub arch: &'static Architecture,
    /// Attention shape.
    pub shape: Shape,
    /// Width of the residual stream.
    pub hidden: usize,
    /// Width of the feed-forward layer.
    pub ffn: usize,
    /// Tokens of the vocabulary.
    pub vocab: usize,
    /// Longest sequence.
    pub context: usize,
    /// Added to the mean square in RMS norms.
    pub norm_eps: f32,
    /// Positions.
    pub rope: RopeConfig,
    /// The head is the embedding table.
    pub tied: bool,
}

impl Config {
    /// Rows of the fused Q, K, V matrix.
    pub fn qkv_rows(&self) -> usize {
        (self.shape.q_heads + 2 * self.shape.kv_heads) * self.shape.head_dim
    }

    /// Columns of the attention output.
    pub fn q_width(&self) -> usize {
        self.shape.q_heads * self.shape.head_dim
    }

    /// Weights that one token is multiplied with: all linear layers and the head, no embedding rows.
    pub fn linear_weights(&self) -> u64 {
        let layer = self.hidden * self.qkv_rows() + self.q_width() * self.hidden + 3 * self.hidden * self.ffn;
        (self.shape.layers * layer + self.vocab * self.hidden) as u64
    }
}
