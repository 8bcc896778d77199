//! Codecs of one token's vector: one file a form, each the encoder (bit-exact: plain f32, no reciprocals but where a
//! form asks for one, the same bits on every instruction set) and the widening of its codes to f32, sixteen channels at
//! a time.
//!
//! A codec sees vectors in its own basis: the rotation in front is [`rotation`]'s, once a row when sealing and once a
//! task when reading. Encoders are plain Rust without closures, so that they compile to each instruction set; Rust
//! never fuses a product and a sum by itself.

pub mod codebook;
pub(super) mod fp8;
pub(super) mod ggml;
pub(super) mod group;
pub(super) mod int8;
pub mod rotation;

use half::f16;

use super::kv_lanes::KvLanes;
use super::lanes::{for_isa, LANES};
use super::Isa;
use crate::cache::{Rotation, TokenCodec, GGML_BLOCK};

/// The largest head dimension with kernels.
pub(super) const MAX_DIM: usize = 128;

/// The f16 nearest to a scale, a minimum or a norm. Rotated values and norms can leave the range of f16 and are
/// clamped to it, as K and V are.
#[inline(always)]
fn stored(x: f32) -> f16 {
    // Not `clamp`: a NaN must stay one.
    let x = if x > 65504.0 { 65504.0 } else { x };
    f16::from_f32(if x < -65504.0 { -65504.0 } else { x })
}

/// Largest magnitude of a row.
#[inline(always)]
fn largest(x: &[f32]) -> f32 {
    let mut most = 0f32;
    for x in x {
        let x = x.abs();
        most = if x > most { x } else { most };
    }
    most
}

/// Sum of squares in sixteen stripes, folded 8, 4, 2, 1; every product is rounded.
#[inline(always)]
fn sum_squares(x: &[f32]) -> f32 {
    let mut stripes = [0f32; LANES];
    for x in x.chunks_exact(LANES) {
        for i in 0..LANES {
            stripes[i] += x[i] * x[i];
        }
    }
    for width in [8, 4, 2, 1] {
        for i in 0..width {
            stripes[i] += stripes[i + width];
        }
    }
    stripes[0]
}

/// Encodes x [head_dim] in the codec's basis: codes one byte each into `codes` (signed ones as two's complement),
/// scales and minima into `params`. `length` is the norm of the vector, which only the codebook reads.
#[inline(always)]
pub(super) fn encode(codec: TokenCodec, x: &[f32], length: f32, codes: &mut [u8], params: &mut [f16]) {
    match codec {
        TokenCodec::Fp8 { scaled } => fp8::encode(scaled, x, codes, params),
        TokenCodec::Int8 => int8::encode(x, codes, params),
        TokenCodec::Group { bits } => group::encode(bits, x, codes, params),
        TokenCodec::Q8_0 => ggml::encode_q8_0(x, codes, params),
        TokenCodec::Q4_0 => ggml::encode_q4_0(x, codes, params),
        TokenCodec::Codebook { bits, renorm } => codebook::encode(bits, renorm, x, length, codes, params),
    }
}

/// Seals one vector: f16 values at `row` -> codes at `codes`, low bits first, and its scales and minima at `params`.
///
/// # Safety
/// As every kernel over lanes: the instruction set of L; `d` values at `row`; one row of the codec behind the others.
#[inline(always)]
pub(super) unsafe fn seal<L: KvLanes>(
    codec: TokenCodec,
    turn: Rotation,
    d: usize,
    row: *const f16,
    codes: *mut u8,
    params: *mut u8,
) {
    let mut x = [0f32; MAX_DIM];
    for c in (0..d).step_by(LANES) {
        L::load_f16(row.add(c).cast()).store(x.as_mut_ptr().add(c));
    }
    let x = &mut x[..d];
    let mut length = 0.0;
    if let TokenCodec::Codebook { .. } = codec {
        // The codebook's sqrt(d) R x / norm is the transform without its scale over the norm of x.
        length = sum_squares(x).sqrt();
        rotation::transform(turn, x);
    } else {
        rotation::rotate(turn, x);
    }
    let mut bytes = [0u8; MAX_DIM];
    let mut values = [f16::ZERO; MAX_DIM / GGML_BLOCK];
    encode(codec, x, length, &mut bytes[..d], &mut values);
    pack(codec.bits(), &bytes[..d], codes);
    let (scales, minima) = codec.params(d);
    std::ptr::copy_nonoverlapping(values.as_ptr().cast(), params, (scales + minima) * 2);
}

/// Writes codes as 2 * bits bytes a sixteen, low bits first.
#[inline(always)]
unsafe fn pack(bits: usize, codes: &[u8], to: *mut u8) {
    if bits == 8 {
        std::ptr::copy_nonoverlapping(codes.as_ptr(), to, codes.len());
        return;
    }
    for (at, sixteen) in codes.chunks_exact(LANES).enumerate() {
        let mut word = 0u64;
        for (i, code) in sixteen.iter().enumerate() {
            word |= u64::from(*code) << (i * bits);
        }
        let bytes = word.to_le_bytes();
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), to.add(at * 2 * bits), 2 * bits);
    }
}

/// rows [tokens, d] = what codes and params decode to, in the codec's basis. V = head_dim / 16.
///
/// # Safety
/// As every kernel over lanes: the instruction set of L, and `tokens` rows of the codec behind both pointers.
#[inline(always)]
pub(super) unsafe fn widen<L: KvLanes, const V: usize>(
    codec: TokenCodec,
    codes: *const u8,
    params: *const u8,
    tokens: usize,
    rows: &mut [f32],
) {
    let params = params.cast::<f16>();
    match codec {
        TokenCodec::Fp8 { scaled } => fp8::widen::<L, V>(scaled, codes, params, tokens, rows),
        TokenCodec::Int8 => int8::widen::<L, V>(codes, params, tokens, rows),
        TokenCodec::Group { bits: 2 } => group::widen::<L, V, 2>(codes, params, tokens, rows),
        TokenCodec::Group { bits: 3 } => group::widen::<L, V, 3>(codes, params, tokens, rows),
        TokenCodec::Group { .. } => group::widen::<L, V, 4>(codes, params, tokens, rows),
        TokenCodec::Q8_0 => ggml::widen_q8_0::<L, V>(codes, params, tokens, rows),
        TokenCodec::Q4_0 => ggml::widen_q4_0::<L, V>(codes, params, tokens, rows),
        TokenCodec::Codebook { bits: 1, .. } => codebook::widen::<L, V, 1>(codes, params, tokens, rows),
        TokenCodec::Codebook { bits: 2, .. } => codebook::widen::<L, V, 2>(codes, params, tokens, rows),
        TokenCodec::Codebook { bits: 3, .. } => codebook::widen::<L, V, 3>(codes, params, tokens, rows),
        TokenCodec::Codebook { .. } => codebook::widen::<L, V, 4>(codes, params, tokens, rows),
    }
}

/// Decodes whole rows into the model's basis, in f32: out [tokens, d] from `tokens` rows of codes and of params.
///
/// # Panics
/// If the slices are not so long, or no kernel has the head dimension.
pub fn decode(
    isa: Isa,
    codec: TokenCodec,
    turn: Rotation,
    head_dim: usize,
    codes: &[u8],
    params: &[u8],
    out: &mut [f32],
) {
    let tokens = out.len() / head_dim;
    let (scales, minima) = codec.params(head_dim);
    assert_eq!(out.len(), tokens * head_dim);
    assert_eq!(codes.len(), tokens * head_dim * codec.bits() / 8);
    assert_eq!(params.len(), tokens * (scales + minima) * 2);
    assert!(matches!(head_dim, 64 | 128), "no kernel has head dimension {head_dim}");
    decode_rows(isa, codec, turn, head_dim, codes, params, out);
}

for_isa! {
    fn decode_rows(
        codec: TokenCodec,
        turn: Rotation,
        head_dim: usize,
        codes: &[u8],
        params: &[u8],
        out: &mut [f32],
    ) = decode_body
}

#[inline(always)]
unsafe fn decode_body<L: KvLanes>(
    codec: TokenCodec,
    turn: Rotation,
    head_dim: usize,
    codes: &[u8],
    params: &[u8],
    out: &mut [f32],
) {
    let tokens = out.len() / head_dim;
    match head_dim {
        64 => widen::<L, 4>(codec, codes.as_ptr(), params.as_ptr(), tokens, out),
        _ => widen::<L, 8>(codec, codes.as_ptr(), params.as_ptr(), tokens, out),
    }
    for row in out.chunks_exact_mut(head_dim) {
        rotation::undo(turn, row);
    }
}

/// The value of one code in f64, in the codec's basis: what attention must read, computed apart from it.
///
/// # Panics
/// If `params` are not those of the codec.
pub fn value(codec: TokenCodec, code: u8, channel: usize, head_dim: usize, params: &[f16]) -> f64 {
    let block = channel / GGML_BLOCK;
    let signed = f64::from(code as i8);
    match codec {
        TokenCodec::Fp8 { scaled } => fp8::decode(code) * if scaled { params[0].to_f64() } else { 1.0 },
        TokenCodec::Int8 => signed * params[0].to_f64(),
        TokenCodec::Group { .. } => f64::from(code) * params[0].to_f64() + params[1].to_f64(),
        TokenCodec::Q8_0 => signed * params[block].to_f64(),
        TokenCodec::Q4_0 => (f64::from(code) - 8.0) * params[block].to_f64(),
        TokenCodec::Codebook { bits, .. } => {
            let centroid = f64::from(codebook::CENTROIDS[bits as usize - 1][code as usize]);
            centroid * params[0].to_f64() / (head_dim as f64).sqrt()
        }
    }
}
