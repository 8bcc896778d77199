//! A backend that copies what passes between the model and the cache, and changes nothing.

use crate::backend::cpu::attention::StepWeights;
use crate::backend::cpu::forward::LayerKv;
use crate::backend::cpu::Rows;
use crate::backend::{Backend, Stored};
use crate::cache::{KvCache, SeqId};
use crate::compress::Resolved;
use crate::model::config::Config;
use crate::model::rope::Rope;
use crate::model::Shape;
use crate::{npy, Result};
use half::f16;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// q, k, v of the tokens fed after the prompt, in one layer.
#[derive(Default)]
struct Fed {
    q: Vec<f32>,
    k: Vec<f16>,
    v: Vec<f16>,
}

#[derive(Default)]
struct Recorded {
    prompt_to: Option<PathBuf>,
    /// q of the layer that runs, until its K and V are complete.
    q: Vec<f32>,
    steps: Vec<Fed>,
}

/// What was recorded, shared by the command and the backend inside the model.
#[derive(Default)]
pub struct Tape(Mutex<Recorded>);

impl Tape {
    fn lock(&self) -> MutexGuard<'_, Recorded> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the next prompt's q, k and v go; nowhere with `None`.
    pub fn prompt_to(&self, folder: Option<PathBuf>) {
        self.lock().prompt_to = folder;
    }

    /// Forgets the steps of the configuration before.
    pub fn clear_steps(&self) {
        self.lock().steps.clear();
    }

    /// Writes q, k and v of the fed tokens.
    ///
    /// # Errors
    /// `bad_request` for a folder that cannot be written.
    pub fn write_steps(&self, shape: Shape, to: &Path) -> Result<()> {
        for (layer, fed) in self.lock().steps.iter().enumerate() {
            write(to, layer, shape, &fed.q, &fed.k, &fed.v)?;
        }
        Ok(())
    }
}

/// q [n, q_heads, d], k and v [n, kv_heads, d] of a layer, K after RoPE.
fn write(to: &Path, layer: usize, shape: Shape, q: &[f32], k: &[f16], v: &[f16]) -> Result<()> {
    let path = |what: &str| to.join(format!("layer-{layer:02}.{what}.npy"));
    let n = q.len() / (shape.q_heads * shape.head_dim);
    npy::write(&path("q"), &[n, shape.q_heads, shape.head_dim], q)?;
    npy::write(&path("k"), &[n, shape.kv_heads, shape.head_dim], k)?;
    npy::write(&path("v"), &[n, shape.kv_heads, shape.head_dim], v)
}

/// `inner`, recorded.
pub struct Recorder<B> {
    inner: B,
    tape: Arc<Tape>,
}

impl<B> Recorder<B> {
    /// Records what `inner` does.
    pub fn new(inner: B, tape: Arc<Tape>) -> Recorder<B> {
        Recorder { inner, tape }
    }
}

impl<B: Backend<Buffer = Vec<f32>, LayerKv = LayerKv>> Backend for Recorder<B> {
    type Matrix = B::Matrix;
    type Vector = B::Vector;
    type Buffer = Vec<f32>;
    type Input = B::Input;
    type LayerKv = LayerKv;

    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn matrix(&self, cols: usize, parts: &[Rows<'_>], bias: Option<Vec<f32>>) -> Result<B::Matrix> {
        self.inner.matrix(cols, parts, bias)
    }

    fn sharp(&self, matrix: B::Matrix) -> B::Matrix {
        self.inner.sharp(matrix)
    }

    fn vector(&self, values: &[f32]) -> B::Vector {
        self.inner.vector(values)
    }

    fn buffer(&self, len: usize) -> Vec<f32> {
        self.inner.buffer(len)
    }

    fn input(&self, rows: usize, cols: usize) -> B::Input {
        self.inner.input(rows, cols)
    }

    fn layer_kv(&self, config: &Config, tokens: usize, pre_rope: bool) -> LayerKv {
        self.inner.layer_kv(config, tokens, pre_rope)
    }

    fn raw_kv<'a>(&self, kv: &'a LayerKv, len: usize) -> (&'a [f16], &'a [f16]) {
        self.inner.raw_kv(kv, len)
    }

    fn cache(&self, config: &Config, resolved: &Resolved, rope: &Arc<Rope>, limit: u64) -> Result<KvCache> {
        self.inner.cache(config, resolved, rope, limit)
    }

    fn host<'a>(&self, buffer: &'a mut Vec<f32>, len: usize) -> &'a mut [f32] {
        self.inner.host(buffer, len)
    }

    fn norm(&self, x: &Vec<f32>, rows: Range<usize>, weight: &B::Vector, eps: f32, w: &B::Matrix, out: &mut B::Input) {
        self.inner.norm(x, rows, weight, eps, w, out);
    }

    fn pack(&self, x: &Vec<f32>, n: usize, w: &B::Matrix, out: &mut B::Input) {
        self.inner.pack(x, n, w, out);
    }

    fn swiglu(&self, gate_up: &Vec<f32>, n: usize, w: &B::Matrix, out: &mut B::Input) {
        self.inner.swiglu(gate_up, n, w, out);
    }

    fn linear(&self, w: &B::Matrix, input: &B::Input, out: &mut Vec<f32>, first_row: usize, accumulate: bool) {
        self.inner.linear(w, input, out, first_row, accumulate);
    }

    fn rope_prefill(
        &self,
        cache: &KvCache,
        qkv: &Vec<f32>,
        first: usize,
        n: usize,
        q: &mut Vec<f32>,
        kv: &mut LayerKv,
    ) -> Stored {
        let stored = self.inner.rope_prefill(cache, qkv, first, n, q, kv);
        let mut tape = self.tape.lock();
        if tape.prompt_to.is_some() {
            let shape = cache.shape();
            tape.q.extend_from_slice(&q[..n * shape.q_heads * shape.head_dim]);
        }
        stored
    }

    fn attend_prefill(
        &self,
        config: &Config,
        q: &Vec<f32>,
        rows: Range<usize>,
        kv: &mut LayerKv,
        out: &mut Vec<f32>,
        statistics: bool,
    ) {
        self.inner.attend_prefill(config, q, rows, kv, out, statistics);
    }

    fn observe_prefill(&self, cache: &KvCache, q: &Vec<f32>, rows: Range<usize>, tokens: usize, kv: &mut LayerKv) {
        self.inner.observe_prefill(cache, q, rows, tokens, kv);
    }

    fn store_prefill(&self, cache: &mut KvCache, seq: SeqId, layer: usize, tokens: usize, kv: &LayerKv) -> Result<()> {
        let mut tape = self.tape.lock();
        if let Some(to) = tape.prompt_to.clone() {
            let (shape, q) = (cache.shape(), std::mem::take(&mut tape.q));
            let len = tokens * shape.kv_heads * shape.head_dim;
            write(&to, layer, shape, &q, &kv.k[..len], &kv.v[..len])?;
        }
        drop(tape);
        self.inner.store_prefill(cache, seq, layer, tokens, kv)
    }

    fn rope_append(
        &self,
        cache: &mut KvCache,
        seqs: &[SeqId],
        layer: usize,
        qkv: &Vec<f32>,
        q: &mut Vec<f32>,
        stored: &mut [Stored],
    ) -> Result<()> {
        let shape = cache.shape();
        let (q_width, kv_width) = (shape.q_heads * shape.head_dim, shape.kv_heads * shape.head_dim);
        let position = cache.seen(seqs[0]);
        self.inner.rope_append(cache, seqs, layer, qkv, q, stored)?;
        let mut tape = self.tape.lock();
        if tape.steps.len() <= layer {
            tape.steps.resize_with(layer + 1, Fed::default);
        }
        let fed = &mut tape.steps[layer];
        let mut key = qkv[q_width..][..kv_width].to_vec();
        cache.rope().apply(&mut key, position);
        let half = |x: &f32| f16::from_f32(x.clamp(-65504.0, 65504.0));
        fed.q.extend_from_slice(&q[..q_width]);
        fed.k.extend(key.iter().map(half));
        fed.v.extend(qkv[q_width + kv_width..][..kv_width].iter().map(half));
        Ok(())
    }

    fn attend_decode(
        &self,
        cache: &KvCache,
        seqs: &[SeqId],
        layer: usize,
        q: &Vec<f32>,
        chunk: usize,
        out: &mut Vec<f32>,
        stored: &mut [Stored],
        weights: Option<&mut StepWeights>,
    ) {
        self.inner
            .attend_decode(cache, seqs, layer, q, chunk, out, stored, weights);
    }

    fn after_step(
        &self,
        cache: &mut KvCache,
        seqs: &[SeqId],
        layer: usize,
        q: &Vec<f32>,
        weights: Option<&StepWeights>,
        stored: &mut [Stored],
    ) -> Result<()> {
        self.inner.after_step(cache, seqs, layer, q, weights, stored)
    }
}
