//! The paged, compressed KV cache.
