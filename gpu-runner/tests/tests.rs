//! The integration tests of the engine, one module a topic.

/// Chat prompts: templates, control tokens in messages, prompts in parts.
mod chat;
/// Model files: getters, refusals, and thousands of damaged files.
mod gguf;
/// Builds small GGUF files.
mod gguf_file;
/// The command that describes a model file.
mod inspect;
/// Weight types against hand-made and independent vectors.
mod quant;
/// Parallel regions: every thread runs once, panics surface, nothing deadlocks.
mod threads;
/// Token ids, chat prompts and decoding.
mod tokenizer;
