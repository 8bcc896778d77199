//! Attention on the CPU: exact over the prompt, and over pages and window in a decode step.
//!
//! Every score is one dot product of fixed order, a softmax is f32, and a result depends on the own sequence alone: not
//! on the batch, on the thread count or on the instruction set. A GQA group shares each load of K and V.

mod decode;
mod prefill;

use half::f16;

use super::kv_lanes::{self, Kernel, Lanes, LANES};
use super::Isa;

pub use decode::{decode, CHUNK};
pub use prefill::prefill;

/// 1 / sqrt(head_dim) · log2(e): scores become exponents of 2. It multiplies the f32 score, not q.
fn exponent_scale(head_dim: usize) -> f32 {
    (std::f64::consts::LOG2_E / (head_dim as f64).sqrt()) as f32
}

/// What [`store_f16`] met.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// Values clamped to +-65504.
    pub clamped: u64,
    /// Whether there was a NaN; the values are then unusable.
    pub nan: bool,
}

/// Rounds `from` to f16 (nearest, ties to even), clamped to +-65504.
///
/// # Panics
/// If the slices differ in length.
pub fn store_f16(isa: Isa, from: &[f32], to: &mut [f16]) -> Stored {
    assert_eq!(from.len(), to.len());
    let mut stored = Stored::default();
    kv_lanes::run(
        isa,
        ToF16 {
            from,
            to,
            stored: &mut stored,
        },
    );
    stored
}

struct ToF16<'a> {
    from: &'a [f32],
    to: &'a mut [f16],
    stored: &'a mut Stored,
}

impl Kernel for ToF16<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        const MAX: f32 = 65504.0;
        let whole = self.from.len() / LANES * LANES;
        let (low, high) = (L::splat(-MAX), L::splat(MAX));
        for i in (0..whole).step_by(LANES) {
            // `min` and `max` give their second operand for a NaN, which therefore comes last.
            let x = L::load(self.from.as_ptr().add(i));
            high.min(low.max(x)).store_f16(self.to.as_mut_ptr().add(i));
        }
        for i in whole..self.from.len() {
            let x = self.from[i];
            self.to[i] = f16::from_f32(if x > MAX {
                MAX
            } else if x < -MAX {
                -MAX
            } else {
                x
            });
        }
        for x in self.from {
            // The largest f32 that rounds to 65504 is below 65520; from there on a value is out of range.
            self.stored.clamped += u64::from(x.abs() > MAX);
            self.stored.nan |= x.is_nan();
        }
    }
}
