//! Sealing: f16 rows become codes, scales and minima in a page; bit-exact on every backend and instruction set.
//!
//! The group quantiser: m = f16(min x), s = f16((max x - m) / (2^b - 1)), 1 if that is 0; code = the nearest whole
//! number, ties to even, of (x - m) / s clamped to 0..=2^b - 1, with the stored s and m and a true f32 division. Forms of
//! one token's vector are [`codec`]'s.

use std::ops::Range;

use half::f16;

use super::arena::Arena;
use super::codec;
use super::kv_lanes::KvLanes;
use super::lanes::{for_isa, LANES};
use super::{Isa, Pool};
use crate::cache::{Axis, Layout, PageId, PageMap, Part, Store};

/// K or V.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tensor {
    /// Keys.
    K,
    /// Values.
    V,
}

/// Entries of one store that go into one page.
#[derive(Debug, Clone)]
pub struct SealJob {
    /// The page.
    pub page: PageId,
    /// The kv head, or whatever the caller finds its rows by.
    pub head: usize,
    /// What to seal.
    pub tensor: Tensor,
    /// Places in the store; whole groups for K by channel.
    pub places: Range<usize>,
    /// Row in the page of the first of them.
    pub row: usize,
}

impl SealJob {
    /// Cuts `places` of a store at its page bounds.
    pub fn split(
        jobs: &mut Vec<SealJob>,
        store: &Store,
        page_tokens: usize,
        head: usize,
        tensor: Tensor,
        places: Range<usize>,
    ) {
        let mut first = places.start;
        while first < places.end {
            let end = (first / page_tokens + 1) * page_tokens;
            jobs.push(SealJob {
                page: store.pages[first / page_tokens],
                head,
                tensor,
                places: first..end.min(places.end),
                row: first % page_tokens,
            });
            first = end;
        }
    }
}

/// Rows beyond which a parallel region pays.
const PARALLEL_ROWS: usize = 16;

/// Seals rows that lie outside the arena: `row(job, place)` is head_dim f16 values.
#[allow(clippy::too_many_arguments)]
pub fn run<'a>(
    pool: &Pool,
    isa: Isa,
    arena: &mut Arena,
    layout: &Layout,
    map: &PageMap,
    head_dim: usize,
    jobs: &[SealJob],
    row: &(dyn Fn(&SealJob, usize) -> &'a [f16] + Sync),
) {
    let arena = &*arena;
    execute(pool, isa, arena, layout, map, head_dim, jobs, &|job, place| {
        row(job, place).as_ptr()
    });
}

/// Seals rows that lie in other pages of the arena: `row(job, place)` is a page and a byte offset.
#[allow(clippy::too_many_arguments)]
pub fn run_in_arena(
    pool: &Pool,
    isa: Isa,
    arena: &mut Arena,
    layout: &Layout,
    map: &PageMap,
    head_dim: usize,
    jobs: &[SealJob],
    row: &(dyn Fn(&SealJob, usize) -> (PageId, usize) + Sync),
) {
    let arena = &*arena;
    execute(pool, isa, arena, layout, map, head_dim, jobs, &|job, place| {
        let (page, at) = row(job, place);
        arena.f16_of(page, at, head_dim).as_ptr()
    });
}

#[allow(clippy::too_many_arguments)]
fn execute(
    pool: &Pool,
    isa: Isa,
    arena: &Arena,
    layout: &Layout,
    map: &PageMap,
    head_dim: usize,
    jobs: &[SealJob],
    row: &(dyn Fn(&SealJob, usize) -> *const f16 + Sync),
) {
    let task = |i: usize| {
        let job = &jobs[i];
        let (part, codes, params) = match job.tensor {
            Tensor::K => (layout.k, map.k_codes, map.k_params),
            Tensor::V => (layout.v, map.v_codes, map.v_params),
        };
        let mut rows = [std::ptr::null(); MAX_ROWS];
        for (at, place) in job.places.clone().enumerate() {
            rows[at] = row(job, place);
        }
        let page = arena.page_ptr(job.page);
        // SAFETY: offsets of the page's own map. Jobs name disjoint rows, each page belongs to one store, and the
        // caller holds `&mut Arena`, so nobody reads or writes these bytes meanwhile.
        let (codes, params) = unsafe { (page.add(codes), page.add(params)) };
        let rows = &rows[..job.places.len()];
        let kernel = SealRows {
            part,
            head_dim,
            rows,
            first: job.row,
            codes,
            params,
        };
        seal_rows(isa, &kernel);
    };
    if jobs.iter().map(|job| job.places.len()).sum::<usize>() > PARALLEL_ROWS {
        pool.tasks(jobs.len(), &task);
    } else {
        (0..jobs.len()).for_each(task);
    }
}

/// The longest page, in tokens.
const MAX_ROWS: usize = 128;

/// Seals `rows` (head_dim f16 values each) as rows `first..` of a page's segment.
struct SealRows<'a> {
    part: Part,
    head_dim: usize,
    rows: &'a [*const f16],
    first: usize,
    codes: *mut u8,
    params: *mut u8,
}

for_isa! {
    fn seal_rows(rows: &SealRows<'_>) = seal_rows_body
}

#[inline(always)]
unsafe fn seal_rows_body<L: KvLanes>(rows: &SealRows<'_>) {
    rows.seal::<L>();
}

impl SealRows<'_> {
    #[inline(always)]
    unsafe fn seal<L: KvLanes>(&self) {
        let row_bytes = self.part.row_bytes(self.head_dim);
        let first = self.codes.add(self.first * row_bytes);
        match self.part {
            Part::F16 => {
                for (i, row) in self.rows.iter().enumerate() {
                    std::ptr::copy_nonoverlapping(row.cast(), first.add(i * row_bytes), row_bytes);
                }
            }
            Part::Int {
                bits,
                axis: Axis::Channel,
                group,
            } => {
                let mut params = self.params.cast::<f16>().add(self.first / group * 2 * self.head_dim);
                for (i, rows) in self.rows.chunks_exact(group).enumerate() {
                    by_channel::<L>(bits, self.head_dim, rows, first.add(i * group * row_bytes), params);
                    params = params.add(2 * self.head_dim);
                }
            }
            Part::Int {
                bits,
                axis: Axis::Token,
                group,
            } => {
                let groups = self.head_dim / group;
                let params = self.params.cast::<f16>().add(self.first * 2 * groups);
                for (i, row) in self.rows.iter().enumerate() {
                    by_token::<L>(
                        bits,
                        self.head_dim,
                        group,
                        *row,
                        first.add(i * row_bytes),
                        params.add(i * 2 * groups),
                    );
                }
            }
            Part::Sparse { .. } => unreachable!("codes with corrections are sealed a block at a time"),
            Part::Token { codec, rotation } => {
                let param_bytes = self.part.param_row_bytes(self.head_dim);
                let params = self.params.add(self.first * param_bytes);
                for (i, row) in self.rows.iter().enumerate() {
                    codec::seal::<L>(
                        codec,
                        rotation,
                        self.head_dim,
                        *row,
                        first.add(i * row_bytes),
                        params.add(i * param_bytes),
                    );
                }
            }
        }
    }
}

/// Scale and code of lanes with minimum `m` (already of f16) and maximum `max`.
#[inline(always)]
unsafe fn scale<L: KvLanes>(bits: u8, m: L, max: L) -> L {
    let top = L::splat(((1u32 << bits) - 1) as f32);
    let mut stored = [f16::ZERO; LANES];
    max.sub(m).div(top).store_f16(stored.as_mut_ptr().cast());
    L::load_f16(stored.as_ptr().cast()).one_if_zero()
}

#[inline(always)]
unsafe fn code<L: KvLanes>(bits: u8, x: L, s: L, m: L) -> L {
    let top = L::splat(((1u32 << bits) - 1) as f32);
    x.sub(m).div(s).max(L::splat(0.0)).min(top).round()
}

/// Writes sixteen codes as 2 * bits bytes, low bits first.
#[inline(always)]
unsafe fn pack<L: KvLanes>(bits: u8, codes: L, to: *mut u8) {
    let mut bytes = [0u8; LANES];
    codes.store_u8(bytes.as_mut_ptr());
    match bits {
        2 => {
            for (i, four) in bytes.chunks_exact(4).enumerate() {
                to.add(i).write(four[0] | four[1] << 2 | four[2] << 4 | four[3] << 6);
            }
        }
        4 => {
            for (i, two) in bytes.chunks_exact(2).enumerate() {
                to.add(i).write(two[0] | two[1] << 4);
            }
        }
        _ => to.cast::<[u8; LANES]>().write_unaligned(bytes),
    }
}

/// One group of tokens, every channel: codes [token][channel], params [scales d][minima d].
#[inline(always)]
unsafe fn by_channel<L: KvLanes>(bits: u8, d: usize, rows: &[*const f16], codes: *mut u8, params: *mut f16) {
    let row_bytes = d * bits as usize / 8;
    for c in (0..d).step_by(LANES) {
        let (mut min, mut max) = (L::splat(f32::INFINITY), L::splat(f32::NEG_INFINITY));
        for row in rows {
            let x = L::load_f16(row.add(c).cast());
            (min, max) = (min.min(x), max.max(x));
        }
        // Adding 0 turns a minimum of -0 into 0, whichever of both zeros was met first.
        let m = min.add(L::splat(0.0));
        let s = scale(bits, m, max);
        s.store_f16(params.add(c).cast());
        m.store_f16(params.add(d + c).cast());
        for (t, row) in rows.iter().enumerate() {
            let x = L::load_f16(row.add(c).cast());
            pack(
                bits,
                code(bits, x, s, m),
                codes.add(t * row_bytes + c * bits as usize / 8),
            );
        }
    }
}

/// One token, groups of channels: codes [channel], params [scales d/G][minima d/G].
#[inline(always)]
unsafe fn by_token<L: KvLanes>(bits: u8, d: usize, group: usize, row: *const f16, codes: *mut u8, params: *mut f16) {
    let groups = d / group;
    for g in 0..groups {
        let (mut min, mut max) = (L::splat(f32::INFINITY), L::splat(f32::NEG_INFINITY));
        for c in (g * group..(g + 1) * group).step_by(LANES) {
            let x = L::load_f16(row.add(c).cast());
            (min, max) = (min.min(x), max.max(x));
        }
        // The least lane is the largest of the negated ones.
        let least = -L::splat(0.0).sub(min).largest();
        let m = L::splat(least).add(L::splat(0.0));
        let s = scale(bits, m, L::splat(max.largest()));
        let mut value = [f16::ZERO; LANES];
        s.store_f16(value.as_mut_ptr().cast());
        params.add(g).write_unaligned(value[0]);
        m.store_f16(value.as_mut_ptr().cast());
        params.add(groups + g).write_unaligned(value[0]);
        for c in (g * group..(g + 1) * group).step_by(LANES) {
            let x = L::load_f16(row.add(c).cast());
            pack(bits, code(bits, x, s, m), codes.add(c * bits as usize / 8));
        }
    }
}
