//! The CPU backend. Bits depend neither on the instruction set nor on the thread count.

pub mod isa;
pub mod threads;

pub use isa::Isa;
pub use threads::Pool;
