//! Q4_K: as Q4_1 per sub-block of 32, with d sc for d and -(e mn) for m, both in f32.
//!
//! A step of 256 columns: d [16] f16, e [16] f16, sc [8][16] u8, mn [8][16] u8, codes 8 x 256. The nibbles are put in
//! the order of Q4_1 (weights i and i + 16 of one sub-block share a byte); in the file two sub-blocks share it.

use super::{fetch_ahead, interleave, put_half, Panel};
use crate::backend::cpu::activations::ActBlock;
use crate::backend::cpu::dots::{Dots, NIBBLES};
use crate::quant::q4_k::scale_min;

pub(crate) struct Q4K;

const SCALES: usize = 64;
const MINS: usize = SCALES + 128;
const CODES: usize = MINS + 128;

impl Panel for Q4K {
    const COLS: usize = 256;
    const BYTES: usize = CODES + 8 * NIBBLES;
    const FILE_BYTES: usize = 144;
    type Input = ActBlock;
    const INPUTS: usize = 8;

    fn pack(block: &[u8], row: usize, step: &mut [u8]) {
        put_half(&block[0..2], row, step);
        put_half(&block[2..4], row, &mut step[32..]);
        for j in 0..8 {
            let (scale, min) = scale_min(&block[4..16], j);
            step[SCALES + j * 16 + row] = scale;
            step[MINS + j * 16 + row] = min;
            let run = &block[16 + j / 2 * 32..][..32];
            let shift = j % 2 * 4;
            let mut words = [0; 16];
            for (i, byte) in words.iter_mut().enumerate() {
                *byte = (run[i] >> shift & 15) | (run[i + 16] >> shift & 15) << 4;
            }
            interleave(&words, row, &mut step[CODES + j * NIBBLES..]);
        }
    }

    #[inline(always)]
    unsafe fn add<V: Dots, const N: usize>(step: *const u8, a: *const ActBlock, y: &mut [V; N], fetch: bool) {
        let d = V::load_f16(step.cast());
        let e = V::splat(0.0).sub(V::load_f16(step.add(32).cast()));
        for j in 0..8 {
            if fetch {
                fetch_ahead::<V>(step.add(j * (Self::BYTES / 8)), Self::BYTES / 8);
            }
            let a = a.add(j * N);
            let sums = V::nibbles::<N, 0>(step.add(CODES + j * NIBBLES), a);
            let scale = d.mul(V::load_u8(step.add(SCALES + j * 16)));
            let min = e.mul(V::load_u8(step.add(MINS + j * 16)));
            for t in 0..N {
                let scale = scale.mul(V::splat((*a.add(t)).scale));
                y[t] = scale.fma(V::from_ints(sums[t]), y[t]);
                y[t] = min.fma(V::splat((*a.add(t)).scaled_sum), y[t]);
            }
        }
    }
}
