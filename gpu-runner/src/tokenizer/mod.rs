//! Text to token ids and back, from the model file's own vocabulary.
