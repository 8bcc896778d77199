//! Q6_K: 256 weights in 210 bytes, 16 sub-blocks of 16. w = (d s_j) (q - 32), q in 0..=63, j the sub-block.
//!
//! | bytes | holds |
//! |---|---|
//! | 0..128 | low 4 bits of q |
//! | 128..192 | high 2 bits of q |
//! | 192..208 | s_j, i8 |
//! | 208..210 | d, f16 |
//!
//! Weight i = 128 h + 32 r + l (h < 2, r < 4, l < 32): its low bits are in byte 64 h + 32 (r mod 2) + l, the low
//! nibble for r < 2 and the high one else; its high bits are in byte 128 + 32 h + l at bit 2 r.

use super::{half, Row, WeightType};

pub(super) const ROW: Row = Row {
    ty: WeightType::Q6K,
    name: "Q6_K",
    ggml: 14,
    block_len: 256,
    block_bytes: 210,
    dequantize,
};

fn dequantize(block: &[u8], out: &mut [f32]) {
    let d = half(block, 208);
    for (run, out) in out.chunks_exact_mut(32).enumerate() {
        let (h, r) = (run / 4, run % 4);
        for (l, out) in out.iter_mut().enumerate() {
            let low = block[64 * h + 32 * (r % 2) + l] >> (r / 2 * 4) & 15;
            let high = block[128 + 32 * h + l] >> (2 * r) & 3;
            let scale = d * block[192 + 2 * run + l / 16] as i8 as f32;
            *out = scale * ((low | high << 4) as i32 - 32) as f32;
        }
    }
}
