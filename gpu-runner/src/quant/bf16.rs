//! BF16: 2 bytes a weight, the upper half of an IEEE single. w = value.

use super::{Row, WeightType};

pub(super) const ROW: Row = Row {
    ty: WeightType::BF16,
    name: "BF16",
    ggml: 30,
    block_len: 1,
    block_bytes: 2,
    dequantize,
};

fn dequantize(block: &[u8], out: &mut [f32]) {
    out[0] = ::half::bf16::from_le_bytes([block[0], block[1]]).to_f32();
}
