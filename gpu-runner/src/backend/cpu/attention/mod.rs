//! Attention on the CPU: exact over the prompt, and over pages and window in a decode step.
//!
//! Every score is one dot product of fixed order, a softmax is f32, and a result depends on the own sequence alone: not
//! on the batch, on the thread count or on the instruction set. A GQA group shares each load of K and V.

mod columns;
mod decode;
mod prefill;
pub(super) mod rows;
mod step_weights;

pub use columns::column_sums;
pub use decode::{decode, CHUNK};
pub use prefill::prefill;
pub use step_weights::StepWeights;

/// 1 / sqrt(head_dim) · log2(e): scores become exponents of 2. It multiplies the f32 score, not q.
fn exponent_scale(head_dim: usize) -> f32 {
    (std::f64::consts::LOG2_E / (head_dim as f64).sqrt()) as f32
}
