//! What eviction methods share: pure pieces of scores and budgets, each with its own numeric examples.
//!
//! Scores are f32 and a function of the entries alone, never of the number of threads. Sums over many terms run in f64
//! and round once. Whatever grows with the product of two lengths goes through [`Kernels`](super::Kernels) in tiles.

pub mod capacity;
pub mod group;
pub mod pool;
pub mod pyramid;
pub mod redundancy;
pub(super) mod schema;
pub mod unit;
pub mod window;
