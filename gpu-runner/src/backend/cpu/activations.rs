//! The input of a linear layer: int8 blocks of 32 for quantised weights, f32 for float weights.
//!
//! A block has scale s = amax / 127 and codes rne(x (127 / amax)); both are zero if amax is 0 (or so small that
//! 127 / amax overflows). A block that holds a NaN or an infinity gets a NaN scale, so that every output which reads it
//! is NaN and the fault is seen at the logits instead of being rounded away.
//!
//! A matrix may ask for the residual too: what a block rounds away, x - s code, quantised by the same rule.
//!
//! Rows lie in tiles of 8, then 4, 2, 1 for the rest, and a tile lies block by block: what a kernel reads is one
//! stream. The tile of a row changes no bits.

use super::lanes::{for_isa, Lanes, LANES};
use super::panel::Inputs;
use super::{Isa, Pool};

/// Columns of a block.
pub const BLOCK: usize = 32;

/// Widest tile.
pub(crate) const TILE: usize = 8;

/// Below so many values a region costs more than it saves.
const SERIAL: usize = 2_048;

/// One row's block of 32 columns, 48 bytes.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(16))]
pub(crate) struct ActBlock {
    pub codes: [i8; BLOCK],
    /// s.
    pub scale: f32,
    /// s times the sum of the codes.
    pub scaled_sum: f32,
    /// The sum of the codes, negated: shifted left it is the start value of offset weight codes.
    pub neg_sum: i32,
    /// The sum of the last 16 codes, negated.
    pub neg_second: i32,
}

const ZERO: ActBlock = ActBlock {
    codes: [0; BLOCK],
    scale: 0.0,
    scaled_sum: 0.0,
    neg_sum: 0,
    neg_second: 0,
};

/// Inputs of n rows, in a buffer to be reused from layer to layer.
#[derive(Debug, Default)]
pub struct Activations {
    rows: usize,
    cols: usize,
    blocks: usize,
    inputs: Inputs,
    int8: Vec<ActBlock>,
    residual: Vec<ActBlock>,
    /// [tile][block][row of the tile][32]
    float: Vec<f32>,
}

impl Activations {
    /// An empty buffer.
    pub fn new() -> Activations {
        Activations::default()
    }

    /// Rows held.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns of a row.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Takes x [n, cols], f32, in the forms that `inputs` names.
    ///
    /// # Panics
    /// If x is no whole number of rows.
    pub fn set(&mut self, isa: Isa, pool: &Pool, x: &[f32], cols: usize, inputs: Inputs) {
        assert_eq!(x.len() % cols, 0, "{} values are no rows of {cols}", x.len());
        self.fill(isa, pool, x.len() / cols, cols, inputs, &|row, out| {
            out.copy_from_slice(&x[row * cols..][..cols]);
        });
    }

    /// Takes n rows that `write(row, out)` makes, out [cols]: a norm or an activation function runs on each row just
    /// before it is quantised, in parallel over rows.
    pub fn fill(
        &mut self,
        isa: Isa,
        pool: &Pool,
        n: usize,
        cols: usize,
        inputs: Inputs,
        write: &(dyn Fn(usize, &mut [f32]) + Sync),
    ) {
        (self.rows, self.cols, self.inputs) = (n, cols, inputs);
        self.blocks = cols.div_ceil(BLOCK);
        let blocks = self.blocks;
        if inputs.int8 {
            self.int8.resize(n * blocks, ZERO);
        }
        if inputs.residual {
            self.residual.resize(n * blocks, ZERO);
        }
        if inputs.float {
            self.float.resize(n * blocks * BLOCK, 0.0);
        }
        let target = Target {
            int8: self.int8.as_mut_ptr(),
            residual: self.residual.as_mut_ptr(),
            float: self.float.as_mut_ptr(),
        };
        let part = |rows: std::ops::Range<usize>| {
            let target = &target;
            let mut row = vec![0f32; blocks * BLOCK];
            for i in rows {
                write(i, &mut row[..cols]);
                let (first, stride) = place(n, blocks, i);
                // SAFETY: `place` gives every (row, block) an index of its own below n * blocks, the buffers' length
                // where the form is asked for; each row is written by one thread.
                unsafe {
                    if inputs.int8 {
                        quantize(isa, &row, target.int8.add(first), stride);
                    }
                    if inputs.float {
                        for (b, block) in row.chunks_exact(BLOCK).enumerate() {
                            let to = target.float.add((first + b * stride) * BLOCK);
                            std::ptr::copy_nonoverlapping(block.as_ptr(), to, BLOCK);
                        }
                    }
                    // Last, because the row becomes its residual.
                    if inputs.residual {
                        subtract(isa, &mut row, target.int8.add(first), stride);
                        quantize(isa, &row, target.residual.add(first), stride);
                    }
                }
            }
        };
        if n == 1 || n * cols < SERIAL {
            part(0..n);
        } else {
            pool.split(n, 1, &part);
        }
    }

    /// Takes one row that is quantised already: codes [blocks][32], a scale per block.
    ///
    /// # Panics
    /// If the codes are no whole blocks with a scale each.
    pub fn set_codes(&mut self, codes: &[i8], scales: &[f32]) {
        assert_eq!(codes.len(), scales.len() * BLOCK, "codes of {} blocks", scales.len());
        (self.rows, self.cols, self.blocks) = (1, codes.len(), scales.len());
        self.inputs = Inputs {
            int8: true,
            residual: false,
            float: false,
        };
        self.int8.clear();
        for (codes, &scale) in codes.chunks_exact(BLOCK).zip(scales) {
            let sum = |codes: &[i8]| codes.iter().map(|c| i32::from(*c)).sum::<i32>();
            let mut block = ActBlock {
                scale,
                scaled_sum: scale * sum(codes) as f32,
                neg_sum: -sum(codes),
                neg_second: -sum(&codes[LANES..]),
                ..ZERO
            };
            block.codes.copy_from_slice(codes);
            self.int8.push(block);
        }
    }

    /// Scale and codes of one row's block, for tests and reports.
    ///
    /// # Panics
    /// If the buffer does not hold that block in int8 form.
    pub fn block(&self, row: usize, block: usize) -> (f32, [i8; BLOCK]) {
        assert!(self.inputs.int8 && row < self.rows && block < self.blocks);
        let (first, stride) = place(self.rows, self.blocks, row);
        let block = &self.int8[first + block * stride];
        (block.scale, block.codes)
    }

    /// The blocks of the tile that starts at row `start`, in int8 form.
    pub(crate) fn int8_tile(&self, start: usize) -> *const ActBlock {
        self.int8[start * self.blocks..].as_ptr()
    }

    /// What those blocks round away.
    pub(crate) fn residual_tile(&self, start: usize) -> *const ActBlock {
        self.residual[start * self.blocks..].as_ptr()
    }

    /// The values of the tile that starts at row `start`, in f32 form.
    pub(crate) fn float_tile(&self, start: usize) -> *const f32 {
        self.float[start * self.blocks * BLOCK..].as_ptr()
    }

    pub(crate) fn inputs(&self) -> Inputs {
        self.inputs
    }
}

struct Target {
    int8: *mut ActBlock,
    residual: *mut ActBlock,
    float: *mut f32,
}
// SAFETY: threads write disjoint rows, see `fill`.
unsafe impl Sync for Target {}

/// Width of the tile that starts at row `start` of `n`: 8 while 8 remain, then the powers of two below.
pub(crate) fn tile_width(n: usize, start: usize) -> usize {
    let left = n - start;
    if left >= TILE {
        TILE
    } else {
        1 << left.ilog2()
    }
}

/// Index of row i's first block, and the step to its next ones.
fn place(n: usize, blocks: usize, i: usize) -> (usize, usize) {
    let mut start = i / TILE * TILE;
    loop {
        let width = tile_width(n, start);
        if i < start + width {
            return (start * blocks + (i - start), width);
        }
        start += width;
    }
}

for_isa! {
    /// Quantises x (whole blocks) to out[0], out[stride], ...: the caller answers for the room.
    fn quantize(x: &[f32], out: *mut ActBlock, stride: usize) = quantize_body
}

#[inline(always)]
unsafe fn quantize_body<V: Lanes>(x: &[f32], out: *mut ActBlock, stride: usize) {
    const INFINITE: i32 = 0x7f80_0000;
    for (b, block) in x.chunks_exact(BLOCK).enumerate() {
        let (lo, hi) = (V::load(block.as_ptr()), V::load(block.as_ptr().add(LANES)));
        let bits = V::largest_int(hi.max_abs_bits(lo.max_abs_bits(V::zero_ints())));
        let amax = f32::from_bits(bits as u32);
        let inverse = 127.0 / amax;
        let out = &mut *out.add(b * stride);
        if bits >= INFINITE || inverse.is_infinite() {
            *out = ZERO;
            if bits >= INFINITE {
                (out.scale, out.scaled_sum) = (f32::NAN, f32::NAN);
            }
            continue;
        }
        let inverse = V::splat(inverse);
        let (lo, hi) = (lo.mul(inverse).round(), hi.mul(inverse).round());
        lo.store_i8(out.codes.as_mut_ptr());
        hi.store_i8(out.codes.as_mut_ptr().add(LANES));
        // Sums of whole numbers below 2^24 are exact in f32.
        let (first, second) = (lo.sum(), hi.sum());
        out.scale = amax / 127.0;
        out.scaled_sum = out.scale * (first + second);
        out.neg_sum = -((first + second) as i32);
        out.neg_second = -(second as i32);
    }
}

for_isa! {
    /// x -= s code for the blocks in[0], in[stride], ...; a block that holds a fault keeps it.
    fn subtract(x: &mut [f32], blocks: *const ActBlock, stride: usize) = subtract_body
}

#[inline(always)]
unsafe fn subtract_body<V: Lanes>(x: &mut [f32], blocks: *const ActBlock, stride: usize) {
    for (b, x) in x.chunks_exact_mut(BLOCK).enumerate() {
        let block = &*blocks.add(b * stride);
        // One rounding per element, the same on every instruction set.
        for (x, code) in x.iter_mut().zip(block.codes) {
            *x = f32::from(code).mul_add(-block.scale, *x);
        }
    }
}
