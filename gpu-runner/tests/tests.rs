//! The integration tests of the engine, one module a topic.

/// What the machine offers, and the kernel benches.
mod devices;
/// Model files: getters, refusals, and thousands of damaged files.
mod gguf;
/// Builds small GGUF files.
mod gguf_file;
/// The command that describes a model file.
mod inspect;
/// Weights times activations: worked examples, equal bits everywhere, agreement with f64.
mod linear;
/// Vector operations: equal bits on every instruction set, agreement with f64.
mod math;
/// Weight types against hand-made and independent vectors.
mod quant;
/// Parallel regions: every thread runs once, panics surface, nothing deadlocks.
mod threads;
/// Token ids, chat prompts and decoding.
mod tokenizer;

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
