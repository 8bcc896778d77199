//! The CPU backend. Bits depend neither on the instruction set nor on the thread count.

pub mod arena;
pub mod attention;
pub mod isa;
mod lanes;
pub mod seal;
pub mod threads;

pub use isa::Isa;
pub use threads::Pool;
