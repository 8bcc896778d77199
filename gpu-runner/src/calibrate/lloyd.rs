//! One-dimensional Lloyd iteration on sorted values, and Q-Norm.

use super::artefact::Norm;

/// The most iterations.
const ITERATIONS: usize = 50;

/// Values per block of precomputed sums.
const BLOCK: usize = 1024;

/// Sums over ranges of a list, in f64.
struct Sums<'a> {
    values: &'a [f32],
    /// Sum of everything before each block.
    before: Vec<f64>,
}

impl Sums<'_> {
    fn new(values: &[f32]) -> Sums<'_> {
        let mut before = vec![0.0];
        for block in values.chunks(BLOCK) {
            let last = before[before.len() - 1];
            before.push(last + block.iter().map(|x| f64::from(*x)).sum::<f64>());
        }
        Sums { values, before }
    }

    /// Of the first `n` values.
    fn first(&self, n: usize) -> f64 {
        let block = n / BLOCK;
        let rest = &self.values[block * BLOCK..n];
        self.before[block] + rest.iter().map(|x| f64::from(*x)).sum::<f64>()
    }
}

/// Where each cell of a codebook begins in sorted values, one more at the end: nearest value, a tie to the larger.
fn cells(sorted: &[f32], codebook: &[f32]) -> Vec<usize> {
    let borders = codebook
        .windows(2)
        .map(|pair| (f64::from(pair[0]) + f64::from(pair[1])) / 2.0);
    let mut starts = vec![0];
    starts.extend(borders.map(|border| sorted.partition_point(|x| f64::from(*x) < border)));
    starts.push(sorted.len());
    starts
}

/// A codebook of 2^`bits` ascending values for `sorted` values: starts at their quantiles (i + .5) / 2^b, at most 50
/// iterations or until nothing moves. A value that nothing is nearest to stays where it is.
///
/// # Panics
/// If there are no values.
pub fn lloyd(sorted: &[f32], bits: u8) -> Vec<f32> {
    let count = 1usize << bits;
    let mut codebook: Vec<f32> = (0..count)
        .map(|i| super::percentile(sorted, (i as f64 + 0.5) / count as f64))
        .collect();
    let sums = Sums::new(sorted);
    for _ in 0..ITERATIONS {
        let starts = cells(sorted, &codebook);
        let mut moved = false;
        for (value, cell) in codebook.iter_mut().zip(starts.windows(2)) {
            if cell[0] < cell[1] {
                let mean = (sums.first(cell[1]) - sums.first(cell[0])) / (cell[1] - cell[0]) as f64;
                moved |= mean as f32 != *value;
                *value = mean as f32;
            }
        }
        if !moved {
            break;
        }
    }
    codebook
}

/// Scale and shift that give the coded values the mean and the deviation of `sorted`.
pub fn norm(sorted: &[f32], codebook: &[f32]) -> Norm {
    let n = sorted.len() as f64;
    let starts = cells(sorted, codebook);
    let coded = || {
        codebook
            .iter()
            .zip(starts.windows(2))
            .map(|(c, cell)| (f64::from(*c), (cell[1] - cell[0]) as f64))
    };
    let mean = sorted.iter().map(|x| f64::from(*x)).sum::<f64>() / n;
    let coded_mean = coded().map(|(c, count)| c * count).sum::<f64>() / n;
    let variance = sorted.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / n;
    let coded_variance = coded().map(|(c, count)| (c - coded_mean).powi(2) * count).sum::<f64>() / n;
    let scale = match coded_variance {
        0.0 => 1.0,
        coded => (variance / coded).sqrt(),
    };
    Norm {
        scale: scale as f32,
        shift: (mean - scale * coded_mean) as f32,
    }
}
