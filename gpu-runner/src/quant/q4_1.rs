//! Q4_1: 32 weights in 20 bytes. w = d q + m, q in 0..=15.
//!
//! | bytes | holds |
//! |---|---|
//! | 0..2 | d, f16 |
//! | 2..4 | m, f16 |
//! | 4..20 | byte i: low nibble q of weight i, high nibble q of weight i + 16 |

use super::{half, Row, WeightType};

pub(super) const ROW: Row = Row {
    ty: WeightType::Q4_1,
    name: "Q4_1",
    ggml: 3,
    block_len: 32,
    block_bytes: 20,
    dequantize,
};

fn dequantize(block: &[u8], out: &mut [f32]) {
    let (d, m) = (half(block, 0), half(block, 2));
    for (i, &byte) in block[4..].iter().enumerate() {
        out[i] = d * (byte & 15) as f32 + m;
        out[i + 16] = d * (byte >> 4) as f32 + m;
    }
}
