//! The types in which a compressor declares what it drops and when.

/// How many entries a store may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Budget {
    /// All of them.
    Unlimited,
    /// The first `sinks` tokens and the last `recent`.
    Tokens {
        /// Protected first tokens.
        sinks: usize,
        /// Protected last tokens.
        recent: usize,
    },
}

impl Budget {
    /// The number of entries, if there is a bound.
    pub fn entries(self) -> Option<usize> {
        match self {
            Budget::Unlimited => None,
            Budget::Tokens { sinks, recent } => Some(sinks + recent),
        }
    }
}

/// The selection after the last prompt chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection {
    /// Nothing is dropped.
    KeepAll,
    /// Sinks and recent tokens stay, by position alone.
    Positions,
}

/// The rule after a decode forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepRule {
    /// The store grows.
    Nothing,
    /// Over budget, the oldest entry behind the sinks goes and the next token takes its place.
    Ring,
}
