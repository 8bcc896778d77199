//! The gated activation of the feed-forward layer.

use crate::backend::cpu::lanes::{for_isa, Lanes, LANES};

for_isa! {
    /// out[i] = silu(gate[i]) up[i], silu(g) = g / (1 + 2^(-g log2 e)).
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn swiglu(gate: &[f32], up: &[f32], out: &mut [f32]) = swiglu_body
}

#[inline(always)]
unsafe fn swiglu_body<V: Lanes>(gate: &[f32], up: &[f32], out: &mut [f32]) {
    assert!(gate.len() == up.len() && gate.len() == out.len(), "lengths of a swiglu");
    let (factor, one) = (V::splat(-std::f32::consts::LOG2_E), V::splat(1.0));
    for ((gate, up), out) in gate.chunks(LANES).zip(up.chunks(LANES)).zip(out.chunks_mut(LANES)) {
        let n = out.len();
        let g = V::load_part(gate.as_ptr(), n);
        let silu = g.div(one.add(g.mul(factor).exp2()));
        silu.mul(V::load_part(up.as_ptr(), n)).store_part(out.as_mut_ptr(), n);
    }
}
