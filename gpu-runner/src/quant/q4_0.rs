//! Q4_0: 32 weights in 18 bytes. w = d (q - 8), q in 0..=15.
//!
//! | bytes | holds |
//! |---|---|
//! | 0..2 | d, f16 |
//! | 2..18 | byte i: low nibble q of weight i, high nibble q of weight i + 16 |

use super::{half, Row, WeightType};

pub(super) const ROW: Row = Row {
    ty: WeightType::Q4_0,
    name: "Q4_0",
    ggml: 2,
    block_len: 32,
    block_bytes: 18,
    dequantize,
};

fn dequantize(block: &[u8], out: &mut [f32]) {
    let d = half(block, 0);
    for (i, &byte) in block[2..].iter().enumerate() {
        out[i] = d * ((byte & 15) as i32 - 8) as f32;
        out[i + 16] = d * ((byte >> 4) as i32 - 8) as f32;
    }
}
