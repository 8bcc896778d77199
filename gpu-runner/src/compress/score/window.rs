//! What the last queries look at: softmax weights of an observation window, summed.

use std::ops::Range;

use super::group::{larger, Reduce};
use crate::compress::{Kernels, Rows, View};

/// Logits held at once, in floats: the rows of a long prompt go through in tiles, so nothing grows with window x prompt.
const TILE: usize = 1 << 20;

/// An observation window over one store.
pub struct Window<'a> {
    /// Products and softmaxes.
    pub kernels: &'a dyn Kernels,
    /// [group, w, d], the oldest first.
    pub queries: Vec<f32>,
    /// Query heads that read the store.
    pub group: usize,
    /// [n, d], ascending positions.
    pub keys: &'a Rows<'a>,
    /// Entries.
    pub n: usize,
    /// Head dimension.
    pub d: usize,
    /// Whether the softmax also covers the window's own entries, the last w, as causality allows.
    pub itself: bool,
}

impl<'a> Window<'a> {
    /// The window of a layer's last queries over the store of one kv head.
    pub fn of(view: &'a View<'a>, kv_head: usize, itself: bool) -> Window<'a> {
        let head = &view.heads[kv_head];
        Window {
            kernels: view.kernels,
            queries: view.group_queries(kv_head),
            group: view.shape.group(),
            keys: &head.keys,
            n: head.positions.len(),
            d: view.shape.head_dim,
            itself,
        }
    }

    /// Queries w of each head.
    pub fn width(&self) -> usize {
        self.queries.len() / (self.group * self.d)
    }

    /// Keys that get a score: all before the window's own.
    pub fn columns(&self) -> usize {
        self.n - self.width()
    }

    /// Per query head the weights of each key, summed over the queries: [group, columns].
    pub fn sums(&self) -> Vec<f32> {
        let heads = self.queries.chunks_exact(self.width() * self.d);
        heads.flat_map(|queries| self.summed(&[queries])).collect()
    }

    /// The same where the group is reduced on logits, before the softmax: [columns].
    pub fn sums_reduced(&self, reduce: Reduce) -> Vec<f32> {
        let width = self.width() * self.d;
        match reduce {
            // The mean of the heads' logits is the logit of their mean query.
            Reduce::Mean => self.summed(&[&Reduce::Mean.rows(&self.queries, width)]),
            Reduce::Max => self.summed(&self.queries.chunks_exact(width).collect::<Vec<_>>()),
        }
    }

    /// Softmax over the largest of the logits of these heads' queries [w, d], summed over w.
    fn summed(&self, heads: &[&[f32]]) -> Vec<f32> {
        let (w, columns) = (self.width(), self.columns());
        let n = if self.itself { self.n } else { columns };
        let mut sums = vec![0f64; columns];
        let (mut logits, mut more) = (Vec::new(), Vec::new());
        for start in (0..w).step_by((TILE / n).max(1)) {
            let tile = start..w.min(start + (TILE / n).max(1));
            self.dots(heads[0], &tile, n, &mut logits);
            for queries in &heads[1..] {
                self.dots(queries, &tile, n, &mut more);
                logits.iter_mut().zip(&more).for_each(|(a, b)| *a = larger(*a, *b));
            }
            for (i, row) in tile.zip(logits.chunks_exact_mut(n)) {
                // Query i of the window is entry columns + i and sees nothing later.
                row[n.min(columns + i + 1)..].fill(f32::NEG_INFINITY);
            }
            self.kernels.softmax(&mut logits, n);
            for row in logits.chunks_exact(n) {
                sums.iter_mut().zip(row).for_each(|(s, x)| *s += f64::from(*x));
            }
        }
        sums.into_iter().map(|s| s as f32).collect()
    }

    /// Logits [tile, n] of some of a head's queries [w, d].
    fn dots(&self, queries: &[f32], tile: &Range<usize>, n: usize, out: &mut Vec<f32>) {
        out.clear();
        out.resize(tile.len() * n, 0.0);
        let queries = &queries[tile.start * self.d..tile.end * self.d];
        let scale = 1.0 / (self.d as f32).sqrt();
        self.kernels.dots(queries, self.keys, n, scale, out);
    }
}
