//! Weight types: block layouts and dequantisation.
