//! Random f16 traces fed to a cache without a model, and an f64 attention over what the cache says it holds.

use std::sync::Arc;

use gpu_runner::backend::cpu::attention::{self, CHUNK};
use gpu_runner::backend::cpu::{Isa, Pool};
use gpu_runner::cache::{KeyForm, KvCache, Observed, SeqId, Watched};
use gpu_runner::compress::resolve;
use gpu_runner::model::rope::{Rope, RopeScaling};
use gpu_runner::model::Shape;
use half::f16;
use serde_json::Value;

use super::calibrated::calibrated;

/// SplitMix64: the tests' only source of numbers.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    /// In [-a, a).
    pub fn float(&mut self, a: f32) -> f32 {
        ((self.next() >> 40) as f32 / (1u64 << 24) as f32 * 2.0 - 1.0) * a
    }

    pub fn floats(&mut self, n: usize, a: f32) -> Vec<f32> {
        (0..n).map(|_| self.float(a)).collect()
    }

    pub fn halves(&mut self, n: usize, a: f32) -> Vec<f16> {
        (0..n).map(|_| f16::from_f32(self.float(a))).collect()
    }
}

pub fn shape(layers: usize, group: usize, kv_heads: usize, head_dim: usize) -> Shape {
    Shape {
        layers,
        q_heads: group * kv_heads,
        kv_heads,
        head_dim,
    }
}

pub fn rope(head_dim: usize) -> Arc<Rope> {
    Arc::new(Rope::new(head_dim, 10_000.0, &RopeScaling::None, 8192).unwrap())
}

pub fn cache(shape: Shape, compressor: &Value, isa: Isa) -> KvCache {
    let resolved = calibrated(resolve(compressor, Some(shape)).unwrap(), shape);
    KvCache::new(shape, &resolved, rope(shape.head_dim), isa, 1 << 30).unwrap()
}

/// K (unrotated) and V of a sequence: per layer [tokens, kv_heads, head_dim].
pub struct Trace {
    pub shape: Shape,
    pub k: Vec<Vec<f16>>,
    pub v: Vec<Vec<f16>>,
    rope: Arc<Rope>,
}

impl Trace {
    pub fn new(shape: Shape, tokens: usize, seed: u64) -> Trace {
        let mut random = Random(seed);
        let n = tokens * shape.kv_heads * shape.head_dim;
        // Keys get a few large channels, as real ones have.
        let k = (0..shape.layers)
            .map(|_| {
                let mut k = random.halves(n, 1.0);
                k.iter_mut()
                    .step_by(16)
                    .for_each(|x| *x = f16::from_f32(x.to_f32() * 6.0));
                k
            })
            .collect();
        let v = (0..shape.layers).map(|_| random.halves(n, 1.0)).collect();
        Trace {
            shape,
            k,
            v,
            rope: rope(shape.head_dim),
        }
    }

    fn width(&self) -> usize {
        self.shape.kv_heads * self.shape.head_dim
    }

    /// K of tokens in the form that a cache wants, rotated at `position` of the token where that is after RoPE.
    pub fn keys(&self, layer: usize, tokens: std::ops::Range<usize>, form: KeyForm) -> Vec<f16> {
        let width = self.width();
        let raw = &self.k[layer][tokens.start * width..tokens.end * width];
        if form == KeyForm::PreRope {
            return raw.to_vec();
        }
        let mut rows: Vec<f32> = raw.iter().map(|x| x.to_f32()).collect();
        for (row, token) in rows.chunks_exact_mut(width).zip(tokens) {
            self.rope.apply(row, token);
        }
        rows.into_iter().map(f16::from_f32).collect()
    }

    pub fn values(&self, layer: usize, tokens: std::ops::Range<usize>) -> &[f16] {
        let width = self.width();
        &self.v[layer][tokens.start * width..tokens.end * width]
    }

    /// Admits a sequence and feeds its prompt.
    pub fn start(&self, pool: &Pool, cache: &mut KvCache, prompt: usize, max_new: usize) -> SeqId {
        let seq = cache.admit(prompt, max_new, 0).unwrap();
        for layer in 0..self.shape.layers {
            let k = self.keys(layer, 0..prompt, cache.key_form());
            cache
                .prefill_layer(
                    pool,
                    seq,
                    layer,
                    &k,
                    self.values(layer, 0..prompt),
                    &Observed::default(),
                )
                .unwrap();
        }
        seq
    }

    /// Feeds token `token` to every layer; `attend` runs between append and sealing.
    pub fn step(
        &self,
        pool: &Pool,
        cache: &mut KvCache,
        seq: SeqId,
        token: usize,
        mut attend: impl FnMut(&KvCache, usize),
    ) {
        for layer in 0..self.shape.layers {
            let k = self.keys(layer, token..token + 1, cache.key_form());
            cache
                .append(seq, layer, &k, self.values(layer, token..token + 1))
                .unwrap();
            attend(cache, layer);
            cache.after_step(pool, layer, &[seq], &Watched::default()).unwrap();
        }
    }
}

/// Attention of one query row [q_heads, head_dim] over what the cache holds, dequantised, in f64.
pub fn reference(cache: &KvCache, seq: SeqId, layer: usize, q: &[f32]) -> Vec<f64> {
    let shape = cache.shape();
    let (d, g) = (shape.head_dim, shape.group());
    let mut out = Vec::new();
    for (h, q) in q.chunks_exact(d).enumerate() {
        let (mut k, v) = cache.dequantised(seq, layer, h / g);
        if cache.key_form() == KeyForm::PreRope {
            // Rank among the kept entries, in order of positions, is the slot.
            k.chunks_exact_mut(d)
                .enumerate()
                .for_each(|(slot, row)| rotate(row, slot));
        }
        let q: Vec<f64> = q.iter().map(|x| f64::from(*x)).collect();
        out.extend(softmax_sum(&q, &k, &v, d));
    }
    out
}

/// RoPE with base 10,000 in f64.
fn rotate(row: &mut [f64], position: usize) {
    let d = row.len() as f64;
    for (i, pair) in row.chunks_exact_mut(2).enumerate() {
        let angle = position as f64 * 10_000f64.powf(-2.0 * i as f64 / d);
        let (a, b) = (pair[0], pair[1]);
        pair[0] = a * angle.cos() - b * angle.sin();
        pair[1] = a * angle.sin() + b * angle.cos();
    }
}

/// softmax(q·K / sqrt(d)) V of one query head.
pub fn softmax_sum(q: &[f64], k: &[f64], v: &[f64], d: usize) -> Vec<f64> {
    let scores: Vec<f64> = k
        .chunks_exact(d)
        .map(|row| row.iter().zip(q).map(|(a, b)| a * b).sum::<f64>() / (d as f64).sqrt())
        .collect();
    let max = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = scores.iter().map(|s| (s - max).exp()).collect();
    let total: f64 = weights.iter().sum();
    let mut out = vec![0.0; d];
    for (w, row) in weights.iter().zip(v.chunks_exact(d)) {
        out.iter_mut().zip(row).for_each(|(o, x)| *o += w * x / total);
    }
    out
}

/// Decode attention of one sequence at the default chunk.
pub fn attend(pool: &Pool, isa: Isa, cache: &KvCache, seq: SeqId, layer: usize, q: &[f32]) -> Vec<f32> {
    let mut out = vec![f32::NAN; q.len()];
    let bad = attention::decode(pool, isa, cache, &[seq], layer, q, CHUNK, &mut out, None);
    assert!(bad.is_empty(), "scores are finite");
    out
}

pub fn assert_close(found: &[f32], wanted: &[f64], tolerance: f64, what: &str) {
    assert_eq!(found.len(), wanted.len());
    for (i, (a, b)) in found.iter().zip(wanted).enumerate() {
        assert!(
            (f64::from(*a) - b).abs() <= tolerance,
            "{what}: element {i} is {a}, not {b}"
        );
    }
}

pub fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| x.to_bits()).collect()
}

/// The instruction sets of this machine, the scalar one first.
pub fn isas() -> Vec<Isa> {
    Isa::available()
}
