//! What the forward pass runs on.

pub mod cpu;
