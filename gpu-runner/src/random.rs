//! Counter-based random numbers: a draw is a function of its key and index, so no generator outlives a sample and no
//! order of work can change a result. All arithmetic wraps.

/// The step between counters, 2^64 / golden ratio.
pub const PHI: u64 = 0x9E37_79B9_7F4A_7C15;

/// SplitMix64's finaliser.
pub fn mix64(z: u64) -> u64 {
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Folds five words into a key; the first word names the use, so that no two uses share draws.
pub fn key(seed: u64, words: [u64; 5]) -> u64 {
    words
        .iter()
        .fold(seed, |h, word| mix64(h.wrapping_add(PHI).wrapping_add(*word)))
}

/// Draw `i` of a key, 64 bits.
pub fn draw(key: u64, i: u64) -> u64 {
    mix64(key.wrapping_add(PHI.wrapping_mul(i.wrapping_add(1))))
}

/// Draw `i` of a key in [0, 1), a multiple of 2^-24.
pub fn uniform(key: u64, i: u64) -> f32 {
    (draw(key, i) >> 40) as f32 * (1.0 / 16_777_216.0)
}

/// Draw `i` of a key as -1 or 1.
pub fn sign(key: u64, i: u64) -> f32 {
    match draw(key, i) >> 63 {
        0 => 1.0,
        _ => -1.0,
    }
}

/// First words of the keys.
pub mod uses {
    /// gear's starting matrix; then layer, kv head, tensor (0 K, 1 V), block ordinal.
    pub const GEAR_START: u64 = 1;
    /// Signs of a rotation; then layer, 0, tensor, 0. Draw i belongs to channel i.
    pub const ROTATION_SIGNS: u64 = 2;
    /// Scores of random eviction; then sample seed, layer, kv head, position. Draw 0 is the score.
    pub const RANDOM_EVICTION: u64 = 3;
    /// Sampling a token: draw i belongs to generated token i.
    pub const SAMPLING: u64 = 16;
    /// Weights of dummy models.
    pub const WEIGHTS: u64 = 17;
    /// Prompt ids of a throughput workload without texts.
    pub const PROMPT_IDS: u64 = 18;
}
