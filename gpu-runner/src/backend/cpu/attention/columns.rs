//! Column sums of a prompt's attention, for methods that rank tokens by the attention they got.
//!
//! A second pass over QKᵀ: the weight of (query, key) is 2^(score - lse) with the row statistics that the attention pass
//! left, so no T x T matrix exists. Sums in one pass would be wrong: a running maximum rescales rows, not columns. A task
//! owns 64 keys of one kv head and walks the queries in tiles of 64 rows at absolute positions, in ascending order, so
//! bits depend neither on chunks nor on threads.

use half::f16;

use super::super::kv_lanes::KvLanes;
use super::super::lanes::{for_isa, LANES};
use super::super::shared::SharedMut;
use super::super::{Isa, Pool};
use super::exponent_scale;
use crate::model::Shape;

/// Query rows of a tile. Chunks of a prompt start at multiples of it.
pub const TILE: usize = 64;

/// Keys of a task: four vectors.
const KEYS: usize = 4 * LANES;

/// Query rows that share a load of keys.
const ROWS: usize = 4;

/// Adds to sums [kv_heads, T] the attention that query rows `rows` of a prompt give each key, a mean over the query heads
/// of the group: q [rows, q_heads, head_dim] f32 and lse [rows, q_heads] of these rows, k [at least rows.end, kv_heads,
/// head_dim] f16 after RoPE. `rows` starts at a multiple of 64.
///
/// # Panics
/// If a slice does not fit the shape.
#[allow(clippy::too_many_arguments)]
pub fn column_sums(
    pool: &Pool,
    isa: Isa,
    shape: Shape,
    rows: std::ops::Range<usize>,
    q: &[f32],
    k: &[f16],
    lse: &[f32],
    sums: &mut [f32],
) {
    let total = sums.len() / shape.kv_heads;
    assert!(rows.start.is_multiple_of(TILE) && rows.end <= total && sums.len() == total * shape.kv_heads);
    assert!(q.len() == rows.len() * shape.q_heads * shape.head_dim && lse.len() == rows.len() * shape.q_heads);
    assert!(k.len() >= rows.end * shape.kv_heads * shape.head_dim);
    let blocks = rows.end.div_ceil(KEYS);
    let target = SharedMut::new(sums);
    pool.tasks(blocks * shape.kv_heads, &|i| {
        let (head, first) = (i % shape.kv_heads, i / shape.kv_heads * KEYS);
        let keys = KEYS.min(rows.end - first);
        // SAFETY: task i alone owns these keys of this head.
        let sums = unsafe { target.slice(head * total + first, keys) };
        let mut block = Block {
            shape,
            head,
            first,
            rows: rows.clone(),
            q,
            k,
            lse,
            sums,
        };
        add_block(isa, &mut block);
    });
}

/// Keys first.. of one kv head.
struct Block<'a> {
    shape: Shape,
    head: usize,
    first: usize,
    rows: std::ops::Range<usize>,
    q: &'a [f32],
    k: &'a [f16],
    lse: &'a [f32],
    sums: &'a mut [f32],
}

for_isa! {
    fn add_block(block: &mut Block<'_>) = add_block_body
}

#[inline(always)]
unsafe fn add_block_body<L: KvLanes>(block: &mut Block<'_>) {
    let (d, g) = (block.shape.head_dim, block.shape.group());
    // K as [d, 64], zeros behind the last key.
    let mut keys = vec![0f32; d * KEYS];
    for t in 0..block.sums.len() {
        let from = ((block.first + t) * block.shape.kv_heads + block.head) * d;
        for c in 0..d {
            keys[c * KEYS + t] = block.k[from + c].to_f32();
        }
    }
    let scale = L::splat(exponent_scale(d));
    let first_row = block.rows.start.max(block.first / TILE * TILE);
    for tile in (first_row..block.rows.end).step_by(TILE) {
        let mut sums = [L::splat(0.0); KEYS / LANES];
        // Pairs (row, query head), rows ascending.
        let end = block.rows.end.min(tile + TILE);
        let start = tile.max(block.first);
        let pairs = end.saturating_sub(start) * g;
        let mut at = 0;
        while at < pairs {
            let count = ROWS.min(pairs - at);
            let mut query = [std::ptr::null::<f32>(); ROWS];
            for (r, q) in query.iter_mut().enumerate() {
                // Rows past the last repeat it and are not added.
                let pair = at + r.min(count - 1);
                let row = (start + pair / g - block.rows.start) * block.shape.q_heads + block.head * g + pair % g;
                *q = block.q.as_ptr().add(row * d);
            }
            let mut dots = [[L::splat(0.0); KEYS / LANES]; ROWS];
            for c in 0..d {
                let key = keys.as_ptr().add(c * KEYS);
                let mut j = 0;
                while j < KEYS / LANES {
                    let key = L::load(key.add(j * LANES));
                    let mut r = 0;
                    while r < ROWS {
                        dots[r][j] = L::splat(query[r].add(c).read()).fma(key, dots[r][j]);
                        r += 1;
                    }
                    j += 1;
                }
            }
            for (r, dots) in dots.iter().enumerate().take(count) {
                let row = start + (at + r) / g;
                let lse = (row - block.rows.start) * block.shape.q_heads + block.head * g + (at + r) % g;
                let lse = L::splat(block.lse[lse]);
                let seen = row + 1 - block.first;
                for (j, dot) in dots.iter().enumerate() {
                    if j * LANES >= seen {
                        break;
                    }
                    let p = dot.mul(scale).sub(lse).exp2();
                    let visible = seen - j * LANES;
                    if visible >= LANES {
                        sums[j] = sums[j].add(p);
                    } else {
                        let mut lanes = [0f32; LANES];
                        p.store(lanes.as_mut_ptr());
                        sums[j] = sums[j].add(L::load_part(lanes.as_ptr(), visible));
                    }
                }
            }
            at += count;
        }
        let share = L::splat(g as f32);
        for (j, sum) in sums.iter().enumerate() {
            let left = block.sums.len().saturating_sub(j * LANES).min(LANES);
            if left > 0 {
                let to = block.sums.as_mut_ptr().add(j * LANES);
                L::load_part(to, left).add(sum.div(share)).store_part(to, left);
            }
        }
    }
}
