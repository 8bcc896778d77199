//! The integration tests of the engine, one module a topic.

/// What the machine offers, and the kernel benches.
mod devices;
/// Weights times activations: worked examples, equal bits everywhere, agreement with f64.
mod linear;
/// Vector operations: equal bits on every instruction set, agreement with f64.
mod math;
/// Parallel regions: every thread runs once, panics surface, nothing deadlocks.
mod threads;

/// Traces for the cache and its f64 reference.
mod kv_trace;

/// Attention over prompts, pages and windows.
mod attention;

/// The paged cache: identity, isolation, bounds, bytes, refusals.
mod cache;

/// The registry and the resolution of requests.
mod compress;

/// The design's numeric examples.
mod fixtures;

/// Rotation of heads.
mod rope;
