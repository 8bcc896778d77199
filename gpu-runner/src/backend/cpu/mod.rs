//! The CPU backend. Bits depend neither on the instruction set nor on the thread count.

pub mod activations;
mod dots;
pub mod exp2;
pub mod isa;
pub(crate) mod lanes;
pub mod linear;
pub mod math;
pub mod matrix;
pub mod panel;
pub mod peak;
mod slab;
pub mod threads;

pub use activations::Activations;
pub use isa::Isa;
pub use linear::linear;
pub use matrix::{PackedMatrix, Rows};
pub use panel::Inputs;
pub use threads::Pool;
