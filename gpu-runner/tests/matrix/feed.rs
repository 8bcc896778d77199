//! Traces with queries, fed to a cache through the CPU backend in the order of the forward pass.

use std::sync::Arc;

use gpu_runner::backend::cpu::attention::{StepWeights, CHUNK};
use gpu_runner::backend::cpu::Cpu;
use gpu_runner::backend::{Backend, Stored};
use gpu_runner::cache::dump::Dump;
use gpu_runner::cache::{KeyForm, KvCache, SeqId};
use gpu_runner::compress::resolve;
use gpu_runner::model::config::{Architecture, Config, RopeConfig};
use gpu_runner::model::rope::{Rope, RopeScaling};
use gpu_runner::model::Shape;
use gpu_runner::{Error, Result};
use serde_json::Value;

use crate::calibrated::calibrated;
use crate::kv_trace::{rope, Random};

/// q, k and v before RoPE: per layer [tokens, q_heads + 2 kv_heads, head_dim].
#[derive(Clone)]
pub struct Story {
    pub rows: Vec<Vec<f32>>,
    pub width: usize,
}

impl Story {
    /// Random numbers; keys get a few large channels, as real ones have.
    pub fn new(shape: Shape, tokens: usize, seed: u64) -> Story {
        let mut random = Random(seed);
        let width = (shape.q_heads + 2 * shape.kv_heads) * shape.head_dim;
        let keys = shape.q_heads * shape.head_dim..(shape.q_heads + shape.kv_heads) * shape.head_dim;
        let layer = |_| {
            let mut rows = random.floats(tokens * width, 1.0);
            for row in rows.chunks_exact_mut(width) {
                row[keys.clone()].iter_mut().step_by(16).for_each(|x| *x *= 6.0);
            }
            rows
        };
        Story {
            rows: (0..shape.layers).map(layer).collect(),
            width,
        }
    }

    /// The same numbers in q, k and v of all tokens.
    pub fn constant(shape: Shape, tokens: usize, value: f32) -> Story {
        let width = (shape.q_heads + 2 * shape.kv_heads) * shape.head_dim;
        Story {
            rows: vec![vec![value; tokens * width]; shape.layers],
            width,
        }
    }

    pub fn row(&self, layer: usize, token: usize) -> &[f32] {
        &self.rows[layer][token * self.width..][..self.width]
    }
}

/// A backend and a shape to feed.
pub struct Feed {
    pub cpu: Cpu,
    pub config: Config,
    rope: Arc<Rope>,
}

impl Feed {
    pub fn new(shape: Shape, threads: usize) -> Feed {
        Feed {
            cpu: Cpu::new(threads).unwrap(),
            config: Config {
                arch: Architecture::find("llama").unwrap(),
                shape,
                hidden: 64,
                ffn: 64,
                vocab: 8,
                context: 8192,
                norm_eps: 1e-5,
                rope: RopeConfig {
                    base: 10_000.0,
                    scaling: RopeScaling::None,
                },
                tied: true,
            },
            rope: rope(shape.head_dim),
        }
    }

    pub fn shape(&self) -> Shape {
        self.config.shape
    }

    pub fn cache(&self, compressor: &Value) -> KvCache {
        let resolved = calibrated(resolve(compressor, Some(self.shape())).unwrap(), self.shape());
        self.cpu.cache(&self.config, &resolved, &self.rope, 1 << 30).unwrap()
    }

    /// Admits a sequence and feeds its prompt in chunks of `chunk` rows.
    pub fn start_in(
        &self,
        cache: &mut KvCache,
        story: &Story,
        prompt: usize,
        new: usize,
        chunk: usize,
    ) -> Result<SeqId> {
        let seq = cache.admit(prompt, new, 777).unwrap();
        match self.prompt(cache, seq, story, prompt, chunk) {
            Ok(()) => Ok(seq),
            Err(error) => {
                cache.discard(seq);
                Err(error)
            }
        }
    }

    fn prompt(&self, cache: &mut KvCache, seq: SeqId, story: &Story, prompt: usize, chunk: usize) -> Result<()> {
        let (cpu, shape) = (&self.cpu, self.shape());
        let reads = cache.prompt_reads(prompt);
        let mut stored = Stored::default();
        for layer in 0..shape.layers {
            let mut kv = cpu.layer_kv(&self.config, prompt, cache.key_form() != KeyForm::PostRope);
            for first in (0..prompt).step_by(chunk) {
                let n = chunk.min(prompt - first);
                let qkv = story.rows[layer][first * story.width..(first + n) * story.width].to_vec();
                let mut q = vec![0.0; n * shape.q_heads * shape.head_dim];
                let mut out = vec![0.0; q.len()];
                stored.add(cpu.rope_prefill(cache, &qkv, first, n, &mut q, &mut kv));
                cpu.attend_prefill(&self.config, &q, first..first + n, &mut kv, &mut out, reads.sums);
                if reads.sums || reads.queries > 0 {
                    cpu.observe_prefill(cache, &q, first..first + n, prompt, &mut kv);
                }
            }
            cpu.store_prefill(cache, seq, layer, prompt, &kv)?;
        }
        cache.add_clamped(seq, stored.clamped);
        match stored.nan {
            // As the forward pass does when it is asked for logits.
            true => Err(Error::Numeric("K or V holds a NaN".into())),
            false => Ok(()),
        }
    }

    /// As [`Feed::start_in`], in one chunk.
    pub fn start(&self, cache: &mut KvCache, story: &Story, prompt: usize, new: usize) -> SeqId {
        self.start_in(cache, story, prompt, new, prompt).unwrap()
    }

    /// Feeds one token to each sequence. `attended` is called with (layer, q rows, outputs) between attention and what
    /// follows. The answer tells which rows met numbers that are none.
    pub fn step_with(
        &self,
        cache: &mut KvCache,
        rows: &[(SeqId, &Story, usize)],
        mut attended: impl FnMut(&KvCache, usize, &[f32], &[f32]),
    ) -> Vec<Stored> {
        let (cpu, shape) = (&self.cpu, self.shape());
        let seqs: Vec<SeqId> = rows.iter().map(|(seq, ..)| *seq).collect();
        let mut stored = vec![Stored::default(); rows.len()];
        let watches = cache.eviction().is_some_and(|e| e.step_weights());
        for layer in 0..shape.layers {
            let qkv: Vec<f32> = rows
                .iter()
                .flat_map(|(_, s, token)| s.row(layer, *token))
                .copied()
                .collect();
            let mut q = vec![0.0; rows.len() * shape.q_heads * shape.head_dim];
            let mut out = vec![f32::NAN; q.len()];
            let mut weights = StepWeights::default();
            cpu.rope_append(cache, &seqs, layer, &qkv, &mut q, &mut stored).unwrap();
            let watched = watches.then_some(&mut weights);
            cpu.attend_decode(cache, &seqs, layer, &q, CHUNK, &mut out, &mut stored, watched);
            attended(cache, layer, &q, &out);
            let watched = watches.then_some(&weights);
            cpu.after_step(cache, &seqs, layer, &q, watched, &mut stored).unwrap();
        }
        for (seq, stored) in seqs.iter().zip(&stored) {
            cache.add_clamped(*seq, stored.clamped);
        }
        stored
    }

    pub fn step(&self, cache: &mut KvCache, rows: &[(SeqId, &Story, usize)]) {
        let stored = self.step_with(cache, rows, |_, _, _, _| ());
        assert!(stored.iter().all(|s| !s.nan), "no NaN is in the story");
    }

    /// Feeds prompt and steps of one sequence.
    pub fn run(&self, cache: &mut KvCache, story: &Story, prompt: usize, steps: usize) -> SeqId {
        let seq = self.start(cache, story, prompt, steps + 1);
        for token in prompt..prompt + steps {
            self.step(cache, &[(seq, story, token)]);
        }
        seq
    }

    /// All stores of a sequence, taken out of their pages.
    pub fn dumps(&self, cache: &KvCache, seq: SeqId) -> Vec<Dump> {
        let Shape { layers, kv_heads, .. } = self.shape();
        (0..layers * kv_heads)
            .map(|i| cache.dump(seq, i / kv_heads, i % kv_heads))
            .collect()
    }
}
