//! Q8_0: 32 weights in 34 bytes. w = d q, q in -128..=127.
//!
//! | bytes | holds |
//! |---|---|
//! | 0..2 | d, f16 |
//! | 2..34 | q of weight i, i8 |

use super::{half, Row, WeightType};

pub(super) const ROW: Row = Row {
    ty: WeightType::Q8_0,
    name: "Q8_0",
    ggml: 8,
    block_len: 32,
    block_bytes: 34,
    dequantize,
};

fn dequantize(block: &[u8], out: &mut [f32]) {
    let d = half(block, 0);
    for (out, &q) in out.iter_mut().zip(&block[2..]) {
        *out = d * q as i8 as f32;
    }
}
