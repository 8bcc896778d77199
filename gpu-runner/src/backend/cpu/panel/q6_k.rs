//! Q6_K: y += (d s) sum over both halves of a 32-wide block of sc (sum(q a) - 32 sum(a)), all but d s in integers.
//!
//! A step of 256 columns: d [16] f16, sc [16 sub-blocks][16 rows] i8, then 8 blocks of nibbles 256 and pairs 128.

use super::{fetch_ahead, interleave, put_half, Panel};
use crate::backend::cpu::activations::ActBlock;
use crate::backend::cpu::dots::{Dots, NIBBLES, PAIRS};

pub(crate) struct Q6K;

const SCALES: usize = 32;
const CODES: usize = SCALES + 256;

impl Panel for Q6K {
    const COLS: usize = 256;
    const BYTES: usize = CODES + 8 * (NIBBLES + PAIRS);
    const FILE_BYTES: usize = 210;
    type Input = ActBlock;
    const INPUTS: usize = 8;

    fn pack(block: &[u8], row: usize, step: &mut [u8]) {
        put_half(&block[208..210], row, step);
        for j in 0..16 {
            step[SCALES + j * 16 + row] = block[192 + j];
        }
        for run in 0..8 {
            let (h, r) = (run / 4, run % 4);
            let low = |l: usize| block[64 * h + 32 * (r % 2) + l] >> (r / 2 * 4) & 15;
            let high = |l: usize| block[128 + 32 * h + l] >> (2 * r) & 3;
            let (mut nibbles, mut pairs) = ([0; 16], [0; 8]);
            for (i, byte) in nibbles.iter_mut().enumerate() {
                *byte = low(i) | low(i + 16) << 4;
            }
            for l in 0..32 {
                pairs[l / 16 * 4 + l % 4] |= high(l) << (l % 16 / 4 * 2);
            }
            let out = &mut step[CODES + run * (NIBBLES + PAIRS)..];
            interleave(&nibbles, row, out);
            interleave(&pairs, row, &mut out[NIBBLES..]);
        }
    }

    #[inline(always)]
    unsafe fn add<V: Dots, const N: usize>(step: *const u8, a: *const ActBlock, y: &mut [V; N], fetch: bool) {
        let d = V::load_f16(step.cast());
        for j in 0..8 {
            if fetch {
                fetch_ahead::<V>(step.add(j * (Self::BYTES / 8)), Self::BYTES / 8);
            }
            let a = a.add(j * N);
            let codes = step.add(CODES + j * (NIBBLES + PAIRS));
            let scales = step.add(SCALES + j * 32).cast();
            let sums = V::sixes::<N>(codes, codes.add(NIBBLES), scales, a);
            for t in 0..N {
                let ds = d.mul(V::splat((*a.add(t)).scale));
                y[t] = ds.fma(V::from_ints(sums[t]), y[t]);
            }
        }
    }
}
