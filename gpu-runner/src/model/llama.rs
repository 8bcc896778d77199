//! The forward pass of `llama` and `qwen2`, written once over [`Backend`].
//!
//! Prefill is layer-major: the outer loop runs over layers, the inner over chunks of rows, so exact K and V exist for
//! one layer at a time and the cache takes each layer as the compressor keeps it. The residual of the whole prompt
//! stays. A row's numbers depend on no other row, so neither chunks nor the batch can change them.

use super::config::Config;
use super::rope::Rope;
use super::weights::{TensorSource, Weights};
use crate::backend::cpu::attention::StepWeights;
use crate::backend::{Backend, Stored};
use crate::cache::{KeyForm, KvCache, SeqId};
use crate::compress::{Eviction, Resolved};
use crate::{Error, Result};
use half::f16;
use std::sync::Arc;
use std::time::Instant;

mod capture;

/// Rows of a prompt that pass a layer together.
pub const PREFILL_CHUNK: usize = 2048;

/// Seconds by kind of work.
#[derive(Debug, Clone, Copy, Default)]
pub struct Times {
    /// Attention and the cache's append, selection and sealing.
    pub attention: f64,
    /// Matrix products, with the conversion of their inputs.
    pub linear: f64,
    /// Embeddings, logits.
    pub other: f64,
}

/// What the engine needs of a loaded model, whatever its backend.
pub trait Runner: Send {
    /// The model's shape.
    fn config(&self) -> &Config;
    /// Bytes of the weights as held, bytes that one decode step reads of them, and the type of most.
    fn weight_bytes(&self) -> (u64, u64, &'static str);
    /// Scratch for `batch` sequences whose longest prompt has `prompt` tokens.
    fn workspace_bytes(&self, batch: usize, prompt: usize, eviction: Option<Eviction>) -> u64;
    /// Starts an empty cache of at most `limit` bytes for a cell.
    ///
    /// # Errors
    /// The compressor's refusals of this shape.
    fn open(&mut self, resolved: &Resolved, limit: u64) -> Result<()>;
    /// The cell's cache.
    ///
    /// # Errors
    /// `internal` before `open`.
    fn cache(&mut self) -> Result<&mut KvCache>;
    /// Runs a prompt; then row 0 holds its logits. `false` if `go_on` said so between two chunks.
    ///
    /// # Errors
    /// `numeric`, `out_of_memory`.
    fn prefill(&mut self, seq: SeqId, ids: &[u32], go_on: &dyn Fn() -> bool) -> Result<bool>;
    /// Feeds one token to each sequence; then row i holds the logits of `seqs[i]`. Attention merges parts of `chunk`
    /// tokens.
    ///
    /// # Errors
    /// `out_of_memory`.
    fn step(&mut self, seqs: &[SeqId], ids: &[u32], chunk: usize) -> Result<()>;
    /// Logits [vocab] of a row of the last prefill or step.
    ///
    /// # Errors
    /// `numeric` if K, V or the logits of that row are not numbers; `out_of_memory` if its outliers found no room.
    fn logits(&mut self, row: usize) -> Result<&mut [f32]>;
    /// Runs whole sequences layer by layer and shows each layer's keys before RoPE and its values to `look`: f16 [tokens of
    /// all sequences, kv_heads, head_dim] each. Closes the cell's cache. `false` if `go_on` said so between two chunks.
    ///
    /// # Errors
    /// `numeric`, `bad_request` for an id outside the vocabulary.
    fn capture(
        &mut self,
        sequences: &[Vec<u32>],
        look: &mut dyn FnMut(&[f16], &[f16]),
        go_on: &dyn Fn() -> bool,
    ) -> Result<bool>;
    /// The seconds since the last call.
    fn take_times(&mut self) -> Times;
}

/// A loaded model on backend `B`.
pub struct Llama<B: Backend> {
    config: Config,
    backend: B,
    weights: Weights<B>,
    rope: Arc<Rope>,
    scratch: Scratch<B>,
    residual: B::Buffer,
    residual_rows: usize,
    layer_kv: Option<(B::LayerKv, usize, bool)>,
    logits: B::Buffer,
    logit_rows: usize,
    stored: Vec<Stored>,
    /// Whose logits the rows hold.
    rows: Vec<SeqId>,
    cache: Option<KvCache>,
    times: Times,
}

/// Buffers of a chunk.
struct Scratch<B: Backend> {
    rows: usize,
    hidden: B::Input,
    wide: B::Input,
    heads: B::Input,
    qkv: B::Buffer,
    q: B::Buffer,
    attended: B::Buffer,
    gate_up: B::Buffer,
    weights: StepWeights,
}

impl<B: Backend> Scratch<B> {
    fn new(backend: &B, config: &Config, rows: usize) -> Self {
        Scratch {
            rows,
            hidden: backend.input(rows, config.hidden),
            wide: backend.input(rows, config.ffn),
            heads: backend.input(rows, config.q_width()),
            qkv: backend.buffer(rows * config.qkv_rows()),
            q: backend.buffer(rows * config.q_width()),
            attended: backend.buffer(rows * config.q_width()),
            gate_up: backend.buffer(rows * 2 * config.ffn),
            weights: StepWeights::default(),
        }
    }
}

/// Adds the time since the last lap to a sum.
struct Laps(Instant);

impl Laps {
    fn lap(&mut self, sum: &mut f64) {
        let now = Instant::now();
        *sum += now.duration_since(self.0).as_secs_f64();
        self.0 = now;
    }
}

impl<B: Backend> Llama<B> {
    /// Reads the weights of `source` into `backend`.
    ///
    /// # Errors
    /// The source's and the backend's.
    pub fn load(source: &dyn TensorSource, backend: B) -> Result<Llama<B>> {
        let config = source.config().clone();
        let weights = Weights::load(source, &backend)?;
        let rows = 8;
        let rope = Rope::new(
            config.shape.head_dim,
            config.rope.base,
            &config.rope.scaling,
            config.context,
        )?;
        Ok(Llama {
            rope: Arc::new(rope),
            scratch: Scratch::new(&backend, &config, rows),
            residual: backend.buffer(rows * config.hidden),
            residual_rows: rows,
            logits: backend.buffer(rows * config.vocab),
            logit_rows: rows,
            layer_kv: None,
            stored: Vec::new(),
            rows: Vec::new(),
            cache: None,
            times: Times::default(),
            config,
            backend,
            weights,
        })
    }

    fn reserve(&mut self, residual_rows: usize, chunk_rows: usize, logit_rows: usize) {
        if self.residual_rows < residual_rows {
            self.residual = self.backend.buffer(residual_rows * self.config.hidden);
            self.residual_rows = residual_rows;
        }
        if self.scratch.rows < chunk_rows {
            self.scratch = Scratch::new(&self.backend, &self.config, chunk_rows);
        }
        if self.logit_rows < logit_rows {
            self.logits = self.backend.buffer(logit_rows * self.config.vocab);
            self.logit_rows = logit_rows;
        }
    }

    fn embed(&mut self, ids: &[u32]) -> Result<()> {
        let hidden = self.config.hidden;
        if let Some(id) = ids.iter().find(|id| **id as usize >= self.config.vocab) {
            return Err(Error::BadRequest(format!(
                "token id {id} is not in the vocabulary of {}; use ids below it",
                self.config.vocab
            )));
        }
        let rows = self.backend.host(&mut self.residual, ids.len() * hidden);
        for (id, row) in ids.iter().zip(rows.chunks_exact_mut(hidden)) {
            self.weights.embedding.row(*id, row);
        }
        Ok(())
    }

    /// The feed-forward half of layer `l` on rows `first..first + n` of the residual, attention's output included.
    fn finish_layer(&mut self, l: usize, first: usize, n: usize) {
        let (b, s, c, layer) = (&self.backend, &mut self.scratch, &self.config, &self.weights.layers[l]);
        let x = &mut self.residual;
        b.pack(&s.attended, n, &layer.out, &mut s.heads);
        b.linear(&layer.out, &s.heads, x, first, true);
        b.norm(
            x,
            first..first + n,
            &layer.ffn_norm,
            c.norm_eps,
            &layer.gate_up,
            &mut s.hidden,
        );
        b.linear(&layer.gate_up, &s.hidden, &mut s.gate_up, 0, false);
        b.swiglu(&s.gate_up, n, &layer.down, &mut s.wide);
        b.linear(&layer.down, &s.wide, x, first, true);
    }

    /// Norm, Q, K, V of layer `l` for rows `first..first + n` of the residual.
    fn project(&mut self, l: usize, first: usize, n: usize) {
        let (b, s, c, layer) = (&self.backend, &mut self.scratch, &self.config, &self.weights.layers[l]);
        b.norm(
            &self.residual,
            first..first + n,
            &layer.attn_norm,
            c.norm_eps,
            &layer.qkv,
            &mut s.hidden,
        );
        b.linear(&layer.qkv, &s.hidden, &mut s.qkv, 0, false);
    }

    /// Logits of rows `first..first + n` of the residual.
    fn head(&mut self, first: usize, n: usize) {
        let (b, s, w) = (&self.backend, &mut self.scratch, &self.weights);
        b.norm(
            &self.residual,
            first..first + n,
            &w.out_norm,
            self.config.norm_eps,
            &w.head,
            &mut s.hidden,
        );
        b.linear(&w.head, &s.hidden, &mut self.logits, 0, false);
    }
}

/// The chunks of a prompt in one layer: (first row, rows, whether more than K and V is needed). In the last layer only
/// the last row is read on.
fn chunks(tokens: usize, last_layer: bool) -> impl Iterator<Item = (usize, usize, bool)> {
    let body = if last_layer { tokens - 1 } else { tokens };
    let rows = (0..body)
        .step_by(PREFILL_CHUNK)
        .map(move |first| (first, PREFILL_CHUNK.min(body - first), !last_layer));
    rows.chain(last_layer.then_some((tokens - 1, 1, true)))
}

impl<B: Backend> Runner for Llama<B> {
    fn config(&self) -> &Config {
        &self.config
    }

    fn weight_bytes(&self) -> (u64, u64, &'static str) {
        (self.weights.bytes, self.weights.step_bytes, self.weights.dtype)
    }

    fn workspace_bytes(&self, batch: usize, prompt: usize, eviction: Option<Eviction>) -> u64 {
        let c = &self.config;
        let chunk = prompt.min(PREFILL_CHUNK).max(batch);
        let row = c.qkv_rows() + 3 * c.q_width() + 3 * c.ffn + 2 * c.hidden;
        let kv = prompt * 3 * c.shape.kv_heads * c.shape.head_dim * 2;
        let scores = match eviction {
            // Scores of a layer, row statistics, and the last queries' weights over one kv head's keys.
            Some(e) => {
                let window = e.prompt_queries() * (c.q_width() + c.shape.group() * prompt);
                2 * prompt * c.shape.kv_heads + chunk * c.shape.q_heads + window
            }
            None => 0,
        };
        ((prompt.max(batch) * c.hidden + chunk * row + batch * c.vocab + scores) * 4 + kv) as u64
    }

    fn open(&mut self, resolved: &Resolved, limit: u64) -> Result<()> {
        // The old pages go first: two caches must never be alive together.
        self.cache = None;
        self.cache = Some(self.backend.cache(&self.config, resolved, &self.rope, limit)?);
        Ok(())
    }

    fn cache(&mut self) -> Result<&mut KvCache> {
        self.cache.as_mut().ok_or_else(not_open)
    }

    fn prefill(&mut self, seq: SeqId, ids: &[u32], go_on: &dyn Fn() -> bool) -> Result<bool> {
        let (tokens, layers) = (ids.len(), self.config.shape.layers);
        let mut laps = Laps(Instant::now());
        self.reserve(tokens, tokens.min(PREFILL_CHUNK), 1);
        self.embed(ids)?;
        let mut cache = self.cache.take().ok_or_else(not_open)?;
        let pre_rope = cache.key_form() == KeyForm::PreRope;
        if !self
            .layer_kv
            .as_ref()
            .is_some_and(|(_, t, pre)| *t >= tokens && *pre == pre_rope)
        {
            self.layer_kv = None;
            self.layer_kv = Some((self.backend.layer_kv(&self.config, tokens, pre_rope), tokens, pre_rope));
        }
        self.stored.clear();
        self.stored.push(Stored::default());
        self.rows.clear();
        self.rows.push(seq);
        laps.lap(&mut self.times.other);
        let reads = cache.prompt_reads(tokens);
        let mut run = || {
            for l in 0..layers {
                // Sums over all queries need the softmax of every row, in the last layer too.
                for (first, n, whole) in chunks(tokens, l + 1 == layers && !reads.sums) {
                    if !go_on() {
                        return Ok(false);
                    }
                    self.project(l, first, n);
                    laps.lap(&mut self.times.linear);
                    let (b, s) = (&self.backend, &mut self.scratch);
                    let Some((kv, ..)) = self.layer_kv.as_mut() else {
                        return Err(not_open());
                    };
                    let stored = b.rope_prefill(&cache, &s.qkv, first, n, &mut s.q, kv);
                    self.stored[0].clamped += stored.clamped;
                    self.stored[0].nan |= stored.nan;
                    if whole {
                        b.attend_prefill(&self.config, &s.q, first..first + n, kv, &mut s.attended, reads.sums);
                    }
                    if reads.sums || reads.queries > 0 {
                        b.observe_prefill(&cache, &s.q, first..first + n, tokens, kv);
                    }
                    laps.lap(&mut self.times.attention);
                    if whole {
                        self.finish_layer(l, first, n);
                        laps.lap(&mut self.times.linear);
                    }
                }
                if let Some((kv, ..)) = &self.layer_kv {
                    self.backend.store_prefill(&mut cache, seq, l, tokens, kv)?;
                }
                laps.lap(&mut self.times.attention);
            }
            Ok(true)
        };
        let done = run();
        cache.add_clamped(seq, self.stored[0].clamped);
        self.cache = Some(cache);
        if done? {
            self.head(tokens - 1, 1);
            laps.lap(&mut self.times.linear);
            return Ok(true);
        }
        Ok(false)
    }

    fn step(&mut self, seqs: &[SeqId], ids: &[u32], chunk: usize) -> Result<()> {
        let n = seqs.len();
        let mut laps = Laps(Instant::now());
        self.reserve(n, n, n);
        self.embed(ids)?;
        self.stored.clear();
        self.stored.resize(n, Stored::default());
        self.rows.clear();
        self.rows.extend_from_slice(seqs);
        let mut cache = self.cache.take().ok_or_else(not_open)?;
        let watches = cache.eviction().is_some_and(|e| e.step_weights());
        laps.lap(&mut self.times.other);
        let mut run = || {
            for l in 0..self.config.shape.layers {
                self.project(l, 0, n);
                laps.lap(&mut self.times.linear);
                let (b, s) = (&self.backend, &mut self.scratch);
                b.rope_append(&mut cache, seqs, l, &s.qkv, &mut s.q, &mut self.stored)?;
                let (out, weights) = (&mut s.attended, watches.then_some(&mut s.weights));
                b.attend_decode(&cache, seqs, l, &s.q, chunk, out, &mut self.stored, weights);
                let weights = watches.then_some(&s.weights);
                b.after_step(&mut cache, seqs, l, &s.q, weights, &mut self.stored)?;
                laps.lap(&mut self.times.attention);
                self.finish_layer(l, 0, n);
                laps.lap(&mut self.times.linear);
            }
            Ok(())
        };
        let done = run();
        for (seq, stored) in seqs.iter().zip(&self.stored) {
            cache.add_clamped(*seq, stored.clamped);
        }
        self.cache = Some(cache);
        done?;
        self.head(0, n);
        laps.lap(&mut self.times.linear);
        Ok(())
    }

    fn logits(&mut self, row: usize) -> Result<&mut [f32]> {
        let vocab = self.config.vocab;
        if self.stored.get(row).is_some_and(|s| s.nan) {
            return Err(Error::Numeric(
                "K or V holds a NaN; the weights or the prompt are damaged".into(),
            ));
        }
        let overflow = |seq: &SeqId| self.cache.as_ref().and_then(|cache| cache.overflow(*seq));
        if let Some(error) = self.rows.get(row).and_then(overflow) {
            return Err(error);
        }
        let logits = self.backend.host(&mut self.logits, (row + 1) * vocab);
        let logits = &mut logits[row * vocab..];
        if logits.iter().any(|l| !l.is_finite()) {
            return Err(Error::Numeric(
                "the logits hold a NaN or an infinity; the weights are damaged".into(),
            ));
        }
        Ok(logits)
    }

    fn capture(
        &mut self,
        sequences: &[Vec<u32>],
        look: &mut dyn FnMut(&[f16], &[f16]),
        go_on: &dyn Fn() -> bool,
    ) -> Result<bool> {
        self.capture_layers(sequences, look, go_on)
    }

    fn take_times(&mut self) -> Times {
        std::mem::take(&mut self.times)
    }
}

fn not_open() -> Error {
    Error::Internal("a sequence was run before its cell's cache was opened".into())
}
