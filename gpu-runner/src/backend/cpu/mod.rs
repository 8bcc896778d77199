//! The CPU backend. Bits depend neither on the instruction set nor on the thread count.

pub mod exp2;
pub mod isa;
pub(crate) mod lanes;
pub mod threads;

pub use isa::Isa;
pub use threads::Pool;
