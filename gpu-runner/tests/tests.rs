//! The integration tests of the engine, one module a topic.

/// Vector operations: equal bits on every instruction set, agreement with f64.
mod math;
/// Parallel regions: every thread runs once, panics surface, nothing deadlocks.
mod threads;
