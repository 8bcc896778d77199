//! out (+)= W x for the rows of a batch.
//!
//! One thread owns an output row: a share of the panels is claimed as a whole, and the tokens pass through each panel in
//! tiles of 8, 4, 2 or 1. An output adds its blocks in order, the sums of a block being exact integers, with
//! the same fused multiply-adds on every instruction set. So its bits depend on nothing but its row of weights and its
//! own input: not on the tile, the batch, the threads or the instruction set.

use super::activations::{tile_width, ActBlock, Activations, TILE};
use super::dots::Dots;
use super::lanes::for_isa;
use super::matrix::{PackedMatrix, PanelAt};
use super::panel::{Bf16, Panel, F16, F32, Q4K, Q4_0, Q4_1, Q6K, Q8_0};
use super::{Isa, Pool};
use crate::quant::WeightType;
use std::ops::Range;

/// Inputs of a chunk of tokens stay in the L2 cache, beside a panel, while the panels of a thread pass.
const CHUNK_BYTES: usize = 384 << 10;

/// At most so many parts per thread: more than one, so that a thread which another process slows down gets less.
const PARTS: usize = 4;

/// The least that a part reads when one token passes: in shorter streams the hardware prefetch does not get going, and
/// 576 x 576 weights of Q4_1 come at 24 GB/s in 8 parts, at 36 GB/s in 2.
const PART_BYTES: usize = 96 << 10;

/// Above so many tokens the work of a part is in its products, not its bytes.
const STREAMED: usize = 16;

/// The least bytes that are worth a second thread.
const SERIAL_BYTES: usize = 16 << 10;

/// Parts into which a matrix of `bytes` is cut for n tokens: a multiple of the threads, which are equal when nothing
/// disturbs them, or 1.
fn parts(bytes: usize, n: usize, threads: usize) -> usize {
    if bytes * n < SERIAL_BYTES {
        return 1;
    }
    let each = PART_BYTES * threads;
    threads * (bytes * n.div_ceil(STREAMED) / each).clamp(1, PARTS)
}

/// out [n, rows] = W x, or out += W x with `accumulate`; x [n, cols] in the forms that W reads.
///
/// # Panics
/// If the shapes differ or the activations lack a form.
pub fn linear(isa: Isa, pool: &Pool, matrix: &PackedMatrix, input: &Activations, out: &mut [f32], accumulate: bool) {
    assert_eq!(input.cols(), matrix.cols(), "columns of the input and of the matrix");
    assert_eq!(out.len(), input.rows() * matrix.rows(), "outputs of {matrix:?}");
    assert!(input.inputs().cover(matrix.inputs()), "the input lacks a form");
    let out = Out(out.as_mut_ptr());
    let parts = parts(matrix.bytes(), input.rows(), pool.threads());
    pool.tasks(parts, &|part| {
        pass(isa, matrix, input, &out, matrix.share(part, parts), accumulate);
    });
}

/// [n, rows], written by column ranges.
struct Out(*mut f32);
// SAFETY: a thread writes only the columns of its own panels, which are disjoint.
unsafe impl Sync for Out {}

for_isa! {
    /// The tokens through a range of panels. The caller has checked all shapes.
    fn pass(matrix: &PackedMatrix, input: &Activations, out: &Out, panels: Range<usize>, accumulate: bool) = pass_body
}

#[inline(always)]
unsafe fn pass_body<V: Dots>(
    matrix: &PackedMatrix,
    input: &Activations,
    out: &Out,
    panels: Range<usize>,
    accumulate: bool,
) {
    let n = input.rows();
    let planes = 1 + usize::from(matrix.inputs().residual);
    let token_bytes = planes * matrix.cols().div_ceil(32) * size_of::<ActBlock>();
    let chunk = (CHUNK_BYTES / token_bytes / TILE).max(1) * TILE;
    for start in (0..n).step_by(chunk) {
        let tokens = start..n.min(start + chunk);
        for panel in &matrix.panels()[panels.clone()] {
            let job = Job {
                matrix,
                input,
                out,
                panel,
                accumulate,
            };
            match panel.ty {
                WeightType::F32 => job.run::<V, F32>(tokens.clone()),
                WeightType::F16 => job.run::<V, F16>(tokens.clone()),
                WeightType::BF16 => job.run::<V, Bf16>(tokens.clone()),
                WeightType::Q4_0 => job.run::<V, Q4_0>(tokens.clone()),
                WeightType::Q4_1 => job.run::<V, Q4_1>(tokens.clone()),
                WeightType::Q8_0 => job.run::<V, Q8_0>(tokens.clone()),
                WeightType::Q4K => job.run::<V, Q4K>(tokens.clone()),
                WeightType::Q6K => job.run::<V, Q6K>(tokens.clone()),
            }
        }
    }
}

/// One panel and all that its tiles share.
struct Job<'a> {
    matrix: &'a PackedMatrix,
    input: &'a Activations,
    out: &'a Out,
    panel: &'a PanelAt,
    accumulate: bool,
}

impl Job<'_> {
    #[inline(always)]
    unsafe fn run<V: Dots, P: Panel<Input: Tile>>(&self, tokens: Range<usize>) {
        let mut start = tokens.start;
        while start < tokens.end {
            // The chunk begins at a multiple of 8, so these are the tiles in which the activations lie.
            let width = tile_width(self.input.rows(), start);
            let first = start == tokens.start;
            match width {
                8 => self.tile::<V, P, 8>(start, first),
                4 => self.tile::<V, P, 4>(start, first),
                2 => self.tile::<V, P, 2>(start, first),
                _ => self.tile::<V, P, 1>(start, first),
            }
            start += width;
        }
    }

    #[inline(always)]
    unsafe fn tile<V: Dots, P: Panel<Input: Tile>, const N: usize>(&self, start: usize, first: bool) {
        let panel = self.matrix.panel_bytes(self.panel);
        let a = P::Input::of(self.input, start);
        let residual = if self.matrix.inputs().residual {
            P::Input::residual_of(self.input, start)
        } else {
            None
        };
        let mut y = [V::splat(0.0); N];
        // The first tile takes the panel from memory. When it is wide, so many products lie between two loads that
        // hardware prefetch falls behind; narrower tiles keep the hardware busy, and lose by more requests.
        let fetch = N == TILE && first;
        for step in 0..self.matrix.cols().div_ceil(P::COLS) {
            let step_at = panel.add(step * P::BYTES);
            P::add::<V, N>(step_at, a.add(step * P::INPUTS * N), &mut y, fetch);
            if let Some(residual) = residual {
                P::add::<V, N>(step_at, residual.add(step * P::INPUTS * N), &mut y, false);
            }
        }
        let (row, rows) = (self.panel.row, self.panel.rows);
        for (t, y) in y.into_iter().enumerate() {
            let out = self.out.0.add((start + t) * self.matrix.rows() + row);
            let mut y = y;
            if let Some(bias) = self.matrix.bias() {
                y = y.add(V::load_part(bias.as_ptr().add(row), rows));
            }
            if self.accumulate {
                y = V::load_part(out, rows).add(y);
            }
            y.store_part(out, rows);
        }
    }
}

/// Where the inputs of a tile lie.
pub(crate) trait Tile: Sized {
    fn of(input: &Activations, start: usize) -> *const Self;

    /// The same for what these inputs round away, if they round.
    fn residual_of(input: &Activations, start: usize) -> Option<*const Self>;
}

impl Tile for ActBlock {
    #[inline(always)]
    fn of(input: &Activations, start: usize) -> *const ActBlock {
        input.int8_tile(start)
    }

    #[inline(always)]
    fn residual_of(input: &Activations, start: usize) -> Option<*const ActBlock> {
        Some(input.residual_tile(start))
    }
}

impl Tile for f32 {
    #[inline(always)]
    fn of(input: &Activations, start: usize) -> *const f32 {
        input.float_tile(start)
    }

    #[inline(always)]
    fn residual_of(_: &Activations, _: usize) -> Option<*const f32> {
        None
    }
}
