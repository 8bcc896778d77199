//! What gear and kvquant declare of their stores, the byte offsets that follow, and the payload.

use super::{SparseStore, OUTLIER_BYTES};
use crate::backend::cpu::seal::Tensor;
use crate::backend::cpu::sparse::gear::Setting;
use crate::backend::cpu::sparse::outliers::per_tail;
use crate::cache::{Axis, PageMap, ALIGN};

/// Codes with corrections.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sparse {
    /// A backbone, a low-rank correction of its error, outliers.
    Gear(Gear),
    /// Codebooks of a calibration, outliers.
    Kvquant(Kvquant),
}

/// Parameters of gear that storage follows from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gear {
    /// Bits per code.
    pub bits: u8,
    /// Elements per group of the backbone; `None` for whole lines.
    pub group: Option<usize>,
    /// Tokens per decode block, and per page.
    pub block: usize,
    /// Share of outliers.
    pub sparsity: f64,
    /// Ranks of the prompt's block and of later ones.
    pub ranks: [usize; 2],
    /// Passes of the power iteration.
    pub loops: usize,
    /// Of the starting matrices.
    pub seed: u64,
}

/// Parameters of kvquant that storage follows from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Kvquant {
    /// Bits per code.
    pub bits: u8,
    /// Share of outliers.
    pub sparsity: f64,
    /// First tokens that stay f16.
    pub sinks: usize,
    /// Whether decoded values pass Q-Norm.
    pub qnorm: bool,
}

/// Segments of a page behind those that all quantisers have, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tail {
    /// Rows of Q of K: [tokens][rank], f16.
    pub k_rows: usize,
    /// Rows of Q of V.
    pub v_rows: usize,
    /// Outliers of V: [tokens][2k].
    pub outliers: usize,
    /// Bytes of the page.
    pub bytes: usize,
    /// Bytes of a factor page: [K params of a whole line][columns of K's Pm][of V's], 0 without one.
    pub factors: usize,
}

/// Tokens of a page of kvquant.
const TOKENS: usize = 64;

impl Sparse {
    /// Tokens of a page.
    pub fn page_tokens(&self) -> usize {
        match self {
            Sparse::Gear(gear) => gear.block,
            Sparse::Kvquant(_) => TOKENS,
        }
    }

    /// Bits per code.
    pub fn bits(&self) -> u8 {
        match self {
            Sparse::Gear(gear) => gear.bits,
            Sparse::Kvquant(kvquant) => kvquant.bits,
        }
    }

    /// First tokens that stay f16 for good.
    pub fn head_tokens(&self) -> usize {
        match self {
            Sparse::Gear(_) => 0,
            Sparse::Kvquant(kvquant) => kvquant.sinks,
        }
    }

    fn sparsity(&self) -> f64 {
        match self {
            Sparse::Gear(gear) => gear.sparsity,
            Sparse::Kvquant(kvquant) => kvquant.sparsity,
        }
    }

    /// Outliers of a token's V, both tails.
    pub fn value_outliers(&self, head_dim: usize) -> usize {
        2 * per_tail(head_dim, self.sparsity())
    }

    /// Outliers of a block of K of `tokens` tokens, where their number is fixed.
    pub(super) fn key_outliers(&self, tokens: usize, head_dim: usize) -> usize {
        match self {
            Sparse::Gear(gear) => 2 * per_tail(tokens, gear.sparsity) * head_dim,
            Sparse::Kvquant(_) => 0,
        }
    }

    /// Rank of the correction of a block of `tokens` tokens; `decode` for one that is not the prompt's.
    pub fn rank(&self, decode: bool, tokens: usize, head_dim: usize) -> usize {
        match self {
            Sparse::Gear(gear) => gear.ranks[usize::from(decode)].min(tokens).min(head_dim),
            Sparse::Kvquant(_) => 0,
        }
    }

    /// Bytes of scales, minima, zeros and ranges of a page of `tokens`: K's in pages, K's of a whole block, V's.
    fn params(&self, head_dim: usize, tokens: usize) -> [usize; 3] {
        match self {
            Sparse::Gear(Gear { group: Some(group), .. }) => {
                let bytes = tokens * head_dim / group * 4;
                [bytes, 0, bytes]
            }
            Sparse::Gear(Gear { group: None, .. }) => [0, 4 * head_dim, 4 * tokens],
            Sparse::Kvquant(_) => [0, 0, 4 * tokens],
        }
    }

    /// Offsets of codes and params, which prompt pages and later ones share, and the end of a later one.
    pub fn page(&self, head_dim: usize) -> PageMap {
        PageMap {
            bytes: self.tail(head_dim, true).bytes,
            ..self.segments(head_dim)
        }
    }

    fn segments(&self, head_dim: usize) -> PageMap {
        let tokens = self.page_tokens();
        let codes = (tokens * head_dim * self.bits() as usize / 8).next_multiple_of(ALIGN);
        let [k_params, _, v_params] = self.params(head_dim, tokens);
        let v_codes = codes + k_params.next_multiple_of(ALIGN);
        PageMap {
            k_codes: 0,
            k_params: codes,
            v_codes,
            v_params: v_codes + codes,
            bytes: v_codes + codes + v_params.next_multiple_of(ALIGN),
        }
    }

    /// What follows in a page of the prompt's block, or of a later one.
    pub fn tail(&self, head_dim: usize, decode: bool) -> Tail {
        let tokens = self.page_tokens();
        // A prompt's block is at least one page long, so a rank may pass the tokens of a page.
        let rank = self.rank(decode, if decode { tokens } else { usize::MAX }, head_dim);
        let rows = tokens * rank * 2;
        let k_rows = self.segments(head_dim).bytes;
        let v_rows = k_rows + rows;
        let outliers = v_rows + rows;
        let end = outliers + tokens * self.value_outliers(head_dim) * OUTLIER_BYTES;
        let factors = self.params(head_dim, tokens)[1] + 2 * 2 * rank * head_dim;
        Tail {
            k_rows,
            v_rows,
            outliers,
            bytes: end.next_multiple_of(ALIGN),
            factors: factors.next_multiple_of(ALIGN),
        }
    }

    /// Byte offset in a factor page of the columns of Pm [rank][d].
    pub(crate) fn columns(&self, tensor: Tensor, rank: usize, head_dim: usize) -> usize {
        let params = self.params(head_dim, self.page_tokens())[1];
        params + if tensor == Tensor::K { 0 } else { 2 * rank * head_dim }
    }

    /// The f16 head page: K rows, then V rows.
    pub fn head(&self, head_dim: usize) -> PageMap {
        let rows = self.head_tokens() * head_dim * 2;
        PageMap {
            k_codes: 0,
            k_params: rows,
            v_codes: rows,
            v_params: 2 * rows,
            bytes: (2 * rows).next_multiple_of(ALIGN),
        }
    }

    /// How a block of K or V is sealed.
    pub(super) fn setting(gear: &Gear, tensor: Tensor, decode: bool) -> Setting {
        Setting {
            bits: gear.bits,
            axis: if tensor == Tensor::K {
                Axis::Channel
            } else {
                Axis::Token
            },
            group: gear.group,
            sparsity: gear.sparsity,
            rank: gear.ranks[usize::from(decode)],
            loops: gear.loops,
        }
    }

    /// Mean bits per element of a full page that is not the prompt's; outliers of K of kvquant as expected.
    pub fn page_bits(&self, head_dim: usize) -> f64 {
        let tokens = self.page_tokens();
        let [k, once, v] = self.params(head_dim, tokens);
        let factors = 2 * 2 * self.rank(true, tokens, head_dim) * (tokens + head_dim);
        let outliers = tokens * self.value_outliers(head_dim) + self.key_outliers(tokens, head_dim);
        let expected = match self {
            Sparse::Gear(_) => 0.0,
            Sparse::Kvquant(kvquant) => kvquant.sparsity * (tokens * head_dim) as f64,
        };
        let beside = (k + once + v + factors) as f64 + (outliers as f64 + expected) * OUTLIER_BYTES as f64;
        f64::from(self.bits()) + beside * 8.0 / (2 * tokens * head_dim) as f64
    }

    /// Payload of a store of `n` entries in bytes: f16 entries, codes, params, outliers as counted, factors.
    pub fn payload_bytes(&self, head_dim: usize, n: usize, store: &SparseStore) -> usize {
        let d = head_dim;
        let coded = store.coded;
        let f16 = (n - coded) * 4 * d;
        let codes = 2 * coded * d * self.bits() as usize / 8;
        let values = coded * self.value_outliers(d) * OUTLIER_BYTES;
        let block = |decode: bool, tokens: usize| {
            let [k, once, v] = self.params(d, tokens);
            k + once + v + 2 * 2 * self.rank(decode, tokens, d) * (tokens + d)
        };
        let blocks = match self {
            Sparse::Gear(gear) => {
                let (prompt, later) = (store.prompt_tokens, (coded - store.prompt_tokens) / gear.block);
                let first = if prompt > 0 { block(false, prompt) } else { 0 };
                first + later * block(true, gear.block)
            }
            Sparse::Kvquant(_) => self.params(d, coded)[2],
        };
        f16 + codes + values + blocks + store.outliers * OUTLIER_BYTES
    }
}
