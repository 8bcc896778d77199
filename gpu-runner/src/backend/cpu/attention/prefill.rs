//! Prefill attention: exact, causal, over the f16 K and V of all tokens so far, whatever the compressor.
//!
//! A task is (kv head, block of query rows); keys pass in blocks of 128 at absolute positions, widened to f32 and (K)
//! transposed once for all rows of the task. A tile of rows does QKᵀ, the running softmax and PV. A row's arithmetic
//! depends on its own position only, so bits do not depend on how the prompt is cut into chunks.

use std::cell::Cell;

use half::f16;

use super::super::kv_lanes::KvLanes;
use super::super::lanes::{for_isa, LANES};
use super::super::{Isa, Pool};
use super::exponent_scale;
use crate::model::Shape;

/// Keys per block of the running softmax.
const KEYS: usize = 128;

/// Attends rows r0..r1 of one sequence: q [r1 - r0, q_heads, head_dim] f32; k (after RoPE), v [at least r1, kv_heads,
/// head_dim] f16, of all tokens so far -> out [r1 - r0, q_heads, head_dim] f32. With `lse` [r1 - r0, q_heads]: log2 of the
/// sum of 2^score of each row, where scores are those of softmax times log2 e.
///
/// # Panics
/// If a slice does not fit the shape, or the head dimension is not 64 or 128.
#[allow(clippy::too_many_arguments)]
pub fn prefill(
    pool: &Pool,
    isa: Isa,
    shape: Shape,
    rows: std::ops::Range<usize>,
    q: &[f32],
    k: &[f16],
    v: &[f16],
    out: &mut [f32],
    lse: Option<&mut [f32]>,
) {
    let (d, width) = (shape.head_dim, shape.q_heads * shape.head_dim);
    assert!(q.len() == rows.len() * width && out.len() == q.len());
    assert!(k.len() >= rows.end * shape.kv_heads * d && v.len() >= rows.end * shape.kv_heads * d);
    assert!(
        d == 64 || d == 128,
        "prefill attention has no kernel for head dimension {d}"
    );
    // Small prompts still give every thread a task; the block size does not change a row's arithmetic.
    let block = if rows.len() * shape.kv_heads >= 256 * pool.threads() {
        64
    } else {
        16
    };
    let blocks = rows.len().div_ceil(block);
    let target = Shared(out.as_mut_ptr());
    let lse = lse.map(|lse| {
        assert!(lse.len() == rows.len() * shape.q_heads);
        Shared(lse.as_mut_ptr())
    });
    let task = |i: usize| {
        // The longest rows first: their tasks take longest.
        let (head, at) = (i % shape.kv_heads, (blocks - 1 - i / shape.kv_heads) * block);
        let first = rows.start + at;
        let kernel = Block {
            shape,
            head,
            rows: first..rows.end.min(first + block),
            q: &q[at * width..],
            k,
            v,
            out: target.at(at * width),
            lse: lse.as_ref().map(|lse| lse.at(at * shape.q_heads)),
        };
        attend_block(isa, &kernel);
    };
    pool.tasks(blocks * shape.kv_heads, &task);
}

/// The output, of which every task writes its own rows and heads.
struct Shared(*mut f32);

// SAFETY: tasks write disjoint (row, head) parts.
unsafe impl Sync for Shared {}

impl Shared {
    fn at(&self, offset: usize) -> *mut f32 {
        self.0.wrapping_add(offset)
    }
}

/// Query rows `rows` of the group of one kv head. q and out start at the first of these rows.
struct Block<'a> {
    shape: Shape,
    head: usize,
    rows: std::ops::Range<usize>,
    q: &'a [f32],
    k: &'a [f16],
    v: &'a [f16],
    out: *mut f32,
    lse: Option<*mut f32>,
}

/// Buffers of a thread: K block [d, 128], V block [128, d], outputs [M, d], maxima [M], sums [M].
#[derive(Default)]
struct Buffers {
    keys: Vec<f32>,
    values: Vec<f32>,
    out: Vec<f32>,
    max: Vec<f32>,
    sum: Vec<f32>,
}

thread_local! {
    static BUFFERS: Cell<Buffers> = Cell::default();
}

for_isa! {
    fn attend_block(block: &Block<'_>) = block_body
}

#[inline(always)]
unsafe fn block_body<L: KvLanes>(block: &Block<'_>) {
    // Taken and put back: inside a closure the kernel would be compiled without its instruction set.
    let mut buffers = BUFFERS.take();
    match block.shape.head_dim {
        64 => block.attend::<L, 4>(&mut buffers),
        _ => block.attend::<L, 8>(&mut buffers),
    }
    BUFFERS.set(buffers);
}

impl Block<'_> {
    /// Row m of the task is query row m / g, head m % g. V = head_dim / 16.
    #[inline(always)]
    unsafe fn attend<L: KvLanes, const V: usize>(&self, buffers: &mut Buffers) {
        let (d, g) = (V * LANES, self.shape.group());
        let m = self.rows.len() * g;
        buffers.keys.resize(d * KEYS, 0.0);
        buffers.values.resize(d * KEYS, 0.0);
        buffers.out.clear();
        buffers.out.resize(m * d, 0.0);
        buffers.max.clear();
        buffers.max.resize(m, f32::NEG_INFINITY);
        buffers.sum.clear();
        buffers.sum.resize(m, 0.0);
        for first in (0..self.rows.end).step_by(KEYS) {
            let keys = KEYS.min(self.rows.end - first);
            self.pack::<L, V>(first, keys, &mut buffers.keys, &mut buffers.values);
            let mut at = 0;
            while at < m {
                at += if L::WIDE && V == 4 && m - at >= 6 {
                    self.tile::<L, V, 6, 4>(first, at, buffers)
                } else if L::WIDE && m - at >= 3 {
                    self.tile::<L, V, 3, 4>(first, at, buffers)
                } else if !L::WIDE && m - at >= 2 {
                    self.tile::<L, V, 2, 1>(first, at, buffers)
                } else {
                    self.tile::<L, V, 1, 1>(first, at, buffers)
                };
            }
        }
        for (i, out) in buffers.out.chunks_exact(d).enumerate() {
            let to = self.out.add(((i / g) * self.shape.q_heads + self.head * g + i % g) * d);
            if let Some(lse) = self.lse {
                let to = lse.add((i / g) * self.shape.q_heads + self.head * g + i % g);
                to.write(buffers.max[i] + buffers.sum[i].log2());
            }
            let sum = L::splat(buffers.sum[i]);
            for c in (0..d).step_by(LANES) {
                L::load(out.as_ptr().add(c)).div(sum).store(to.add(c));
            }
        }
    }

    /// K [d, 128] and V [128, d] of tokens first.., in f32, zeros behind the last.
    #[inline(always)]
    unsafe fn pack<L: KvLanes, const V: usize>(
        &self,
        first: usize,
        tokens: usize,
        keys: &mut [f32],
        values: &mut [f32],
    ) {
        let d = V * LANES;
        let stride = self.shape.kv_heads * d;
        if tokens < KEYS {
            keys.fill(0.0);
            values[tokens * d..].fill(0.0);
        }
        let head = self.head * d;
        for t in 0..tokens {
            let from = self.v.as_ptr().add((first + t) * stride + head);
            for c in (0..d).step_by(LANES) {
                L::load_f16(from.add(c).cast()).store(values.as_mut_ptr().add(t * d + c));
            }
        }
        for t in (0..tokens).step_by(LANES) {
            for c in (0..d).step_by(LANES) {
                let mut square = [L::splat(0.0); LANES];
                for (i, row) in square.iter_mut().enumerate().take(tokens - t) {
                    *row = L::load_f16(self.k.as_ptr().add((first + t + i) * stride + head + c).cast());
                }
                L::transpose(&mut square);
                for (i, row) in square.iter().enumerate() {
                    row.store(keys.as_mut_ptr().add((c + i) * KEYS + t));
                }
            }
        }
    }

    /// Rows at..at + R against the key block at `first`, N vectors of keys at a time. Returns R.
    #[inline(always)]
    unsafe fn tile<L: KvLanes, const V: usize, const R: usize, const N: usize>(
        &self,
        first: usize,
        at: usize,
        buffers: &mut Buffers,
    ) -> usize {
        let (d, g) = (V * LANES, self.shape.group());
        let last = self.rows.start + (at + R - 1) / g;
        if last < first {
            return R;
        }
        // Keys that some row of the tile sees, in whole steps of N vectors.
        let seen = (last + 1 - first).min(KEYS);
        let steps = seen.div_ceil(N * LANES);
        let mut scores = [[0f32; KEYS]; R];
        let mut query = [std::ptr::null::<f32>(); R];
        for (r, q) in query.iter_mut().enumerate() {
            let i = at + r;
            *q = self
                .q
                .as_ptr()
                .add(((i / g) * self.shape.q_heads + self.head * g + i % g) * d);
        }
        let scale = L::splat(exponent_scale(d));
        for step in 0..steps {
            let keys = buffers.keys.as_ptr().add(step * N * LANES);
            let mut sums = [[L::splat(0.0); N]; R];
            for c in 0..d {
                let mut key = [L::splat(0.0); N];
                let mut j = 0;
                while j < N {
                    key[j] = L::load(keys.add(c * KEYS + j * LANES));
                    j += 1;
                }
                let mut r = 0;
                while r < R {
                    let q = L::splat(query[r].add(c).read());
                    let mut j = 0;
                    while j < N {
                        sums[r][j] = q.fma(key[j], sums[r][j]);
                        j += 1;
                    }
                    r += 1;
                }
            }
            let mut r = 0;
            while r < R {
                let mut j = 0;
                while j < N {
                    let to = scores[r].as_mut_ptr().add((step * N + j) * LANES);
                    sums[r][j].mul(scale).store(to);
                    j += 1;
                }
                r += 1;
            }
        }
        let mut decay = [1f32; R];
        for (r, scores) in scores.iter_mut().enumerate() {
            let row = self.rows.start + (at + r) / g;
            let own = (row + 1).saturating_sub(first).min(seen);
            let vectors = steps * N;
            scores[own..vectors * LANES].fill(f32::NEG_INFINITY);
            let mut top = L::splat(buffers.max[at + r]);
            for j in 0..vectors {
                top = L::load(scores.as_ptr().add(j * LANES)).max(top);
            }
            let max = top.largest();
            let mut lanes = [0f32; LANES];
            let mut sum = L::splat(0.0);
            for j in 0..vectors {
                let p = L::load(scores.as_ptr().add(j * LANES)).sub(L::splat(max)).exp2();
                p.store(scores.as_mut_ptr().add(j * LANES));
                sum = sum.add(p);
            }
            L::splat(buffers.max[at + r] - max).exp2().store(lanes.as_mut_ptr());
            decay[r] = lanes[0];
            buffers.max[at + r] = max;
            buffers.sum[at + r] = buffers.sum[at + r].mul_add(decay[r], sum.sum());
        }
        let out = buffers.out.as_mut_ptr().add(at * d);
        let mut sums = [[L::splat(0.0); V]; R];
        let mut r = 0;
        while r < R {
            let mut j = 0;
            while j < V {
                sums[r][j] = L::load(out.add(r * d + j * LANES)).mul(L::splat(decay[r]));
                j += 1;
            }
            r += 1;
        }
        for t in 0..seen {
            let value = buffers.values.as_ptr().add(t * d);
            let mut r = 0;
            while r < R {
                let p = L::splat(scores[r].as_ptr().add(t).read());
                let mut j = 0;
                while j < V {
                    sums[r][j] = p.fma(L::load(value.add(j * LANES)), sums[r][j]);
                    j += 1;
                }
                r += 1;
            }
        }
        r = 0;
        while r < R {
            let mut j = 0;
            while j < V {
                sums[r][j].store(out.add(r * d + j * LANES));
                j += 1;
            }
            r += 1;
        }
        R
    }
}
