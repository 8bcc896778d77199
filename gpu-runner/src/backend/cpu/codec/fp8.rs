//! OCP E4M3 (e4m3fn): bias 7, subnormals, no infinities, largest value 448.

use half::f16;

use super::super::kv_lanes::KvLanes;
use super::super::lanes::LANES;
use super::{largest, stored};

/// The largest value of the format.
const MOST: f32 = 448.0;

/// The nearest E4M3 byte, ties to even, saturated to +-448.
#[inline(always)]
pub(super) fn encode_one(x: f32) -> u8 {
    let sign = (x.to_bits() >> 24 & 0x80) as u8;
    let magnitude = x.abs();
    let magnitude = if magnitude < MOST { magnitude } else { MOST };
    // Normal values: keep 3 bits of the mantissa. A carry into the exponent is the right neighbour.
    let bits = magnitude.to_bits();
    let rounded = (bits + 0x7_ffff + (bits >> 20 & 1)) >> 20;
    let normal = rounded.wrapping_sub((127 - 7) << 3) as u8;
    // Subnormal values: multiples of 2^-9; adding and taking 1.5 * 2^23 leaves the nearest even whole number. Eight of
    // them are the code of 2^-6.
    const MAGIC: f32 = 12_582_912.0;
    let subnormal = ((magnitude * 512.0 + MAGIC) - MAGIC) as u8;
    sign | if magnitude < 1.0 / 64.0 { subnormal } else { normal }
}

/// The value of a byte, in f64 and from the definition.
pub(super) fn decode(code: u8) -> f64 {
    let (exponent, mantissa) = (i32::from(code >> 3 & 15), f64::from(code & 7));
    let magnitude = match exponent {
        0 => mantissa / 8.0 * 2f64.powi(-6),
        e => (1.0 + mantissa / 8.0) * 2f64.powi(e - 7),
    };
    if code & 0x80 == 0 {
        magnitude
    } else {
        -magnitude
    }
}

#[inline(always)]
pub(super) fn encode(scaled: bool, x: &[f32], codes: &mut [u8], params: &mut [f16]) {
    if !scaled {
        for (code, x) in codes.iter_mut().zip(x) {
            *code = encode_one(*x);
        }
        return;
    }
    let s = stored(largest(x) / MOST);
    let s = if s == f16::ZERO { f16::ONE } else { s };
    params[0] = s;
    let s = s.to_f32();
    for (code, x) in codes.iter_mut().zip(x) {
        *code = encode_one(*x / s);
    }
}

#[inline(always)]
pub(super) unsafe fn widen<L: KvLanes, const V: usize>(
    scaled: bool,
    codes: *const u8,
    params: *const f16,
    tokens: usize,
    rows: &mut [f32],
) {
    for t in 0..tokens {
        let s = match scaled {
            true => params.add(t).read_unaligned().to_f32(),
            false => 1.0,
        };
        for j in 0..V {
            let at = (t * V + j) * LANES;
            L::load_e4m3(codes.add(at))
                .mul(L::splat(s))
                .store(rows.as_mut_ptr().add(at));
        }
    }
}
