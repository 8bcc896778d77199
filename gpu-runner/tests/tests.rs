//! The integration tests of the engine, one module a topic.

/// What the machine offers, and the kernel benches.
mod devices;
/// Weights times activations: worked examples, equal bits everywhere, agreement with f64.
mod linear;
/// Vector operations: equal bits on every instruction set, agreement with f64.
mod math;
/// Parallel regions: every thread runs once, panics surface, nothing deadlocks.
mod threads;
