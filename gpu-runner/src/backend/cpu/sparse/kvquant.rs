//! Coding of one token's K and V by a calibrated codebook.
//!
//! decoded = zero + range * value, the product rounded before it is added: encoder and reader agree in bits.

use half::f16;

use super::gear::Block;
use super::outliers::choose;
use super::{to_f16, Outlier};

/// The values that codes stand for.
#[derive(Debug, Clone, PartialEq)]
pub struct Codebook {
    /// Decoded values by code, Q-Norm applied if it is on, zeros behind them.
    pub decoded: [f32; 16],
    /// Code c + 1 begins at `borders[c]`: halfway between two values, exact in f64.
    borders: Vec<f64>,
}

impl Codebook {
    /// Of ascending `values`; `norm` is the scale and shift of Q-Norm.
    pub fn new(values: &[f32], norm: Option<(f32, f32)>) -> Codebook {
        let mut decoded = [0.0; 16];
        for (decoded, x) in decoded.iter_mut().zip(values) {
            *decoded = norm.map_or(*x, |(scale, shift)| x * scale + shift);
        }
        Codebook {
            decoded,
            borders: values
                .windows(2)
                .map(|pair| (f64::from(pair[0]) + f64::from(pair[1])) / 2.0)
                .collect(),
        }
    }

    /// Code of the nearest value; a tie goes to the larger.
    pub fn code(&self, z: f32) -> u8 {
        let z = f64::from(z);
        self.borders.iter().filter(|border| z >= **border).count() as u8
    }
}

/// (x - zero) / range, at most 1 in size; 0 without a range.
pub fn normalised(x: f32, zero: f32, range: f32) -> f32 {
    match range {
        0.0 => 0.0,
        range => ((x - zero) / range).clamp(-1.0, 1.0),
    }
}

/// zero and range of values between `lo` and `hi`.
pub fn centre(lo: f32, hi: f32) -> (f32, f32) {
    ((hi + lo) / 2.0, (hi - lo) / 2.0)
}

/// Calibrated bounds of one kv head's key channels.
#[derive(Debug, Clone, PartialEq)]
pub struct Bounds {
    lo: Vec<f32>,
    hi: Vec<f32>,
    /// Of each channel.
    pub zero: Vec<f32>,
    /// Of each channel.
    pub range: Vec<f32>,
}

impl Bounds {
    /// Of channels whose usual values lie in lo..=hi.
    pub fn new(lo: &[f32], hi: &[f32]) -> Bounds {
        let (zero, range) = lo.iter().zip(hi).map(|(lo, hi)| centre(*lo, *hi)).unzip();
        Bounds {
            lo: lo.to_vec(),
            hi: hi.to_vec(),
            zero,
            range,
        }
    }

    /// Codes x [d] of token `token` into `codes` [d] and adds its outliers.
    pub fn encode(&self, book: &Codebook, token: usize, x: &[f16], codes: &mut [u8], outliers: &mut Vec<Outlier>) {
        for (c, x) in x.iter().enumerate() {
            let (x, zero, range) = (x.to_f32(), self.zero[c], self.range[c]);
            codes[c] = book.code(normalised(x, zero, range));
            if x < self.lo[c] || x > self.hi[c] {
                outliers.push(outlier(token, c, x - (range * book.decoded[codes[c] as usize] + zero)));
            }
        }
    }
}

fn outlier(token: usize, channel: usize, difference: f32) -> Outlier {
    Outlier {
        token: token as u32,
        channel: channel as u16,
        difference: to_f16(difference),
    }
}

/// Codes x [d], a value of token `token`, into `codes` [d]; its 2 `per_tail` outliers are added in the order of
/// channels. Returns zero and range.
pub fn encode_value(
    book: &Codebook,
    per_tail: usize,
    token: usize,
    x: &[f16],
    codes: &mut [u8],
    outliers: &mut Vec<Outlier>,
) -> (f16, f16) {
    let values: Vec<f32> = x.iter().map(|x| x.to_f32()).collect();
    let (chosen, zero, range) = value_range(&values, per_tail);
    let (z, r) = (zero.to_f32(), range.to_f32());
    for (code, x) in codes.iter_mut().zip(&values) {
        *code = book.code(normalised(*x, z, r));
    }
    let differences = chosen
        .iter()
        .map(|&c| outlier(token, c, values[c] - (r * book.decoded[codes[c] as usize] + z)));
    outliers.extend(differences);
    (zero, range)
}

/// Outliers of a value vector, and zero and range of the rest.
pub fn value_range(values: &[f32], per_tail: usize) -> (Vec<usize>, f16, f16) {
    let chosen = choose(values, per_tail);
    let (mut lo, mut hi) = (f32::INFINITY, f32::NEG_INFINITY);
    let mut skip = chosen.iter().peekable();
    for (c, x) in values.iter().enumerate() {
        if skip.next_if(|next| **next == c).is_some() {
            continue;
        }
        lo = if *x < lo { *x } else { lo };
        hi = if *x > hi { *x } else { hi };
    }
    let (zero, range) = centre(lo, hi);
    (chosen, to_f16(zero), to_f16(range))
}

/// Codebooks and bounds of one layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Coder {
    /// Of keys.
    pub keys: Codebook,
    /// Of values.
    pub values: Codebook,
    /// Of keys, by kv head.
    pub bounds: Vec<Bounds>,
    /// Outliers per tail of a token's V.
    pub per_tail: usize,
}

impl Coder {
    /// Codes keys before RoPE x [n, d] of a kv head.
    pub fn encode_keys(&self, head: usize, x: &[f16], d: usize) -> Block {
        let mut block = Block {
            codes: vec![0; x.len()],
            ..Block::default()
        };
        for (token, (x, codes)) in x.chunks_exact(d).zip(block.codes.chunks_exact_mut(d)).enumerate() {
            self.bounds[head].encode(&self.keys, token, x, codes, &mut block.outliers);
        }
        block
    }

    /// Codes values x [n, d]; params are [n][zero, range].
    pub fn encode_values(&self, x: &[f16], d: usize) -> Block {
        let mut block = Block {
            codes: vec![0; x.len()],
            ..Block::default()
        };
        for (token, (x, codes)) in x.chunks_exact(d).zip(block.codes.chunks_exact_mut(d)).enumerate() {
            let (zero, range) = encode_value(&self.values, self.per_tail, token, x, codes, &mut block.outliers);
            block.params.extend([zero, range]);
        }
        block
    }
}
