//! The types in which a compressor declares what it drops and when.

use crate::model::Shape;

/// When a selection is due. Decode forwards are a sequence's own, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Once, after the last prompt chunk; the store grows from then on.
    Prefill,
    /// After the last prompt chunk and after every decode forward.
    Step,
    /// After the last prompt chunk and after every decode forward whose number is a multiple of `.0`.
    Interval(usize),
}

impl When {
    /// Whether a selection is due after decode forward `t`.
    pub fn due(self, t: usize) -> bool {
        match self {
            When::Prefill => false,
            When::Step => true,
            When::Interval(n) => t.is_multiple_of(n),
        }
    }

    /// The most decode forwards, of `steps`, from one selection to the next.
    pub fn run(self, steps: usize) -> usize {
        match self {
            When::Prefill => steps,
            When::Step => steps.min(1),
            When::Interval(n) => steps.min(n),
        }
    }
}

/// What scores are computed from. What is not named here is not gathered, and is empty in the view.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reads {
    /// The last so many queries of the sequence; 0 for none.
    pub queries: usize,
    /// Attention summed over all queries so far, a mean over the query heads of the group.
    pub sums: bool,
    /// The newest query's attention weights.
    pub weights: bool,
    /// Keys as attention reads them.
    pub keys: bool,
    /// Values as attention reads them.
    pub values: bool,
}

/// A method's rule for dropping entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Eviction {
    /// Entries a store holds right after a selection, protected ones included. Below it nothing is due.
    pub budget: usize,
    /// Protected first positions.
    pub sinks: usize,
    /// Protected last entries.
    pub recent: usize,
    /// When a selection is due.
    pub when: When,
    /// Whether one is due after the last prompt chunk.
    pub at_prompt: bool,
    /// What scores are computed from.
    pub reads: Reads,
    /// Whether all kv heads of a layer keep the same entries: those of the first head's scores.
    pub one_set: bool,
}

/// A layer at the end of a prompt that is longer than the budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PromptEnd {
    /// Of the model.
    pub shape: Shape,
    /// Which layer.
    pub layer: usize,
    /// Tokens of the prompt.
    pub prompt: usize,
}

/// What is known about the entries that a layer keeps of a prompt before any score is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// So many in every kv head.
    Each(usize),
    /// So many over the kv heads of the layer, shared out by scores: at least `.least`, at most `.most`.
    Total {
        /// The least.
        least: usize,
        /// The most.
        most: usize,
    },
}
