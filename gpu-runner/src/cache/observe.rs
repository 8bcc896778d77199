//! What a cache is shown of attention, and the views that methods score by.

use half::f16;

use super::table::{QueryRing, Store};
use super::{KvCache, SeqId};
use crate::backend::cpu::attention::StepWeights;
use crate::compress::{Eviction, HeadView, Kernels, Reads, Rows, When};

/// What the forward pass saw of a layer's prompt; empty where the method does not read it.
#[derive(Debug, Default, Clone)]
pub struct Observed {
    /// The last queries [w, q_heads, head_dim] after RoPE, the oldest first.
    pub queries: Vec<f16>,
    /// Attention summed over all queries of the prompt [kv_heads, T], a mean over the query heads of the group.
    pub sums: Vec<f32>,
}

/// What a decode step saw of a layer; empty where the method does not read it.
#[derive(Debug, Default, Clone, Copy)]
pub struct Watched<'a> {
    /// Queries after RoPE, one row [q_heads, head_dim] a sequence.
    pub queries: &'a [f32],
    /// Softmax weights by row and kv head.
    pub weights: Option<&'a StepWeights>,
}

impl Eviction {
    /// Whether attention sums live on after the prompt.
    pub fn sums_after_prompt(&self) -> bool {
        self.reads.sums && self.when != When::Prefill
    }

    /// Whether the last queries live on after the prompt.
    pub fn queries_after_prompt(&self) -> bool {
        self.reads.queries > 0 && self.when != When::Prefill
    }

    /// How many of a prompt's last queries are kept until its end.
    pub fn prompt_queries(&self) -> usize {
        self.reads.queries.max(usize::from(self.reads.weights))
    }

    /// Whether decode attention has to report its weights.
    pub fn step_weights(&self) -> bool {
        (self.reads.weights || self.reads.sums) && self.when != When::Prefill
    }
}

impl KvCache {
    /// What the method drops and when.
    pub fn eviction(&self) -> Option<Eviction> {
        self.eviction
    }

    /// What the method reads of a prompt of `tokens`, or needs to keep of it for later.
    pub fn prompt_reads(&self, tokens: usize) -> Reads {
        let Some(eviction) = self.eviction else {
            return Reads::default();
        };
        let due = eviction.at_prompt && tokens > eviction.budget;
        Reads {
            queries: match (due, eviction.queries_after_prompt()) {
                (true, _) => eviction.prompt_queries(),
                (false, true) => eviction.reads.queries,
                (false, false) => 0,
            },
            sums: eviction.reads.sums && (due || eviction.sums_after_prompt()),
            ..eviction.reads
        }
    }

    pub(super) fn keep_prompt_queries(&mut self, seq: SeqId, layer: usize, observed: &Observed) {
        let Some(eviction) = self.eviction.filter(Eviction::queries_after_prompt) else {
            return;
        };
        let width = self.shape.q_heads * self.shape.head_dim;
        for row in observed.queries.chunks_exact(width) {
            self.push_query(seq, layer, row.to_vec(), eviction.reads.queries);
        }
    }

    fn push_query(&mut self, seq: SeqId, layer: usize, row: Vec<f16>, most: usize) {
        let layers = self.shape.layers;
        let sequence = self.sequence_mut(seq);
        sequence.rings.resize(layers, QueryRing::default());
        let ring = &mut sequence.rings[layer];
        let before = ring.bytes();
        ring.push(row, most);
        sequence.side_bytes += ring.bytes() - before;
        sequence.note_peak();
    }

    /// Adds a step's weights to the sums, and its query to the ring.
    pub(super) fn watch(&mut self, eviction: Eviction, seq: SeqId, layer: usize, row: usize, watched: &Watched<'_>) {
        let (heads, g) = (self.shape.kv_heads, self.shape.group());
        if eviction.sums_after_prompt() {
            for head in 0..heads {
                let Some(weights) = watched.weights.map(|w| w.of(row, head)) else {
                    continue;
                };
                let store = self.store_mut(seq, layer, head);
                let n = store.n;
                for (place, sum) in store.sums.iter_mut().enumerate() {
                    let of_group: f32 = (0..g).map(|h| weights[h * n + place]).sum();
                    *sum += of_group / g as f32;
                }
            }
        }
        if eviction.queries_after_prompt() {
            let width = self.shape.q_heads * self.shape.head_dim;
            if let Some(q) = watched.queries.get(row * width..(row + 1) * width) {
                let row = q.iter().map(|x| f16::from_f32(*x)).collect();
                self.push_query(seq, layer, row, eviction.reads.queries);
            }
        }
    }

    /// Softmax of the prompt's last query over all keys: per kv head [group, T]. Empty if the method does not read it.
    pub(super) fn prompt_weights(
        &self,
        kernels: &dyn Kernels,
        eviction: Eviction,
        k: &[f16],
        queries: &[f32],
    ) -> Vec<Vec<f32>> {
        let (heads, g, d) = (self.shape.kv_heads, self.shape.group(), self.shape.head_dim);
        if !eviction.reads.weights {
            return Vec::new();
        }
        let n = k.len() / (heads * d);
        let last = &queries[queries.len() - heads * g * d..];
        let of_head = |head: usize| {
            let mut weights = vec![0.0; g * n];
            let rows = half_rows(k, heads, d, head);
            kernels.dots(
                &last[head * g * d..][..g * d],
                &rows,
                n,
                1.0 / (d as f32).sqrt(),
                &mut weights,
            );
            kernels.softmax(&mut weights, n);
            weights
        };
        (0..heads).map(of_head).collect()
    }

    pub(super) fn prompt_heads<'a>(
        &self,
        eviction: Eviction,
        positions: &'a [u32],
        k: &'a [f16],
        v: &'a [f16],
        observed: &'a Observed,
        weights: &'a [Vec<f32>],
    ) -> Vec<HeadView<'a>> {
        let (heads, d, n) = (self.shape.kv_heads, self.shape.head_dim, positions.len());
        let of_head = |head: usize| HeadView {
            positions,
            keys: if eviction.reads_keys() {
                half_rows(k, heads, d, head)
            } else {
                Rows::None
            },
            values: if eviction.reads.values {
                half_rows(v, heads, d, head)
            } else {
                Rows::None
            },
            sums: observed.sums.get(head * n..(head + 1) * n).unwrap_or_default(),
            weights: weights.get(head).map_or(&[], Vec::as_slice),
        };
        (0..heads).map(of_head).collect()
    }

    pub(super) fn step_heads<'a>(
        &'a self,
        eviction: Eviction,
        seq: SeqId,
        layer: usize,
        row: usize,
        watched: &Watched<'a>,
    ) -> Vec<HeadView<'a>> {
        let of_head = |head: usize| {
            let store: &Store = self.store(seq, layer, head);
            HeadView {
                positions: &store.positions,
                keys: if eviction.reads_keys() {
                    Rows::Wide(self.wide_keys(seq, layer, head))
                } else {
                    Rows::None
                },
                values: if eviction.reads.values {
                    Rows::Wide(self.wide_values(seq, layer, head))
                } else {
                    Rows::None
                },
                sums: &store.sums,
                weights: watched
                    .weights
                    .filter(|_| eviction.reads.weights)
                    .map_or(&[], |w| w.of(row, head)),
            }
        };
        (0..self.shape.kv_heads).map(of_head).collect()
    }
}

impl Eviction {
    /// Whether views carry keys: named, or needed for scores by queries.
    fn reads_keys(&self) -> bool {
        self.reads.keys || self.reads.queries > 0
    }
}

/// Rows of one head of [T, heads, d].
fn half_rows(values: &[f16], heads: usize, d: usize, head: usize) -> Rows<'_> {
    Rows::Half {
        values: &values[head * d..],
        stride: heads * d,
    }
}
