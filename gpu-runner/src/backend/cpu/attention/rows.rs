//! Rows of K and V in f32, sixteen tokens at a time: widened, rotated, weighed. V is head_dim / 16 vectors.

use super::super::kv_lanes::KvLanes;
use super::super::lanes::LANES;

/// The most groups of channels in a row: head dimension 128, groups of 32.
const MAX_GROUPS: usize = 4;

/// The vectors of a row.
#[inline(always)]
pub(super) unsafe fn load_row<L: KvLanes, const V: usize>(from: *const f32) -> [L; V] {
    let mut row = [L::splat(0.0); V];
    let mut j = 0;
    while j < V {
        row[j] = L::load(from.add(j * LANES));
        j += 1;
    }
    row
}

/// rows [tokens, d] = f16 rows at `from`.
#[inline(always)]
pub(super) unsafe fn widen_f16<L: KvLanes, const V: usize>(from: *const u8, tokens: usize, rows: &mut [f32]) {
    for i in 0..tokens * V {
        L::load_f16(from.add(i * LANES * 2).cast()).store(rows.as_mut_ptr().add(i * LANES));
    }
}

/// rows [tokens, d] = codes at `from`, as numbers.
#[inline(always)]
pub(in crate::backend::cpu) unsafe fn widen_codes<L: KvLanes, const V: usize>(
    bits: u8,
    from: *const u8,
    tokens: usize,
    rows: &mut [f32],
) {
    let to = rows.as_mut_ptr();
    for i in 0..tokens * V {
        let codes = match bits {
            2 => L::load_codes::<2>(from.add(i * 4)),
            4 => L::load_codes::<4>(from.add(i * 8)),
            _ => L::load_codes::<8>(from.add(i * 16)),
        };
        codes.store(to.add(i * LANES));
    }
}

/// rows [tokens, d]: codes become code * scale + minimum of their group of channels. The product is exact.
#[inline(always)]
pub(in crate::backend::cpu) unsafe fn undo_scales<L: KvLanes, const V: usize>(
    group: usize,
    params: *const u8,
    tokens: usize,
    rows: &mut [f32],
) {
    let groups = V * LANES / group;
    // A run starts at a multiple of 16 rows, so the params of sixteen rows lie in the page even if fewer are in use.
    let mut wide = [0f32; LANES * 2 * MAX_GROUPS];
    for i in 0..2 * groups {
        let at = params.add(i * LANES * 2).cast();
        L::load_f16(at).store(wide.as_mut_ptr().add(i * LANES));
    }
    for t in 0..tokens {
        for j in 0..V {
            let scale = wide.as_ptr().add(t * 2 * groups + j * LANES / group);
            let at = rows.as_mut_ptr().add((t * V + j) * LANES);
            let (s, m) = (L::splat(scale.read()), L::splat(scale.add(groups).read()));
            L::load(at).fma(s, m).store(at);
        }
    }
}

/// scaled [g, d] = q * scale; base [g] = q · minima, for one group of tokens: params [scales d][minima d].
#[inline(always)]
pub(super) unsafe fn scale_queries<L: KvLanes, const V: usize>(
    q: &[f32],
    params: *const u8,
    scaled: &mut [f32],
    base: &mut [f32],
) {
    let d = V * LANES;
    let params = params.cast::<half::f16>();
    for (h, base) in base.iter_mut().enumerate() {
        let mut sum = L::splat(0.0);
        for j in 0..V {
            let q = L::load(q.as_ptr().add(h * d + j * LANES));
            q.mul(L::load_f16(params.add(j * LANES).cast()))
                .store(scaled.as_mut_ptr().add(h * d + j * LANES));
            sum = q.fma(L::load_f16(params.add(d + j * LANES).cast()), sum);
        }
        *base = sum.sum();
    }
}

/// Rotates a row of adjacent pairs; angles [cos d/2][sin d/2].
#[inline(always)]
pub(in crate::backend::cpu) unsafe fn rotate<L: KvLanes, const V: usize>(row: &mut [f32], angles: &[f32]) {
    let (cos, sin) = (angles.as_ptr(), angles.as_ptr().add(V * LANES / 2));
    for j in 0..V {
        let at = row.as_mut_ptr().add(j * LANES);
        let x = L::load(at);
        let cross = x.swap_pairs().mul(L::load_pairs(sin.add(j * LANES / 2)));
        x.fma_alternate(L::load_pairs(cos.add(j * LANES / 2)), cross).store(at);
    }
}

/// out [H, d] += weights [H, tokens] · rows [tokens, d], tokens in order.
#[inline(always)]
pub(super) unsafe fn weigh<L: KvLanes, const V: usize, const H: usize>(
    weights: *const f32,
    stride: usize,
    rows: &[f32],
    tokens: usize,
    out: *mut f32,
) {
    let d = V * LANES;
    let mut sums = [[L::splat(0.0); V]; H];
    let mut h = 0;
    while h < H {
        sums[h] = load_row::<L, V>(out.add(h * d));
        h += 1;
    }
    for t in 0..tokens {
        let row = rows.as_ptr().add(t * d);
        let mut h = 0;
        while h < H {
            let p = L::splat(weights.add(h * stride + t).read());
            let mut j = 0;
            while j < V {
                sums[h][j] = p.fma(L::load(row.add(j * LANES)), sums[h][j]);
                j += 1;
            }
            h += 1;
        }
    }
    h = 0;
    while h < H {
        let mut j = 0;
        while j < V {
            sums[h][j].store(out.add(h * d + j * LANES));
            j += 1;
        }
        h += 1;
    }
}
