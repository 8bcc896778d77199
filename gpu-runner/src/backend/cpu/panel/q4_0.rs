//! Q4_0: y += (d s) (sum(q a) - 8 sum(a)), the difference in integers. A step: codes 256, d [16] f16.

use super::{fetch_ahead, interleave, put_half, Panel};
use crate::backend::cpu::activations::ActBlock;
use crate::backend::cpu::dots::{Dots, NIBBLES};

pub(crate) struct Q4_0;

impl Panel for Q4_0 {
    const COLS: usize = 32;
    const BYTES: usize = NIBBLES + 32;
    const FILE_BYTES: usize = 18;
    type Input = ActBlock;
    const INPUTS: usize = 1;

    fn pack(block: &[u8], row: usize, step: &mut [u8]) {
        interleave(&block[2..18], row, step);
        put_half(&block[0..2], row, &mut step[NIBBLES..]);
    }

    #[inline(always)]
    unsafe fn add<V: Dots, const N: usize>(step: *const u8, a: *const ActBlock, y: &mut [V; N], fetch: bool) {
        if fetch {
            fetch_ahead::<V>(step, Self::BYTES);
        }
        let sums = V::nibbles::<N, 3>(step, a);
        let d = V::load_f16(step.add(NIBBLES).cast());
        for t in 0..N {
            let ds = d.mul(V::splat((*a.add(t)).scale));
            y[t] = ds.fma(V::from_ints(sums[t]), y[t]);
        }
    }
}
