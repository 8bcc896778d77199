//! Sealing and reading of the methods whose codes carry corrections: `gear` and `kvquant`.
//!
//! Encoders are plain Rust over slices: they multiply and add in a written order and never fuse, so their bits are the
//! same on every instruction set by construction, and a block does not depend on threads or neighbours. Only the
//! readers, which run at every step, are compiled for each instruction set. Refused: factors by a library's SVD (its
//! bits depend on the machine), and corrections kept as dense f16 (they would cost what the codes save).

pub mod factors;
pub mod gear;
pub mod group;
pub mod kvquant;
pub mod outliers;
pub(crate) mod widen;

use half::f16;

/// The largest finite f16.
const MAX: f32 = 65_504.0;

/// Rounds to f16, to nearest even; what lies outside its range becomes +-65504.
pub fn to_f16(x: f32) -> f16 {
    f16::from_f32(x.clamp(-MAX, MAX))
}

/// A value that its code does not serve: where it lies, and what its decoded value lacks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outlier {
    /// Token in the block that was encoded.
    pub token: u32,
    /// Channel.
    pub channel: u16,
    /// f16(value - decoded).
    pub difference: f16,
}

/// Sum in 16 stripes: element i goes to stripe i mod 16 in order, stripes fold 8, 4, 2, 1.
pub(crate) fn sum(x: impl Iterator<Item = f32>) -> f32 {
    let mut stripes = [0f32; 16];
    x.enumerate().for_each(|(i, x)| stripes[i % 16] += x);
    fold(stripes)
}

fn fold(mut stripes: [f32; 16]) -> f32 {
    for half in [8, 4, 2, 1] {
        for i in 0..half {
            stripes[i] += stripes[i + half];
        }
    }
    stripes[0]
}

/// x · y in 16 stripes; the product is rounded before it is added.
fn dot(x: &[f32], y: &[f32]) -> f32 {
    let mut stripes = [0f32; 16];
    let (mut xs, mut ys) = (x.chunks_exact(16), y.chunks_exact(16));
    for (x, y) in xs.by_ref().zip(ys.by_ref()) {
        for i in 0..16 {
            stripes[i] += x[i] * y[i];
        }
    }
    for (i, (x, y)) in xs.remainder().iter().zip(ys.remainder()).enumerate() {
        stripes[i] += x * y;
    }
    fold(stripes)
}
