//! Sealing of a gear block: outliers out, the backbone quantiser on what is left, a low-rank correction of its error.

use half::f16;

use super::factors::{factors, Factors, Seed};
use super::group::Scale;
use super::outliers::{choose, per_tail};
use super::{sum, to_f16, Outlier};
use crate::cache::Axis;

/// How a block is sealed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Setting {
    /// Bits per code.
    pub bits: u8,
    /// Lines and groups: channels along tokens (K), or tokens along channels (V).
    pub axis: Axis,
    /// Elements per group; `None` takes the whole line.
    pub group: Option<usize>,
    /// Share of outliers.
    pub sparsity: f64,
    /// Rank of the correction; at most the block's tokens and channels are used.
    pub rank: usize,
    /// Passes of the power iteration.
    pub loops: usize,
}

/// One sealed block of K or V.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Block {
    /// [n, d], one code a byte.
    pub codes: Vec<u8>,
    /// By channel: [n / group][scales d][minima d]. By token: [n][scales d / group][minima d / group].
    pub params: Vec<f16>,
    /// The correction.
    pub factors: Factors,
    /// By token, then by channel.
    pub outliers: Vec<Outlier>,
}

impl Setting {
    /// Seals x [n, d].
    ///
    /// # Panics
    /// If a line is not a whole number of groups.
    pub fn seal(&self, x: &[f16], d: usize, seed: Seed) -> Block {
        let n = x.len() / d;
        let values: Vec<f32> = x.iter().map(|x| x.to_f32()).collect();
        let mut filled = values.clone();
        let (lines, length) = match self.axis {
            Axis::Channel => (d, n),
            Axis::Token => (n, d),
        };
        let at = |line: usize, i: usize| match self.axis {
            Axis::Channel => i * d + line,
            Axis::Token => line * d + i,
        };
        let mut places = self.take_outliers(&values, &mut filled, (lines, length), &at);
        places.sort_unstable();
        let group = self.group.unwrap_or(length);
        assert!(length.is_multiple_of(group), "lines of {length} in groups of {group}");
        let groups = length / group;
        let mut codes = vec![0u8; n * d];
        // E takes the place of the filled values, group by group.
        let mut error = filled;
        let mut params = vec![f16::ZERO; 2 * lines * groups];
        for line in 0..lines {
            for g in 0..groups {
                let places = (g * group..(g + 1) * group).map(|i| at(line, i));
                let scale = Scale::of(places.clone().map(|i| error[i]), self.bits);
                for i in places {
                    codes[i] = scale.code(error[i], self.bits);
                    error[i] = values[i] - scale.value(codes[i]);
                }
                let (first, step, index) = match self.axis {
                    Axis::Channel => (g * 2 * d, d, line),
                    Axis::Token => (line * 2 * groups, groups, g),
                };
                params[first + index] = scale.scale;
                params[first + step + index] = scale.min;
            }
        }
        let outliers = places.iter().map(|&i| {
            let difference = to_f16(error[i]);
            error[i] = 0.0;
            Outlier {
                token: (i / d) as u32,
                channel: (i % d) as u16,
                difference,
            }
        });
        let outliers = outliers.collect();
        let rank = self.rank.min(n).min(d);
        Block {
            codes,
            params,
            factors: factors(&error, d, rank, self.loops, seed.start(d, rank)),
            outliers,
        }
    }

    /// Replaces the outliers of every line by the line's mean and says where they are.
    fn take_outliers(
        &self,
        values: &[f32],
        filled: &mut [f32],
        (lines, length): (usize, usize),
        at: &dyn Fn(usize, usize) -> usize,
    ) -> Vec<usize> {
        let k = per_tail(length, self.sparsity);
        let mut places = Vec::with_capacity(2 * k * lines);
        if k == 0 {
            return places;
        }
        let mut line = vec![0f32; length];
        for l in 0..lines {
            line.iter_mut().enumerate().for_each(|(i, x)| *x = values[at(l, i)]);
            let mean = sum(line.iter().copied()) / length as f32;
            for i in choose(&line, k) {
                filled[at(l, i)] = mean;
                places.push(at(l, i));
            }
        }
        places
    }
}
