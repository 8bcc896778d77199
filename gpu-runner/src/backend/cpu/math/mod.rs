//! The vector operations of a forward pass, each written once over sixteen lanes, with equal bits on every instruction
//! set. Slices are one row; callers cut batches into rows.

mod choose;
mod convert;
mod norm;
mod swiglu;
mod vector;

pub use choose::{argmax, first_not_finite, log_sum_exp};
pub use convert::{f16_to_f32, f32_to_f16};
pub use norm::{add_rms_norm, rms_norm};
pub use swiglu::swiglu;
pub use vector::{add, dot, max, scale_add, softmax};
