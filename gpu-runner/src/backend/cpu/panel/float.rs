//! F16, BF16 and F32 weights with f32 inputs: y += sum of 32 products, the sum begun at 0 in each step.
//!
//! The sum of a step does not wait for the one before, which hides the latency of the fused multiply-add. A step is
//! [32 columns][16 rows]; columns past the end of a row are zeros on both sides.

use super::{fetch_ahead, Panel, PANEL_ROWS};
use crate::backend::cpu::dots::Dots;

macro_rules! float_panel {
    ($name:ident, $bytes:expr, $unit:ty, $load:ident) => {
        pub(crate) struct $name;

        impl Panel for $name {
            const COLS: usize = 32;
            const BYTES: usize = 32 * PANEL_ROWS * $bytes;
            const FILE_BYTES: usize = 32 * $bytes;
            type Input = f32;
            const INPUTS: usize = 32;

            fn pack(block: &[u8], row: usize, step: &mut [u8]) {
                for (k, value) in block.chunks_exact($bytes).enumerate() {
                    step[(k * PANEL_ROWS + row) * $bytes..][..$bytes].copy_from_slice(value);
                }
            }

            #[inline(always)]
            unsafe fn add<V: Dots, const N: usize>(step: *const u8, a: *const f32, y: &mut [V; N], fetch: bool) {
                if fetch {
                    fetch_ahead::<V>(step, Self::BYTES);
                }
                let mut sums = [V::splat(0.0); N];
                for k in 0..32 {
                    let w = V::$load(step.cast::<$unit>().add(k * PANEL_ROWS));
                    for t in 0..N {
                        sums[t] = w.fma(V::splat(*a.add(t * 32 + k)), sums[t]);
                    }
                }
                for t in 0..N {
                    y[t] = y[t].add(sums[t]);
                }
            }
        }
    };
}

float_panel!(F16, 2, u16, load_f16);
float_panel!(Bf16, 2, u16, load_bf16);
float_panel!(F32, 4, f32, load);
