//! F32: 4 bytes a weight, IEEE single. w = value.

use super::{Row, WeightType};

pub(super) const ROW: Row = Row {
    ty: WeightType::F32,
    name: "F32",
    ggml: 0,
    block_len: 1,
    block_bytes: 4,
    dequantize,
};

fn dequantize(block: &[u8], out: &mut [f32]) {
    out[0] = f32::from_le_bytes([block[0], block[1], block[2], block[3]]);
}
