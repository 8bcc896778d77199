//! What sampling asks of a row of logits.

use crate::backend::cpu::lanes::{for_isa, Lanes, LANES};
use crate::backend::cpu::Isa;

/// Index of the largest value, of equal ones the lowest; `None` if x is empty or holds a NaN or an infinity.
pub fn argmax(isa: Isa, x: &[f32]) -> Option<usize> {
    if !all_finite(isa, x) {
        return None;
    }
    let most = super::max(isa, x);
    x.iter().position(|v| *v == most)
}

/// Index of the first NaN or infinity.
pub fn first_not_finite(isa: Isa, x: &[f32]) -> Option<usize> {
    if all_finite(isa, x) {
        return None;
    }
    x.iter().position(|v| !v.is_finite())
}

/// Natural log of the sum of e^x[i], in f64 and in index order: the log-probability of i is x[i] less this.
pub fn log_sum_exp(isa: Isa, x: &[f32]) -> f64 {
    let most = f64::from(super::max(isa, x));
    let sum: f64 = x.iter().map(|v| (f64::from(*v) - most).exp()).sum();
    most + sum.ln()
}

for_isa! {
    fn all_finite(x: &[f32]) -> bool = all_finite_body
}

#[inline(always)]
unsafe fn all_finite_body<V: Lanes>(x: &[f32]) -> bool {
    let mut bits = V::zero_ints();
    for x in x.chunks(LANES) {
        bits = V::load_part(x.as_ptr(), x.len()).max_abs_bits(bits);
    }
    V::largest_int(bits) < 0x7f80_0000
}
