//! Q4_K: 256 weights in 144 bytes, 8 sub-blocks of 32. w = (d s_j) q - (e m_j), q in 0..=15, j the sub-block.
//!
//! | bytes | holds |
//! |---|---|
//! | 0..2 | d, f16: scale of the scales |
//! | 2..4 | e, f16: scale of the minima |
//! | 4..16 | eight 6-bit s_j and eight 6-bit m_j, see [`scale_min`] |
//! | 16..144 | four runs of 32 bytes; in run r the low nibbles are sub-block 2r, the high nibbles 2r + 1 |

use super::{half, Row, WeightType};

pub(super) const ROW: Row = Row {
    ty: WeightType::Q4K,
    name: "Q4_K",
    ggml: 12,
    block_len: 256,
    block_bytes: 144,
    dequantize,
};

/// s_j and m_j. Byte j (j < 4) holds s_j in its low 6 bits and byte j + 4 m_j; for j >= 4 the low 4 bits of both
/// share byte j + 4 (s low, m high) and their top 2 bits are the top 2 bits of bytes j - 4 (s) and j (m).
pub(crate) fn scale_min(packed: &[u8], j: usize) -> (u8, u8) {
    if j < 4 {
        return (packed[j] & 63, packed[j + 4] & 63);
    }
    let low = packed[j + 4];
    (
        (low & 15) | (packed[j - 4] >> 6) << 4,
        (low >> 4) | (packed[j] >> 6) << 4,
    )
}

fn dequantize(block: &[u8], out: &mut [f32]) {
    let (d, e) = (half(block, 0), half(block, 2));
    for (j, out) in out.chunks_exact_mut(32).enumerate() {
        let (s, m) = scale_min(&block[4..16], j);
        let (scale, min) = (d * s as f32, e * m as f32);
        let run = &block[16 + j / 2 * 32..][..32];
        let shift = j % 2 * 4;
        for (out, &byte) in out.iter_mut().zip(run) {
            *out = scale * ((byte >> shift) & 15) as f32 - min;
        }
    }
}
