//! The rotation in front of a token codec: signs, then H / sqrt(B) on blocks; and its inverse.

use crate::cache::Rotation;
use crate::hadamard;
use crate::random::{draw, key, uses};

/// Signs of the K (tensor 0) or V (1) of a layer, shared by its kv heads.
pub fn signs(seed: u64, layer: usize, tensor: u64) -> Rotation {
    let key = key(seed, [uses::ROTATION_SIGNS, layer as u64, 0, tensor, 0]);
    let mut words = [0u64; 2];
    for (i, word) in words.iter_mut().enumerate() {
        for bit in 0..64 {
            *word |= (draw(key, i as u64 * 64 + bit) >> 63) << bit;
        }
    }
    Rotation::Signed(words)
}

/// The block of rows of `d` channels; methods refuse a head dimension without one.
#[inline(always)]
fn block(d: usize) -> usize {
    d & d.wrapping_neg()
}

/// Negates the channels with a set bit.
#[inline(always)]
fn negate<T: Copy + std::ops::Neg<Output = T>>(words: [u64; 2], x: &mut [T]) {
    for (c, x) in x.iter_mut().enumerate() {
        if words[c / 64] >> (c % 64) & 1 == 1 {
            *x = -*x;
        }
    }
}

/// x [d] = signs and transform, not scaled: what the codebook divides by the norm.
#[inline(always)]
pub(in super::super) fn transform(rotation: Rotation, x: &mut [f32]) {
    if let Rotation::Signed(words) = rotation {
        negate(words, x);
    }
    if rotation != Rotation::None {
        let block = block(x.len());
        hadamard::transform(x, block);
    }
}

/// x [d] becomes R x: what a codec or a query in its basis is made of.
#[inline(always)]
pub(in super::super) fn rotate(rotation: Rotation, x: &mut [f32]) {
    transform(rotation, x);
    if rotation != Rotation::None {
        let factor = hadamard::scale(block(x.len()));
        for x in x {
            *x *= factor;
        }
    }
}

/// x [d] becomes R^T x: a sum of decoded vectors in the model's basis.
#[inline(always)]
pub(in super::super) fn undo(rotation: Rotation, x: &mut [f32]) {
    if rotation == Rotation::None {
        return;
    }
    let block = block(x.len());
    hadamard::rotate(x, block);
    if let Rotation::Signed(words) = rotation {
        negate(words, x);
    }
}

/// [`undo`] in f64.
pub fn undo_f64(rotation: Rotation, x: &mut [f64]) {
    if rotation == Rotation::None {
        return;
    }
    let block = block(x.len());
    hadamard::transform(x, block);
    let factor = 1.0 / (block as f64).sqrt();
    x.iter_mut().for_each(|x| *x *= factor);
    if let Rotation::Signed(words) = rotation {
        negate(words, x);
    }
}
