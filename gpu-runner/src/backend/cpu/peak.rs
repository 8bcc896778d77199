//! What this machine can do at most, measured in the process that reports a fraction of it.

use super::dots::Dots;
use super::lanes::{for_isa, Lanes, LANES};
use super::{Isa, Pool};
use std::time::Instant;

/// Measured ceilings; best of a few readings, since a shared machine only ever slows one down.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct Peaks {
    /// Threads that took part.
    pub threads: usize,
    /// Bytes read and written by a copy, GB/s.
    pub copy_gb_s: f64,
    /// Bytes read, GB/s.
    pub read_gb_s: f64,
    /// int8 operations, a multiply-add counted as two, in 10^9 per second.
    pub int8_gop_s: f64,
    /// f32 operations by fused multiply-adds, in 10^9 per second.
    pub f32_gflop_s: f64,
}

/// Bytes of one array of the bandwidth loops: far more than the caches hold.
const ARRAY: usize = 128 << 20;
/// Bytes of one reading, which walk through the array; a short reading fits between two disturbances.
const PIECE: usize = 8 << 20;
/// Rounds of one reading of a multiply-add rate: about 0.3 ms.
const ROUNDS: usize = 100_000;
/// Readings of each.
const READINGS: usize = 48;

/// Measures everything; takes about a quarter of a second and 256 MiB.
pub fn measure(isa: Isa, pool: &Pool) -> Peaks {
    let words = ARRAY / 8;
    let source: Vec<u64> = (0..words as u64).collect();
    let mut target = vec![1u64; words];
    let piece = PIECE / 8;
    let share = |reading: usize, thread: usize| {
        let at = reading * piece % words;
        at + piece * thread / pool.threads()..at + piece * (thread + 1) / pool.threads()
    };
    let to = Words(target.as_mut_ptr());
    let copy = best(|reading| {
        pool.run(&|thread| {
            let part = share(reading, thread);
            // SAFETY: the shares of the threads are disjoint ranges of `target`, which is as long as `source`.
            unsafe { std::ptr::copy_nonoverlapping(source[part.clone()].as_ptr(), to.at(part.start), part.len()) };
        });
    });
    let read = best(|reading| {
        pool.run(&|thread| {
            std::hint::black_box(fold_words(isa, &source[share(reading, thread)]));
        });
    });
    let int8 = best(|_| {
        pool.run(&|_| {
            std::hint::black_box(int8_rounds(isa, ROUNDS));
        });
    });
    let f32 = best(|_| {
        pool.run(&|_| {
            std::hint::black_box(f32_rounds(isa, ROUNDS));
        });
    });
    let threads = pool.threads() as f64;
    Peaks {
        threads: pool.threads(),
        copy_gb_s: 2.0 * PIECE as f64 / copy / 1e9,
        read_gb_s: PIECE as f64 / read / 1e9,
        int8_gop_s: threads * (ROUNDS * int8_ops(isa)) as f64 / int8 / 1e9,
        f32_gflop_s: threads * (ROUNDS * CHAINS * 32) as f64 / f32 / 1e9,
    }
}

/// Seconds of the fastest of a few runs.
fn best(mut run: impl FnMut(usize)) -> f64 {
    (0..READINGS)
        .map(|reading| {
            let start = Instant::now();
            run(reading);
            start.elapsed().as_secs_f64()
        })
        .fold(f64::INFINITY, f64::min)
}

struct Words(*mut u64);
// SAFETY: threads write disjoint ranges, see `measure`.
unsafe impl Sync for Words {}

impl Words {
    /// # Safety
    /// `offset` lies within the array.
    unsafe fn at(&self, offset: usize) -> *mut u64 {
        self.0.add(offset)
    }
}

for_isa! {
    /// Reads words as fast as they come: eight independent maxima. The result only keeps the work alive.
    fn fold_words(words: &[u64]) -> i32 = fold_words_body
}

#[inline(always)]
unsafe fn fold_words_body<V: Lanes>(words: &[u64]) -> i32 {
    let mut most = [V::zero_ints(); 8];
    for line in words.chunks_exact(8 * LANES / 2) {
        let line = line.as_ptr().cast::<f32>();
        for (i, most) in most.iter_mut().enumerate() {
            *most = V::load(line.add(i * LANES)).max_abs_bits(*most);
        }
    }
    let mut all = 0;
    for most in most {
        all |= V::largest_int(most);
    }
    all
}

for_isa! {
    fn int8_rounds(rounds: usize) -> i32 = int8_body
}

#[inline(always)]
unsafe fn int8_body<V: Dots>(rounds: usize) -> i32 {
    V::peak(rounds)
}

for_isa! {
    fn int8_ops() -> usize = int8_ops_body
}

#[inline(always)]
unsafe fn int8_ops_body<V: Dots>() -> usize {
    V::PEAK_OPS
}

/// Independent sums: latency 4 or 5, two a cycle.
const CHAINS: usize = 12;

for_isa! {
    fn f32_rounds(rounds: usize) -> f32 = f32_body
}

#[inline(always)]
unsafe fn f32_body<V: Lanes>(rounds: usize) -> f32 {
    let factor = V::splat(std::hint::black_box(0.5));
    let mut sums = [V::splat(1.0); CHAINS];
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = sum.fma(factor, factor);
        }
    }
    let mut all = V::splat(0.0);
    for sum in sums {
        all = all.add(sum);
    }
    all.sum()
}
