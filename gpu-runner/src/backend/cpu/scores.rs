//! The loops over keys that scores are made of: many queries against many rows, and softmax of rows.

use half::f16;

use super::kv_lanes::KvLanes;
use super::lanes::{for_isa, LANES};
use super::shared::SharedMut;
use super::{math, Isa, Pool};
use crate::compress::{Kernels, Rows};

/// Keys of one task.
const BLOCK: usize = 256;

/// [`Kernels`] on the threads of a pool, or on the calling one.
pub struct CpuKernels<'a> {
    /// The threads; `None` inside a task of theirs.
    pub pool: Option<&'a Pool>,
    /// The instruction set.
    pub isa: Isa,
}

impl Kernels for CpuKernels<'_> {
    fn dots(&self, q: &[f32], rows: &Rows<'_>, n: usize, scale: f32, out: &mut [f32]) {
        if n == 0 || out.is_empty() {
            return;
        }
        let m = out.len() / n;
        let d = q.len() / m;
        assert!(out.len() == m * n && q.len() == m * d && d.is_multiple_of(LANES));
        let target = SharedMut::new(out);
        let task = |i: usize| {
            let first = i * BLOCK;
            let mut wide = vec![0f32; LANES * d];
            for at in (first..n.min(first + BLOCK)).step_by(LANES) {
                let count = LANES.min(n - at);
                for (i, row) in wide.chunks_exact_mut(d).enumerate().take(count) {
                    read(self.isa, rows, at + i, row);
                }
                let mut scores = [0f32; LANES];
                for (j, q) in q.chunks_exact(d).enumerate() {
                    dot_rows(self.isa, q, &wide, scale, &mut scores);
                    // SAFETY: these columns belong to this task.
                    let to = unsafe { target.slice(j * n + at, count) };
                    to.copy_from_slice(&scores[..count]);
                }
            }
        };
        match self.pool.filter(|_| n * m > BLOCK) {
            Some(pool) => pool.tasks(n.div_ceil(BLOCK), &task),
            None => (0..n.div_ceil(BLOCK)).for_each(task),
        }
    }

    fn softmax(&self, x: &mut [f32], n: usize) {
        if n == 0 {
            return;
        }
        let rows = x.len() / n;
        let target = SharedMut::new(x);
        let task = |i: usize| {
            // SAFETY: row i belongs to this task.
            let row = unsafe { target.slice(i * n, n) };
            math::softmax(self.isa, row, std::f32::consts::LOG2_E);
        };
        match self.pool.filter(|_| rows * n > 16 * BLOCK) {
            Some(pool) => pool.tasks(rows, &task),
            None => (0..rows).for_each(task),
        }
    }
}

fn read(isa: Isa, rows: &Rows<'_>, i: usize, out: &mut [f32]) {
    match rows {
        Rows::Half { values, stride } => widen(isa, &values[i * stride..][..out.len()], out),
        other => other.row(i, out),
    }
}

for_isa! {
    /// out = x; equal lengths, a multiple of 16.
    fn widen(x: &[f16], out: &mut [f32]) = widen_body
}

#[inline(always)]
unsafe fn widen_body<L: KvLanes>(x: &[f16], out: &mut [f32]) {
    for at in (0..out.len()).step_by(LANES) {
        L::load_f16(x.as_ptr().add(at).cast()).store(out.as_mut_ptr().add(at));
    }
}

for_isa! {
    /// out[t] = scale · q · rows[t], sixteen rows of q's length, a multiple of 16.
    fn dot_rows(q: &[f32], rows: &[f32], scale: f32, out: &mut [f32; LANES]) = dot_rows_body
}

#[inline(always)]
unsafe fn dot_rows_body<L: KvLanes>(q: &[f32], rows: &[f32], scale: f32, out: &mut [f32; LANES]) {
    let d = q.len();
    let mut sums = [L::splat(0.0); LANES];
    for (t, sum) in sums.iter_mut().enumerate() {
        let row = rows.as_ptr().add(t * d);
        let mut s = L::load(row).mul(L::load(q.as_ptr()));
        for at in (LANES..d).step_by(LANES) {
            s = L::load(row.add(at)).fma(L::load(q.as_ptr().add(at)), s);
        }
        *sum = s;
    }
    L::sum_each(&sums).mul(L::splat(scale)).store(out.as_mut_ptr());
}
