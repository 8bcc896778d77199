//! Sums, products and softmax of one row.

use crate::backend::cpu::lanes::{for_isa, Lanes, LANES};

for_isa! {
    /// x += y.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn add(x: &mut [f32], y: &[f32]) = add_body
}

for_isa! {
    /// x = x + factor y, one rounding each.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn scale_add(x: &mut [f32], factor: f32, y: &[f32]) = scale_add_body
}

for_isa! {
    /// Sum of x[i] y[i] in 16 stripes, folded 8, 4, 2, 1.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn dot(x: &[f32], y: &[f32]) -> f32 = dot_body
}

for_isa! {
    /// The largest value; -inf of none. Meaningless if x holds a NaN.
    pub fn max(x: &[f32]) -> f32 = max_body
}

for_isa! {
    /// x[i] = 2^(factor (x[i] - max)) / sum of all: softmax of x for factor = log2 e, at temperature T for log2 e / T.
    /// The sum runs in 16 stripes.
    pub fn softmax(x: &mut [f32], factor: f32) = softmax_body
}

#[inline(always)]
unsafe fn add_body<V: Lanes>(x: &mut [f32], y: &[f32]) {
    assert_eq!(x.len(), y.len(), "lengths of a sum");
    for (x, y) in x.chunks_mut(LANES).zip(y.chunks(LANES)) {
        let sum = V::load_part(x.as_ptr(), x.len()).add(V::load_part(y.as_ptr(), y.len()));
        sum.store_part(x.as_mut_ptr(), x.len());
    }
}

#[inline(always)]
unsafe fn scale_add_body<V: Lanes>(x: &mut [f32], factor: f32, y: &[f32]) {
    assert_eq!(x.len(), y.len(), "lengths of a sum");
    let factor = V::splat(factor);
    for (x, y) in x.chunks_mut(LANES).zip(y.chunks(LANES)) {
        let sum = factor.fma(V::load_part(y.as_ptr(), y.len()), V::load_part(x.as_ptr(), x.len()));
        sum.store_part(x.as_mut_ptr(), x.len());
    }
}

#[inline(always)]
unsafe fn dot_body<V: Lanes>(x: &[f32], y: &[f32]) -> f32 {
    assert_eq!(x.len(), y.len(), "lengths of a dot product");
    let mut sum = V::splat(0.0);
    for (x, y) in x.chunks(LANES).zip(y.chunks(LANES)) {
        sum = V::load_part(x.as_ptr(), x.len()).fma(V::load_part(y.as_ptr(), y.len()), sum);
    }
    sum.sum()
}

#[inline(always)]
unsafe fn max_body<V: Lanes>(x: &[f32]) -> f32 {
    let mut most = V::splat(f32::NEG_INFINITY);
    let whole = x.chunks_exact(LANES);
    let mut rest = f32::NEG_INFINITY;
    for &x in whole.remainder() {
        rest = if x > rest { x } else { rest };
    }
    for x in whole {
        most = V::load(x.as_ptr()).max(most);
    }
    let most = most.largest();
    if rest > most {
        rest
    } else {
        most
    }
}

#[inline(always)]
unsafe fn softmax_body<V: Lanes>(x: &mut [f32], factor: f32) {
    let most = V::splat(max_body::<V>(x));
    let factor = V::splat(factor);
    let mut sum = V::splat(0.0);
    for x in x.chunks_mut(LANES) {
        let n = x.len();
        let power = V::load_part(x.as_ptr(), n).sub(most).mul(factor).exp2();
        power.store_part(x.as_mut_ptr(), n);
        // Read back so that lanes past the end count as zeros.
        sum = sum.add(V::load_part(x.as_ptr(), n));
    }
    let sum = V::splat(sum.sum());
    for x in x.chunks_mut(LANES) {
        let n = x.len();
        V::load_part(x.as_ptr(), n).div(sum).store_part(x.as_mut_ptr(), n);
    }
}
