//! Root-mean-square norm.

use crate::backend::cpu::lanes::{for_isa, Lanes, LANES};

for_isa! {
    /// out[i] = (x[i] / sqrt(mean(x^2) + eps)) weight[i]. The sum of squares runs in 16 stripes.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn rms_norm(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) = rms_norm_body
}

for_isa! {
    /// x += delta, then the norm of x: one pass less over the residual.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn add_rms_norm(x: &mut [f32], delta: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) = add_rms_norm_body
}

#[inline(always)]
unsafe fn rms_norm_body<V: Lanes>(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
    let mut squares = V::splat(0.0);
    for x in x.chunks(LANES) {
        let x = V::load_part(x.as_ptr(), x.len());
        squares = x.fma(x, squares);
    }
    write::<V>(x, weight, squares.sum(), eps, out);
}

#[inline(always)]
unsafe fn add_rms_norm_body<V: Lanes>(x: &mut [f32], delta: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
    assert_eq!(x.len(), delta.len(), "a residual and what is added to it");
    let mut squares = V::splat(0.0);
    for (x, delta) in x.chunks_mut(LANES).zip(delta.chunks(LANES)) {
        let sum = V::load_part(x.as_ptr(), x.len()).add(V::load_part(delta.as_ptr(), x.len()));
        sum.store_part(x.as_mut_ptr(), x.len());
        squares = sum.fma(sum, squares);
    }
    write::<V>(x, weight, squares.sum(), eps, out);
}

#[inline(always)]
unsafe fn write<V: Lanes>(x: &[f32], weight: &[f32], squares: f32, eps: f32, out: &mut [f32]) {
    assert!(x.len() == weight.len() && x.len() == out.len(), "lengths of a norm");
    let factor = V::splat(1.0 / (squares / x.len() as f32 + eps).sqrt());
    for ((x, weight), out) in x.chunks(LANES).zip(weight.chunks(LANES)).zip(out.chunks_mut(LANES)) {
        let n = x.len();
        let scaled = V::load_part(x.as_ptr(), n).mul(factor);
        scaled
            .mul(V::load_part(weight.as_ptr(), n))
            .store_part(out.as_mut_ptr(), n);
    }
}
