//! What the forward pass runs on. A backend knows buffers and sizes, not cells or compressors.
//!
//! The pass in `model::llama` is written once over [`Backend`]. Buffers, matrices and the cache are associated types:
//! on a CPU they are host memory, on a device they would be handles, and only [`Backend::host`] brings numbers back.

use crate::backend::cpu::attention::StepWeights;
use crate::backend::cpu::Rows;
use crate::cache::{KvCache, SeqId};
use crate::compress::Resolved;
use crate::model::config::Config;
use crate::model::rope::Rope;
use crate::{Error, Result};
use half::f16;
use std::ops::Range;
use std::sync::Arc;

pub mod cpu;
pub mod host;
pub mod reference;

/// The numerics version of the CPU: it changes whenever output bits may.
pub const CPU_NUMERICS: &str = "cpu-1";

/// Numbers that could not be stored as f16, found in one row of K or V.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stored {
    /// Values clamped to +-65504.
    pub clamped: u64,
    /// A NaN was among them.
    pub nan: bool,
}

impl Stored {
    /// Counts another row's faults too.
    pub fn add(&mut self, other: Stored) {
        self.clamped += other.clamped;
        self.nan |= other.nan;
    }
}

/// The dozen operations of the forward pass; n = rows, all buffers row-major.
pub trait Backend: Sized + Send + 'static {
    /// A weight matrix [rows, cols].
    type Matrix: Send;
    /// A weight vector.
    type Vector: Send;
    /// Rows of f32.
    type Buffer: Send;
    /// Rows in the form that `linear` multiplies: int8 blocks on a CPU.
    type Input: Send;
    /// Exact K and V of one layer of one prompt, f16 [tokens, kv_heads, head_dim] each.
    type LayerKv: Send;

    /// `cpu` or `reference`.
    fn name(&self) -> &'static str;

    /// Takes a matrix of `cols` columns whose rows are those of `parts` in order, with a bias per row.
    ///
    /// # Errors
    /// `unsupported` for a type without a kernel.
    fn matrix(&self, cols: usize, parts: &[Rows<'_>], bias: Option<Vec<f32>>) -> Result<Self::Matrix>;

    /// Marks a matrix whose input must not be rounded to 8 bits, on backends that do so: the down projection, whose input
    /// has the widest range of all, and the head, whose errors nothing averages out.
    fn sharp(&self, matrix: Self::Matrix) -> Self::Matrix {
        matrix
    }

    /// Takes a vector.
    fn vector(&self, values: &[f32]) -> Self::Vector;

    /// Room for `len` numbers.
    fn buffer(&self, len: usize) -> Self::Buffer;

    /// Room for `rows` rows of `cols` channels.
    fn input(&self, rows: usize, cols: usize) -> Self::Input;

    /// Room for one layer of a prompt of `tokens`; `pre_rope` keeps keys without rotation too.
    fn layer_kv(&self, config: &Config, tokens: usize, pre_rope: bool) -> Self::LayerKv;

    /// Keys without rotation and values, f16 [tokens, kv_heads, head_dim], the first `len` numbers of each; `kv` was made
    /// with `pre_rope`.
    fn raw_kv<'a>(&self, kv: &'a Self::LayerKv, len: usize) -> (&'a [f16], &'a [f16]);

    /// The cache of one cell.
    ///
    /// # Errors
    /// The compressor's refusals of this shape.
    fn cache(&self, config: &Config, resolved: &Resolved, rope: &Arc<Rope>, limit: u64) -> Result<KvCache>;

    /// The first `len` numbers of a buffer, on the host.
    fn host<'a>(&self, buffer: &'a mut Self::Buffer, len: usize) -> &'a mut [f32];

    /// RMS norm of `rows` of x [.., hidden] by `weight` [hidden], as `w` reads its input.
    fn norm(
        &self,
        x: &Self::Buffer,
        rows: Range<usize>,
        weight: &Self::Vector,
        eps: f32,
        w: &Self::Matrix,
        out: &mut Self::Input,
    );

    /// Rows 0..n of x [n, cols], as `w` reads its input.
    fn pack(&self, x: &Self::Buffer, n: usize, w: &Self::Matrix, out: &mut Self::Input);

    /// silu(gate) · up of gate_up [n, 2 cols], as `w` reads its input of `cols` columns.
    fn swiglu(&self, gate_up: &Self::Buffer, n: usize, w: &Self::Matrix, out: &mut Self::Input);

    /// Rows from `first_row` of out [.., rows] = input [n, cols] · Wᵀ + bias, or += with `accumulate`.
    fn linear(&self, w: &Self::Matrix, input: &Self::Input, out: &mut Self::Buffer, first_row: usize, accumulate: bool);

    /// Splits qkv [n, qkv_rows] of the prompt's tokens `first..first + n`: q rotated into `q` [n, q_heads, d], K and V
    /// into `kv`.
    fn rope_prefill(
        &self,
        cache: &KvCache,
        qkv: &Self::Buffer,
        first: usize,
        n: usize,
        q: &mut Self::Buffer,
        kv: &mut Self::LayerKv,
    ) -> Stored;

    /// Exact causal attention of the prompt's queries `rows`, q [rows, q_heads, d], over `kv`; out as q. With
    /// `statistics` the rows' softmax statistics stay in `kv` for [`Backend::observe_prefill`].
    fn attend_prefill(
        &self,
        config: &Config,
        q: &Self::Buffer,
        rows: Range<usize>,
        kv: &mut Self::LayerKv,
        out: &mut Self::Buffer,
        statistics: bool,
    );

    /// Gathers in `kv` what the cache's method scores a prompt of `tokens` by, from queries `rows`; statistics of these
    /// rows must be there if the method reads sums.
    fn observe_prefill(
        &self,
        cache: &KvCache,
        q: &Self::Buffer,
        rows: Range<usize>,
        tokens: usize,
        kv: &mut Self::LayerKv,
    );

    /// Hands the first `tokens` of `kv` to the cache, which selects and seals.
    ///
    /// # Errors
    /// `numeric` from a score, `out_of_memory` from the pool.
    fn store_prefill(
        &self,
        cache: &mut KvCache,
        seq: SeqId,
        layer: usize,
        tokens: usize,
        kv: &Self::LayerKv,
    ) -> Result<()>;

    /// Row i of qkv [n, qkv_rows] is the next token of `seqs[i]`: q rotated into `q`, K and V appended. `stored[i]`
    /// gathers faults.
    ///
    /// # Errors
    /// `out_of_memory` from the pool.
    fn rope_append(
        &self,
        cache: &mut KvCache,
        seqs: &[SeqId],
        layer: usize,
        qkv: &Self::Buffer,
        q: &mut Self::Buffer,
        stored: &mut [Stored],
    ) -> Result<()>;

    /// Attention of q [n, q_heads, d] over all that the cache holds, in parts of `chunk` tokens merged in order.
    /// `stored[i]` gathers faults in scores; `weights`, if given, the softmax weights.
    #[allow(clippy::too_many_arguments)]
    fn attend_decode(
        &self,
        cache: &KvCache,
        seqs: &[SeqId],
        layer: usize,
        q: &Self::Buffer,
        chunk: usize,
        out: &mut Self::Buffer,
        stored: &mut [Stored],
        weights: Option<&mut StepWeights>,
    );

    /// Drops and seals what is due after this step, in which q [n, q_heads, d] attended with `weights`. `stored[i]`
    /// gathers faults in scores.
    ///
    /// # Errors
    /// `out_of_memory` from the pool.
    #[allow(clippy::too_many_arguments)]
    fn after_step(
        &self,
        cache: &mut KvCache,
        seqs: &[SeqId],
        layer: usize,
        q: &Self::Buffer,
        weights: Option<&StepWeights>,
        stored: &mut [Stored],
    ) -> Result<()>;
}

/// The threads to use: what was asked for, or the machine's count.
///
/// # Errors
/// `bad_request` for 0 or more than 1,024.
pub fn thread_count(asked: Option<usize>) -> Result<usize> {
    match asked {
        Some(n) if (1..=1024).contains(&n) => Ok(n),
        Some(n) => Err(Error::BadRequest(format!("threads is {n}; it must be 1 to 1024"))),
        None => Ok(std::thread::available_parallelism().map_or(1, usize::from)),
    }
}
