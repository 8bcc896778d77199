//! The engine of kvsweep on one page.
//!
//! `gguf` opens a model file, `quant` knows its weight types, `tokenizer` turns text into ids, `model` runs the
//! forward pass over a `backend`, `cache` holds K and V in pages (compressed by the rules of `compress`), `engine`
//! schedules sequences and samples tokens. `request` and `events` are the protocol of the commands.
#![deny(missing_docs)]

pub mod backend;
pub mod bench;
pub mod bench_model;
pub mod cache;
pub mod calibrate;
pub mod compress;
pub mod devices;
pub mod dump_kv;
pub mod engine;
pub mod error;
pub mod events;
pub mod gguf;
pub mod hadamard;
pub mod inspect;
pub mod list;
pub mod model;
pub mod npy;
pub mod plan;
pub mod quant;
pub mod random;
pub mod request;
pub mod resolve;
pub mod selftest;
pub mod serve;
pub mod tokenizer;

pub use error::{Error, Result};
