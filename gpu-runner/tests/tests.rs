//! The integration tests of the engine, one module a topic.

/// Attention over prompts, pages and windows.
mod attention;
/// The paged cache: identity, isolation, bounds, bytes, refusals.
mod cache;
/// Calibration from a model's keys to a cell, and artefacts that are refused.
mod calibrate;
/// Artefacts for the other tests.
mod calibrated;
/// Chat prompts: templates, control tokens in messages, prompts in parts.
mod chat;
/// Codecs of one token's vector: examples, brute force, bytes, attention.
mod codecs;
/// The registry and the resolution of requests.
mod compress;
/// What the machine offers, and the kernel benches.
mod devices;
/// The command that writes what a prompt leaves in the cache.
mod dump_kv;
/// Workloads on a tiny model: endings, truncation, traces, memory, throughput, scores.
mod engine;
/// Methods that drop entries, end to end on the cache.
mod evict;
/// The pure functions behind scores and budgets.
mod evict_examples;
/// A plain f64 reading of the design's sections on evictors.
mod evict_oracle;
/// Feeds traces with queries to a cache that drops entries.
mod evict_replay;
mod evict_scores;
/// The design's numeric examples.
mod fixtures;
/// Model files: getters, refusals, and thousands of damaged files.
mod gguf;
/// Builds small GGUF files.
mod gguf_file;
/// The real model against llama.cpp and the reference backend.
mod golden;
/// The command that describes a model file.
mod inspect;
/// What tokens must not depend on.
mod invariance;
/// Traces for the cache and its f64 reference.
mod kv_trace;
/// Weights times activations: worked examples, equal bits everywhere, agreement with f64.
mod linear;
/// Vector operations: equal bits on every instruction set, agreement with f64.
mod math;
/// Every compressor of the registry against the invariants of the design.
mod matrix;
/// The real binary over stdio.
mod protocol;
/// Weight types against hand-made and independent vectors.
mod quant;
/// Counter-based random numbers and the Hadamard transform.
mod rng;
/// Rotation of heads.
mod rope;
/// Stores of gear and kvquant.
mod sparse;
/// The encoders of gear and kvquant.
mod sparse_codecs;
/// Parallel regions: every thread runs once, panics surface, nothing deadlocks.
mod threads;
/// A tiny model and cells on it.
mod tiny;
/// Token ids, chat prompts and decoding.
mod tokenizer;
