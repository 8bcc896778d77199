//! Q8_0: y += (d s) (sum((q + 128) a) - 128 sum(a)), in integers. A step: codes q + 128 512, d [16] f16.

use super::{fetch_ahead, interleave, put_half, Panel};
use crate::backend::cpu::activations::ActBlock;
use crate::backend::cpu::dots::{Dots, BYTES};

pub(crate) struct Q8_0;

impl Panel for Q8_0 {
    const COLS: usize = 32;
    const BYTES: usize = BYTES + 32;
    const FILE_BYTES: usize = 34;
    type Input = ActBlock;
    const INPUTS: usize = 1;

    fn pack(block: &[u8], row: usize, step: &mut [u8]) {
        let mut codes = [0; 32];
        for (code, q) in codes.iter_mut().zip(&block[2..34]) {
            *code = q ^ 128;
        }
        interleave(&codes, row, step);
        put_half(&block[0..2], row, &mut step[BYTES..]);
    }

    #[inline(always)]
    unsafe fn add<V: Dots, const N: usize>(step: *const u8, a: *const ActBlock, y: &mut [V; N], fetch: bool) {
        if fetch {
            fetch_ahead::<V>(step, Self::BYTES);
        }
        let sums = V::bytes::<N>(step, a);
        let d = V::load_f16(step.add(BYTES).cast());
        for t in 0..N {
            let ds = d.mul(V::splat((*a.add(t)).scale));
            y[t] = ds.fma(V::from_ints(sums[t]), y[t]);
        }
    }
}
