//! The CPU backend. Bits depend neither on the instruction set nor on the thread count.

pub mod activations;
pub mod arena;
pub mod attention;
pub mod codec;
mod dots;
pub mod exp2;
pub mod forward;
pub mod isa;
mod kv_lanes;
pub(crate) mod lanes;
pub mod linear;
pub mod math;
pub mod matrix;
pub mod panel;
pub mod peak;
pub mod scores;
pub mod seal;
pub mod shared;
mod slab;
pub mod sparse;
pub mod threads;

pub use activations::Activations;
pub use forward::Cpu;
pub use isa::Isa;
pub use linear::linear;
pub use matrix::{PackedMatrix, Rows};
pub use panel::Inputs;
pub use threads::Pool;
