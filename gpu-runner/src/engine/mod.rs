//! Runs cells on a loaded model: who is admitted, which token comes next, what is reported.
//!
//! A *driver* knows what one sample wants (an answer, scores); *seats* hold the running sequences and know the model;
//! a scheduler (`batch_static`, `batch_continuous`) decides who sits. None of them knows the others' business.

pub mod batch_continuous;
pub mod batch_static;
pub mod cell;
pub mod generate;
pub mod loaded;
pub mod prompt;
pub mod sampler;
pub mod score;
pub mod seats;
pub mod stats;
pub mod throughput;

pub use cell::run_cell;
pub use loaded::Loaded;
