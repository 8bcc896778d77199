//! Opens and checks GGUF files.
