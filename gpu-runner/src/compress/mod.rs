//! Compressors: data and pure functions, one file a method.
