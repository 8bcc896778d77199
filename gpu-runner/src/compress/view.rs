//! What a method sees of a layer when it scores entries.

use half::f16;
use half::slice::HalfFloatSliceExt;

use crate::model::Shape;

/// Rows of K or V, `head_dim` numbers each.
#[derive(Debug, Clone)]
pub enum Rows<'a> {
    /// Not gathered, because the method does not read them.
    None,
    /// f16 rows, row i at `values[i * stride..]`.
    Half {
        /// From the first row on.
        values: &'a [f16],
        /// Numbers from one row to the next.
        stride: usize,
    },
    /// Dequantised rows [n, head_dim].
    Wide(Vec<f32>),
}

impl Rows<'_> {
    /// Row i in f32.
    ///
    /// # Panics
    /// If rows were not gathered: the method's `reads` does not name them.
    pub fn row(&self, i: usize, out: &mut [f32]) {
        let d = out.len();
        match self {
            Rows::None => panic!("the method reads rows that it does not name in `reads`"),
            Rows::Half { values, stride } => {
                values[i * stride..][..d].convert_to_f32_slice(out);
            }
            Rows::Wide(values) => out.copy_from_slice(&values[i * d..][..d]),
        }
    }
}

/// The entries of one kv head, ascending in position unless selections are due every step.
#[derive(Debug)]
pub struct HeadView<'a> {
    /// Original positions [n].
    pub positions: &'a [u32],
    /// K [n, head_dim] after RoPE.
    pub keys: Rows<'a>,
    /// V [n, head_dim].
    pub values: Rows<'a>,
    /// Attention sums [n].
    pub sums: &'a [f32],
    /// The newest query's softmax over all entries [group, n].
    pub weights: &'a [f32],
}

/// A layer of a sequence.
pub struct View<'a> {
    /// Of the model.
    pub shape: Shape,
    /// Which layer.
    pub layer: usize,
    /// The sample's seed.
    pub seed: u64,
    /// Tokens that entered the cache.
    pub seen: usize,
    /// Per kv head.
    pub heads: Vec<HeadView<'a>>,
    /// The last queries [w, q_heads, head_dim] after RoPE, rounded to f16, the oldest first; w is less than asked for
    /// while the sequence is shorter.
    pub queries: &'a [f32],
    /// Fast loops.
    pub kernels: &'a dyn Kernels,
}

impl View<'_> {
    /// Query heads `head * group..` of the last queries: [group, w, head_dim].
    pub fn group_queries(&self, head: usize) -> Vec<f32> {
        let (d, g, width) = (
            self.shape.head_dim,
            self.shape.group(),
            self.shape.q_heads * self.shape.head_dim,
        );
        let heads =
            (head * g..(head + 1) * g).flat_map(|h| self.queries.chunks_exact(width).map(move |q| &q[h * d..][..d]));
        heads.flatten().copied().collect()
    }
}

/// Loops that a backend runs in vectors and on all its threads, with the same bits whatever their number.
pub trait Kernels: Sync {
    /// out [m, n] = scale · q [m, head_dim] · rows [n, head_dim]ᵀ, f32.
    fn dots(&self, q: &[f32], rows: &Rows<'_>, n: usize, scale: f32, out: &mut [f32]);

    /// Softmax of each row of x [.., n] in place, f32; `-inf` becomes 0.
    fn softmax(&self, x: &mut [f32], n: usize);
}
