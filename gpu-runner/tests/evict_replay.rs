//! Feeds traces with queries to a cache whose method drops entries, the way a forward pass does.

use std::ops::Range;

use gpu_runner::backend::cpu::attention::{self, StepWeights, CHUNK};
use gpu_runner::backend::cpu::{Isa, Pool};
use gpu_runner::cache::{KvCache, Observed, SeqId, Watched};
use gpu_runner::model::Shape;
use half::f16;
use serde_json::Value;

use super::kv_trace::{cache, Random, Trace};

/// K, V and queries of a sequence.
pub struct Replay {
    pub trace: Trace,
    /// Queries after RoPE, values of f16: per layer [tokens, q_heads, head_dim].
    pub queries: Vec<Vec<f16>>,
    pub pool: Pool,
    pub isa: Isa,
}

impl Replay {
    /// Independent random keys, values and queries.
    pub fn new(shape: Shape, tokens: usize, seed: u64) -> Replay {
        let mut random = Random(seed ^ 0x51);
        let n = tokens * shape.q_heads * shape.head_dim;
        Replay {
            trace: Trace::new(shape, tokens, seed),
            queries: (0..shape.layers).map(|_| random.halves(n, 1.0)).collect(),
            pool: Pool::new(2),
            isa: Isa::detect(),
        }
    }

    pub fn shape(&self) -> Shape {
        self.trace.shape
    }

    pub fn cache(&self, compressor: &Value) -> KvCache {
        cache(self.shape(), compressor, self.isa)
    }

    pub fn keys(&self, layer: usize, tokens: Range<usize>) -> Vec<f16> {
        self.trace.keys(layer, tokens, gpu_runner::cache::KeyForm::PostRope)
    }

    fn rows(&self, layer: usize, tokens: Range<usize>) -> &[f16] {
        let width = self.shape().q_heads * self.shape().head_dim;
        &self.queries[layer][tokens.start * width..tokens.end * width]
    }

    /// One row of queries in f32.
    pub fn query(&self, layer: usize, token: usize) -> Vec<f32> {
        self.rows(layer, token..token + 1).iter().map(|x| x.to_f32()).collect()
    }

    /// Admits a sequence and feeds its prompt, with what the forward pass would have seen.
    pub fn start(&self, cache: &mut KvCache, prompt: usize, max_new: usize, seed: u64) -> SeqId {
        let seq = cache.admit(prompt, max_new, seed).unwrap();
        for layer in 0..self.shape().layers {
            let k = self.keys(layer, 0..prompt);
            let v = self.trace.values(layer, 0..prompt);
            let observed = self.observe(cache, layer, prompt, &k, v);
            cache.prefill_layer(&self.pool, seq, layer, &k, v, &observed).unwrap();
        }
        seq
    }

    fn observe(&self, cache: &KvCache, layer: usize, prompt: usize, k: &[f16], v: &[f16]) -> Observed {
        let (shape, reads) = (self.shape(), cache.prompt_reads(prompt));
        let last = prompt.saturating_sub(reads.queries);
        let mut observed = Observed {
            queries: self.rows(layer, last..prompt).to_vec(),
            ..Observed::default()
        };
        if reads.sums {
            let q: Vec<f32> = self.rows(layer, 0..prompt).iter().map(|x| x.to_f32()).collect();
            let mut out = vec![0.0; q.len()];
            let mut lse = vec![0.0; prompt * shape.q_heads];
            let lses = Some(&mut lse[..]);
            attention::prefill(&self.pool, self.isa, shape, 0..prompt, &q, k, v, &mut out, lses);
            observed.sums = vec![0.0; shape.kv_heads * prompt];
            attention::column_sums(&self.pool, self.isa, shape, 0..prompt, &q, k, &lse, &mut observed.sums);
        }
        observed
    }

    /// Feeds one token to every layer; `attended` gets the layer and its attention output between attention and
    /// selection.
    pub fn step(
        &self,
        cache: &mut KvCache,
        seq: SeqId,
        token: usize,
        mut attended: impl FnMut(&KvCache, usize, &[f32]),
    ) {
        for layer in 0..self.shape().layers {
            let k = self.keys(layer, token..token + 1);
            cache
                .append(seq, layer, &k, self.trace.values(layer, token..token + 1))
                .unwrap();
            let q = self.query(layer, token);
            let mut out = vec![f32::NAN; q.len()];
            let mut weights = StepWeights::default();
            let asked = cache.eviction().is_some_and(|e| e.step_weights());
            let bad = attention::decode(
                &self.pool,
                self.isa,
                cache,
                &[seq],
                layer,
                &q,
                CHUNK,
                &mut out,
                asked.then_some(&mut weights),
            );
            assert!(bad.is_empty(), "scores are finite");
            attended(cache, layer, &out);
            let watched = Watched {
                queries: &q,
                weights: asked.then_some(&weights),
            };
            let bad = cache.after_step(&self.pool, layer, &[seq], &watched).unwrap();
            assert!(bad.is_empty(), "no score is a NaN");
        }
    }

    /// Entries of every store, [layers * kv_heads] lists of positions.
    pub fn kept(&self, cache: &KvCache, seq: SeqId) -> Vec<Vec<usize>> {
        let Shape { layers, kv_heads, .. } = self.shape();
        let positions = |i: usize| cache.positions(seq, i / kv_heads, i % kv_heads);
        (0..layers * kv_heads)
            .map(|i| positions(i).into_iter().map(|p| p as usize).collect())
            .collect()
    }
}
