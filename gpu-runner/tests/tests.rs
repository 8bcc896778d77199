//! The integration tests of the engine, one module a topic.

/// Parallel regions: every thread runs once, panics surface, nothing deadlocks.
mod threads;
