//! Model shapes, weights and the forward pass.

pub mod config;
pub mod dummy;
pub mod file;
pub mod llama;
pub mod rope;
pub mod weights;

pub use config::Config;
pub use llama::{Llama, Runner, Times};

/// The attention shape of a model. Query head i reads kv head i / (q_heads / kv_heads).
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Shape {
    /// Layers.
    pub layers: usize,
    /// Query heads per layer.
    pub q_heads: usize,
    /// KV heads per layer.
    pub kv_heads: usize,
    /// Channels per head.
    pub head_dim: usize,
}

impl Shape {
    /// Query heads that share one kv head.
    pub fn group(&self) -> usize {
        self.q_heads / self.kv_heads
    }
}
