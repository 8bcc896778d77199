//! Rows of K and V in f32 from codes with corrections, sixteen tokens at a time, for decode attention.
//!
//! Backbone (code * scale + minimum, or zero + range * value), then Q Pm^T column by column, then outliers: one order,
//! so that all instruction sets agree in bits.

use super::super::arena::Arena;
use super::super::attention::rows::{rotate, undo_scales, widen_codes};
use super::super::kv_lanes::KvLanes;
use super::super::lanes::LANES;
use super::super::seal::Tensor;
use super::kvquant::Coder;
use crate::cache::sparse::{Gear, Sparse, SparsePlan, SparseStore, OUTLIER_BYTES};
use crate::cache::PageMap;
use crate::model::rope::Rope;

/// The largest rank.
const MAX_RANK: usize = 64;

/// One store's corrected pages.
pub(crate) struct Reader<'a> {
    /// Bytes of pages.
    pub arena: &'a Arena,
    /// Where they lie.
    pub store: &'a SparseStore,
    /// What they hold.
    pub plan: &'a SparsePlan,
    /// Offsets of codes and params.
    pub map: &'a PageMap,
    /// The kv head.
    pub head: usize,
    /// The rotation of keys that are stored before RoPE.
    pub rope: Option<&'a Rope>,
}

impl Reader<'_> {
    /// rows [tokens, d] = what `tokens` <= 16 places from `place` on stand for; they lie in one page, and no group of K ends
    /// between them. V is d / 16.
    #[inline(always)]
    pub unsafe fn widen<L: KvLanes, const V: usize>(
        &self,
        tensor: Tensor,
        place: usize,
        tokens: usize,
        rows: &mut [f32],
    ) {
        let page_tokens = self.plan.sparse.page_tokens();
        let (index, row) = (place / page_tokens, place % page_tokens);
        let page = self.arena.page_ptr(self.store.pages[index]);
        match &self.plan.sparse {
            Sparse::Gear(gear) => {
                self.backbone::<L, V>(gear, tensor, index, row, tokens, rows);
                self.low_rank::<L, V>(tensor, index, row, tokens, rows);
            }
            Sparse::Kvquant(_) => {
                let coder = self
                    .plan
                    .coder
                    .as_ref()
                    .expect("a cache of kvquant is made with its artefact");
                match tensor {
                    Tensor::K => self.keys::<L, V>(coder, page, row, tokens, rows),
                    Tensor::V => self.values::<L, V>(coder, page, row, tokens, rows),
                }
            }
        }
        let first = row * V * LANES;
        match tensor {
            Tensor::K => self.key_outliers(index, first, tokens * V * LANES, rows),
            Tensor::V => {
                let each = self.plan.sparse.value_outliers(V * LANES);
                let kind = self.kind(index);
                let from = page.add(self.plan.tails[kind].outliers + row * each * OUTLIER_BYTES);
                for i in 0..tokens * each {
                    let at = from.cast::<u16>().add(2 * i);
                    rows[usize::from(u16::from_le(at.read())) - first] += widen_half(u16::from_le(at.add(1).read()));
                }
            }
        }
        if let (Tensor::K, Some(rope)) = (tensor, self.rope) {
            for t in 0..tokens {
                rotate::<L, V>(&mut rows[t * V * LANES..], rope.row(place + t));
            }
        }
    }

    #[inline(always)]
    fn kind(&self, index: usize) -> usize {
        match self.plan.sparse {
            Sparse::Gear(gear) => self.store.kind(index, gear.block),
            Sparse::Kvquant(_) => 1,
        }
    }

    /// rows = codes * scale + minimum.
    #[inline(always)]
    unsafe fn backbone<L: KvLanes, const V: usize>(
        &self,
        gear: &Gear,
        tensor: Tensor,
        index: usize,
        row: usize,
        tokens: usize,
        rows: &mut [f32],
    ) {
        let d = V * LANES;
        let page = self.arena.page_ptr(self.store.pages[index]);
        let row_bytes = d * gear.bits as usize / 8;
        let (codes, params) = match tensor {
            Tensor::K => (self.map.k_codes, self.map.k_params),
            Tensor::V => (self.map.v_codes, self.map.v_params),
        };
        widen_codes::<L, V>(gear.bits, page.add(codes + row * row_bytes), tokens, rows);
        if tensor == Tensor::V {
            let group = gear.group.unwrap_or(d);
            return undo_scales::<L, V>(group, page.add(params + row * (d / group) * 4), tokens, rows);
        }
        let params = match gear.group {
            Some(group) => page.add(params + row / group * 4 * d).cast_const(),
            None => self.factor_page(index),
        };
        let params = params.cast::<u16>();
        let mut j = 0;
        while j < V {
            let (s, m) = (
                L::load_f16(params.add(j * LANES)),
                L::load_f16(params.add(d + j * LANES)),
            );
            for t in 0..tokens {
                let at = rows.as_mut_ptr().add((t * V + j) * LANES);
                L::load(at).fma(s, m).store(at);
            }
            j += 1;
        }
    }

    #[inline(always)]
    fn factor_page(&self, index: usize) -> *const u8 {
        let (_, block) = self.store.block(index, self.plan.sparse.page_tokens());
        self.arena
            .page_ptr(self.store.factors[block].expect("a block with factors has their page"))
    }

    /// rows += Q Pm^T.
    #[inline(always)]
    unsafe fn low_rank<L: KvLanes, const V: usize>(
        &self,
        tensor: Tensor,
        index: usize,
        row: usize,
        tokens: usize,
        rows: &mut [f32],
    ) {
        let d = V * LANES;
        let kind = self.kind(index);
        let (block_tokens, _) = self.store.block(index, self.plan.sparse.page_tokens());
        let rank = self.plan.sparse.rank(kind == 1, block_tokens, d);
        if rank == 0 {
            return;
        }
        let columns = self
            .factor_page(index)
            .add(self.plan.sparse.columns(tensor, rank, d))
            .cast::<u16>();
        let tail = &self.plan.tails[kind];
        let from = if tensor == Tensor::K { tail.k_rows } else { tail.v_rows };
        let page = self.arena.page_ptr(self.store.pages[index]);
        let q = page.add(from + row * rank * 2).cast::<u16>().cast_const();
        // A run starts at a multiple of 16 rows, so the rows of sixteen tokens lie in the page even if fewer are in use.
        let mut wide = [0f32; LANES * MAX_RANK];
        for i in 0..rank {
            L::load_f16(q.add(i * LANES)).store(wide.as_mut_ptr().add(i * LANES));
        }
        for k in 0..rank {
            let mut j = 0;
            while j < V {
                let p = L::load_f16(columns.add(k * d + j * LANES));
                for t in 0..tokens {
                    let at = rows.as_mut_ptr().add((t * V + j) * LANES);
                    p.fma(L::splat(wide[t * rank + k]), L::load(at)).store(at);
                }
                j += 1;
            }
        }
    }

    /// rows = zero + range * value of the code, by channel.
    #[inline(always)]
    unsafe fn keys<L: KvLanes, const V: usize>(
        &self,
        coder: &Coder,
        page: *const u8,
        row: usize,
        tokens: usize,
        rows: &mut [f32],
    ) {
        let bits = self.plan.sparse.bits();
        let codes = page.add(self.map.k_codes + row * V * LANES * bits as usize / 8);
        look_up::<L, V>(bits, codes, &coder.keys.decoded, tokens, rows);
        let bounds = &coder.bounds[self.head];
        let mut j = 0;
        while j < V {
            let zero = L::load(bounds.zero.as_ptr().add(j * LANES));
            let range = L::load(bounds.range.as_ptr().add(j * LANES));
            for t in 0..tokens {
                let at = rows.as_mut_ptr().add((t * V + j) * LANES);
                L::load(at).mul(range).add(zero).store(at);
            }
            j += 1;
        }
    }

    /// rows = zero + range * value of the code, by token.
    #[inline(always)]
    unsafe fn values<L: KvLanes, const V: usize>(
        &self,
        coder: &Coder,
        page: *const u8,
        row: usize,
        tokens: usize,
        rows: &mut [f32],
    ) {
        let bits = self.plan.sparse.bits();
        let codes = page.add(self.map.v_codes + row * V * LANES * bits as usize / 8);
        look_up::<L, V>(bits, codes, &coder.values.decoded, tokens, rows);
        let params = page.add(self.map.v_params).cast::<u16>();
        for t in 0..tokens {
            let zero = L::splat(widen_half(params.add(2 * (row + t)).read()));
            let range = L::splat(widen_half(params.add(2 * (row + t) + 1).read()));
            let mut j = 0;
            while j < V {
                let at = rows.as_mut_ptr().add((t * V + j) * LANES);
                L::load(at).mul(range).add(zero).store(at);
                j += 1;
            }
        }
    }

    /// Adds the outliers of K of a page whose indices lie in `first..first + count`.
    #[inline(always)]
    fn key_outliers(&self, index: usize, first: usize, count: usize, rows: &mut [f32]) {
        let of_page = self.store.of_page(index);
        let (mut low, mut high) = (of_page.start, of_page.end);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.store.outlier(self.arena, middle).0 < first {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        for i in low..of_page.end {
            let (at, difference) = self.store.outlier(self.arena, i);
            if at >= first + count {
                break;
            }
            rows[at - first] += widen_half(difference);
        }
    }
}

/// rows [tokens, d] = table at the codes.
#[inline(always)]
unsafe fn look_up<L: KvLanes, const V: usize>(
    bits: u8,
    from: *const u8,
    table: &[f32; LANES],
    tokens: usize,
    rows: &mut [f32],
) {
    let table = L::load(table.as_ptr());
    let to = rows.as_mut_ptr();
    for i in 0..tokens * V {
        let values = match bits {
            2 => L::look_up::<2>(from.add(i * 4), table),
            3 => L::look_up::<3>(from.add(i * 6), table),
            _ => L::look_up::<4>(from.add(i * 8), table),
        };
        values.store(to.add(i * LANES));
    }
}

/// A finite f16 in f32, exact: its exponent is moved by a product with 2^112.
#[inline(always)]
fn widen_half(bits: u16) -> f32 {
    let size = f32::from_bits(u32::from(bits & 0x7fff) << 13) * f32::from_bits(0x7780_0000);
    f32::from_bits(size.to_bits() | u32::from(bits & 0x8000) << 16)
}
