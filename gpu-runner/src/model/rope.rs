//! Rotary position embedding over adjacent channel pairs (2i, 2i+1).
