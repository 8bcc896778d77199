//! What a decode step's attention leaves for methods that score by it.

use crate::cache::{KvCache, SeqId};

/// The softmax weights of a decode step over what the cache holds.
#[derive(Debug, Default)]
pub struct StepWeights {
    /// One (row, kv head) after the other.
    pub(super) values: Vec<f32>,
    /// Where each (row, kv head) begins; one more at the end.
    pub(super) starts: Vec<usize>,
    kv_heads: usize,
}

impl StepWeights {
    /// Of a row's kv head: [group, n], by place.
    pub fn of(&self, row: usize, head: usize) -> &[f32] {
        let i = row * self.kv_heads + head;
        &self.values[self.starts[i]..self.starts[i + 1]]
    }

    /// As [`StepWeights::of`], to write.
    pub(crate) fn of_mut(&mut self, row: usize, head: usize) -> &mut [f32] {
        let i = row * self.kv_heads + head;
        &mut self.values[self.starts[i]..self.starts[i + 1]]
    }

    /// Makes room for what these sequences hold.
    pub(crate) fn resize(&mut self, cache: &KvCache, seqs: &[SeqId], layer: usize) {
        let shape = cache.shape();
        self.kv_heads = shape.kv_heads;
        self.starts.clear();
        self.starts.push(0);
        let mut end = 0;
        for seq in seqs {
            for head in 0..shape.kv_heads {
                end += shape.group() * cache.store(*seq, layer, head).n;
                self.starts.push(end);
            }
        }
        self.values.resize(end, 0.0);
    }
}
