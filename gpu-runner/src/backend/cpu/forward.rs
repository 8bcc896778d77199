//! The forward pass's operations on the CPU: weights packed as in the file, int8 activations, f32 residual.
//!
//! Regions are cut by rows or panels that one thread owns, so bits depend neither on threads nor on the batch.

use super::shared::SharedMut;
use super::{attention, lanes::for_isa, linear, math, Activations, Isa, PackedMatrix, Pool, Rows};
use crate::backend::{Backend, Stored};
use crate::cache::{KeyForm, KvCache, Observed, SeqId, Watched};
use crate::compress::Resolved;
use crate::model::config::Config;
use crate::model::rope::Rope;
use crate::model::Shape;
use crate::Result;
use half::f16;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Arc;

/// The CPU with its threads.
pub struct Cpu {
    isa: Isa,
    pool: Pool,
}

/// Exact K and V of one layer of one prompt.
pub struct LayerKv {
    /// Rotated keys [tokens, kv_heads, head_dim].
    pub k: Vec<f16>,
    /// Keys without rotation, if the cache stores those.
    pub pre: Option<Vec<f16>>,
    /// Values.
    pub v: Vec<f16>,
    /// What methods score the prompt by.
    pub observed: Observed,
    /// log2 of the sum of 2^score of the rows of the newest chunk [rows, q_heads].
    pub lse: Vec<f32>,
}

impl Cpu {
    /// The best instruction set, or the one that KVSWEEP_ISA names, and so many threads.
    ///
    /// # Errors
    /// `bad_request` if KVSWEEP_ISA names a set that is unknown or that this machine lacks.
    pub fn new(threads: usize) -> Result<Cpu> {
        Ok(Cpu {
            isa: Isa::from_env()?,
            pool: Pool::new(threads),
        })
    }

    /// Its threads.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Its instruction set.
    pub fn isa(&self) -> Isa {
        self.isa
    }
}

for_isa! {
    /// Rotates consecutive heads x [heads, d] by `row`, d/2 cosines and d/2 sines, with the bits of [`Rope::apply`].
    fn rotate(x: &mut [f32], row: &[f32]) = rotate_body
}

#[inline(always)]
unsafe fn rotate_body<V: super::lanes::Lanes>(x: &mut [f32], row: &[f32]) {
    let (cos, sin) = row.split_at(row.len() / 2);
    for head in x.chunks_exact_mut(row.len()) {
        for ((pair, &c), &s) in head.chunks_exact_mut(2).zip(cos).zip(sin) {
            let (a, b) = (pair[0], pair[1]);
            pair[0] = a.mul_add(c, -(b * s));
            pair[1] = b.mul_add(c, a * s);
        }
    }
}

/// Rounds to f16 and says what did not fit.
fn store(isa: Isa, x: &[f32], out: &mut [f16]) -> Stored {
    let clamped = math::f32_to_f16(isa, x, out) as u64;
    let nan = math::first_not_finite(isa, x).is_some() && x.iter().any(|v| v.is_nan());
    Stored { clamped, nan }
}

fn widths(shape: Shape) -> (usize, usize) {
    (shape.q_heads * shape.head_dim, shape.kv_heads * shape.head_dim)
}

impl Backend for Cpu {
    type Matrix = PackedMatrix;
    type Vector = Vec<f32>;
    type Buffer = Vec<f32>;
    type Input = Activations;
    type LayerKv = LayerKv;

    fn name(&self) -> &'static str {
        "cpu"
    }

    fn matrix(&self, cols: usize, parts: &[Rows<'_>], bias: Option<Vec<f32>>) -> Result<PackedMatrix> {
        let matrix = PackedMatrix::pack(cols, parts, &self.pool);
        Ok(match bias {
            Some(bias) => matrix.with_bias(bias),
            None => matrix,
        })
    }

    fn sharp(&self, matrix: PackedMatrix) -> PackedMatrix {
        matrix.sharp()
    }

    fn vector(&self, values: &[f32]) -> Vec<f32> {
        values.to_vec()
    }

    fn buffer(&self, len: usize) -> Vec<f32> {
        vec![0.0; len]
    }

    fn input(&self, _rows: usize, _cols: usize) -> Activations {
        Activations::new()
    }

    fn layer_kv(&self, config: &Config, tokens: usize, pre_rope: bool) -> LayerKv {
        let len = tokens * widths(config.shape).1;
        LayerKv {
            k: vec![f16::ZERO; len],
            pre: pre_rope.then(|| vec![f16::ZERO; len]),
            v: vec![f16::ZERO; len],
            observed: Observed::default(),
            lse: Vec::new(),
        }
    }

    fn raw_kv<'a>(&self, kv: &'a LayerKv, len: usize) -> (&'a [f16], &'a [f16]) {
        let keys = kv.pre.as_ref().expect("made with keys before RoPE");
        (&keys[..len], &kv.v[..len])
    }

    fn cache(&self, config: &Config, resolved: &Resolved, rope: &Arc<Rope>, limit: u64) -> Result<KvCache> {
        KvCache::new(config.shape, resolved, Arc::clone(rope), self.isa, limit as usize)
    }

    fn host<'a>(&self, buffer: &'a mut Vec<f32>, len: usize) -> &'a mut [f32] {
        &mut buffer[..len]
    }

    fn norm(
        &self,
        x: &Vec<f32>,
        rows: Range<usize>,
        weight: &Vec<f32>,
        eps: f32,
        w: &PackedMatrix,
        out: &mut Activations,
    ) {
        let cols = weight.len();
        out.fill(self.isa, &self.pool, rows.len(), cols, w.inputs(), &|row, y| {
            let x = &x[(rows.start + row) * cols..][..cols];
            math::rms_norm(self.isa, x, weight, eps, y);
        });
    }

    fn pack(&self, x: &Vec<f32>, n: usize, w: &PackedMatrix, out: &mut Activations) {
        out.set(self.isa, &self.pool, &x[..n * w.cols()], w.cols(), w.inputs());
    }

    fn swiglu(&self, gate_up: &Vec<f32>, n: usize, w: &PackedMatrix, out: &mut Activations) {
        let ffn = w.cols();
        out.fill(self.isa, &self.pool, n, ffn, w.inputs(), &|row, y| {
            let (gate, up) = gate_up[row * 2 * ffn..][..2 * ffn].split_at(ffn);
            math::swiglu(self.isa, gate, up, y);
        });
    }

    fn linear(&self, w: &PackedMatrix, input: &Activations, out: &mut Vec<f32>, first_row: usize, accumulate: bool) {
        let out = &mut out[first_row * w.rows()..][..input.rows() * w.rows()];
        linear(self.isa, &self.pool, w, input, out, accumulate);
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
        let (rope, shape) = (cache.rope(), cache.shape());
        let (q_width, kv_width) = widths(shape);
        let width = q_width + 2 * kv_width;
        let q = SharedMut::new(&mut q[..n * q_width]);
        let k = SharedMut::new(&mut kv.k[first * kv_width..][..n * kv_width]);
        let v = SharedMut::new(&mut kv.v[first * kv_width..][..n * kv_width]);
        let pre = kv
            .pre
            .as_mut()
            .map(|pre| SharedMut::new(&mut pre[first * kv_width..][..n * kv_width]));
        let (clamped, nan) = (AtomicU64::new(0), AtomicBool::new(false));
        self.pool.split(n, 1, &|rows| {
            let mut key = vec![0f32; kv_width];
            let mut sum = Stored::default();
            for row in rows {
                let (angles, x) = (rope.row(first + row), &qkv[row * width..][..width]);
                let (xq, xkv) = x.split_at(q_width);
                let (xk, xv) = xkv.split_at(kv_width);
                // SAFETY: each row belongs to one thread, and rows are disjoint ranges of every buffer.
                let (q, k, v) = unsafe {
                    (
                        q.slice(row * q_width, q_width),
                        k.slice(row * kv_width, kv_width),
                        v.slice(row * kv_width, kv_width),
                    )
                };
                q.copy_from_slice(xq);
                rotate(self.isa, q, angles);
                key.copy_from_slice(xk);
                rotate(self.isa, &mut key, angles);
                sum.add(store(self.isa, &key, k));
                sum.add(store(self.isa, xv, v));
                if let Some(pre) = &pre {
                    // SAFETY: as above.
                    math::f32_to_f16(self.isa, xk, unsafe { pre.slice(row * kv_width, kv_width) });
                }
            }
            clamped.fetch_add(sum.clamped, Ordering::Relaxed);
            nan.fetch_or(sum.nan, Ordering::Relaxed);
        });
        Stored {
            clamped: clamped.into_inner(),
            nan: nan.into_inner(),
        }
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
        let (q_width, kv_width) = widths(config.shape);
        let (len, seen) = (rows.len() * q_width, rows.end * kv_width);
        kv.lse.resize(rows.len() * config.shape.q_heads, 0.0);
        attention::prefill(
            &self.pool,
            self.isa,
            config.shape,
            rows,
            &q[..len],
            &kv.k[..seen],
            &kv.v[..seen],
            &mut out[..len],
            statistics.then_some(&mut kv.lse),
        );
    }

    fn observe_prefill(&self, cache: &KvCache, q: &Vec<f32>, rows: Range<usize>, tokens: usize, kv: &mut LayerKv) {
        let (shape, reads) = (cache.shape(), cache.prompt_reads(tokens));
        let (q_width, kv_width) = widths(shape);
        let observed = &mut kv.observed;
        if rows.start == 0 {
            observed.queries.clear();
            observed.sums.clear();
            observed
                .sums
                .resize(if reads.sums { shape.kv_heads * tokens } else { 0 }, 0.0);
        }
        // The last queries; they may span chunks.
        let first = tokens.saturating_sub(reads.queries).max(rows.start);
        for row in first..rows.end {
            let q = &q[(row - rows.start) * q_width..][..q_width];
            observed.queries.extend(q.iter().map(|x| f16::from_f32(*x)));
        }
        if reads.sums {
            attention::column_sums(
                &self.pool,
                self.isa,
                shape,
                rows.clone(),
                &q[..rows.len() * q_width],
                &kv.k[..rows.end * kv_width],
                &kv.lse,
                &mut observed.sums,
            );
        }
    }

    fn store_prefill(&self, cache: &mut KvCache, seq: SeqId, layer: usize, tokens: usize, kv: &LayerKv) -> Result<()> {
        let len = tokens * widths(cache.shape()).1;
        let k = kv.pre.as_ref().unwrap_or(&kv.k);
        cache.prefill_layer(&self.pool, seq, layer, &k[..len], &kv.v[..len], &kv.observed)
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
        let (q_width, kv_width) = widths(cache.shape());
        let width = q_width + 2 * kv_width;
        let post = cache.key_form() == KeyForm::PostRope;
        // One token's K and V of one layer: small enough for the stack of any model that has kernels.
        let mut key = vec![0f32; kv_width];
        let mut halves = vec![f16::ZERO; 2 * kv_width];
        for (i, seq) in seqs.iter().enumerate() {
            let (xq, xkv) = qkv[i * width..][..width].split_at(q_width);
            let (xk, xv) = xkv.split_at(kv_width);
            let angles = cache.rope().row(cache.query_position(*seq, layer));
            let q = &mut q[i * q_width..][..q_width];
            q.copy_from_slice(xq);
            rotate(self.isa, q, angles);
            key.copy_from_slice(xk);
            if post {
                rotate(self.isa, &mut key, angles);
            }
            let (k, v) = halves.split_at_mut(kv_width);
            stored[i].add(store(self.isa, &key, k));
            stored[i].add(store(self.isa, xv, v));
            cache.append(*seq, layer, k, v)?;
        }
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
        weights: Option<&mut attention::StepWeights>,
    ) {
        let len = seqs.len() * widths(cache.shape()).0;
        let bad = attention::decode(
            &self.pool,
            self.isa,
            cache,
            seqs,
            layer,
            &q[..len],
            chunk,
            &mut out[..len],
            weights,
        );
        bad.into_iter().for_each(|row| stored[row].nan = true);
    }

    fn after_step(
        &self,
        cache: &mut KvCache,
        seqs: &[SeqId],
        layer: usize,
        q: &Vec<f32>,
        weights: Option<&attention::StepWeights>,
        stored: &mut [Stored],
    ) -> Result<()> {
        let queries = &q[..seqs.len() * widths(cache.shape()).0];
        let bad = cache.after_step(&self.pool, layer, seqs, &Watched { queries, weights })?;
        bad.into_iter().for_each(|row| stored[row].nan = true);
        Ok(())
    }
}
