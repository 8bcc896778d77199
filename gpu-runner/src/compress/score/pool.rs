//! Pooling along keys: a key that stands beside an important one is worth more than its own weight says.

use super::group::larger;

/// How scores of neighbouring keys combine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// The largest; places outside do not count.
    Max,
    /// The sum over the kernel divided by the kernel's length: places outside count as 0.
    Avg,
    /// Every key for itself.
    None,
}

impl Pooling {
    /// The pooling of this name.
    ///
    /// # Panics
    /// If there is none: parameters are checked before.
    pub fn named(name: &str) -> Pooling {
        match name {
            "max" => Pooling::Max,
            "avg" => Pooling::Avg,
            "none" => Pooling::None,
            other => panic!("there is no pooling {other}"),
        }
    }

    /// Pools `scores` [n] with stride 1 over `i - kernel/2 ..= i + kernel/2`, cut to the scores; `kernel` is odd.
    pub fn apply(self, scores: &[f32], kernel: usize) -> Vec<f32> {
        let half = kernel / 2;
        let around = |i: usize| &scores[i.saturating_sub(half)..scores.len().min(i + half + 1)];
        match self {
            Pooling::None => scores.to_vec(),
            Pooling::Max => (0..scores.len())
                .map(|i| around(i).iter().copied().fold(f32::NEG_INFINITY, larger))
                .collect(),
            Pooling::Avg => (0..scores.len()).map(|i| mean(around(i), kernel)).collect(),
        }
    }
}

fn mean(scores: &[f32], kernel: usize) -> f32 {
    (scores.iter().map(|s| f64::from(*s)).sum::<f64>() / kernel as f64) as f32
}
