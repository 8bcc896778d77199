//! F16: 2 bytes a weight, IEEE half. w = value.

use super::{half, Row, WeightType};

pub(super) const ROW: Row = Row {
    ty: WeightType::F16,
    name: "F16",
    ggml: 1,
    block_len: 1,
    block_bytes: 2,
    dequantize,
};

fn dequantize(block: &[u8], out: &mut [f32]) {
    out[0] = half(block, 0);
}
