//! Ada-KV's head capacities: the layer's budget goes where the best scores are.

use super::pyramid::Rounding;

/// How many of the best `heads x base` scores of a layer lie in each head. `scores` [heads][n], `later` orders columns:
/// of equal scores the later column comes first, then the lower head.
pub fn counts(scores: &[Vec<f32>], base: usize) -> Vec<usize> {
    let mut counts = vec![0; scores.len()];
    let mut all: Vec<(f32, u32, u32)> = Vec::with_capacity(scores.iter().map(Vec::len).sum());
    for (head, scores) in scores.iter().enumerate() {
        // Adding 0 makes -0 equal +0 under the total order.
        all.extend(scores.iter().enumerate().map(|(j, s)| (s + 0.0, j as u32, head as u32)));
    }
    let best = (scores.len() * base).min(all.len());
    if best > 0 && best < all.len() {
        all.select_nth_unstable_by(best - 1, |a, b| {
            b.0.total_cmp(&a.0).then(b.1.cmp(&a.1)).then(a.2.cmp(&b.2))
        });
    }
    for (_, _, head) in &all[..best] {
        counts[*head as usize] += 1;
    }
    counts
}

/// `scores` [heads][n], each head's multiplied by (sum of its best `base`) / (sum of all).
pub fn normalised(scores: &[Vec<f32>], base: usize) -> Vec<Vec<f32>> {
    scores.iter().map(|s| scaled(s, base)).collect()
}

fn scaled(scores: &[f32], base: usize) -> Vec<f32> {
    let sum = |scores: &[f32]| scores.iter().map(|s| f64::from(*s)).sum::<f64>();
    // A full sort, so that the order of the sum is fixed by the values alone.
    let mut best = scores.to_vec();
    best.sort_unstable_by(|a, b| b.total_cmp(a));
    let all = sum(&best);
    let factor = match all == 0.0 {
        true => 1.0,
        false => sum(&best[..base.min(best.len())]) / all,
    };
    scores.iter().map(|s| (f64::from(*s) * factor) as f32).collect()
}

/// Entries each head keeps: a share `alpha` (in thousandths) of `base` for all, the rest as `counts` has it.
pub fn capacities(counts: &[usize], base: usize, alpha: usize, rounding: Rounding) -> Vec<usize> {
    match rounding {
        Rounding::Exact => {
            let parts: Vec<usize> = counts.iter().map(|n| (1000 - alpha) * n + alpha * base).collect();
            let mut whole: Vec<usize> = parts.iter().map(|p| p / 1000).collect();
            let missing = parts.iter().map(|p| p % 1000).sum::<usize>() / 1000;
            let mut heads: Vec<usize> = (0..counts.len()).collect();
            // Stable: equal remainders leave the lower head first.
            heads.sort_by_key(|h| std::cmp::Reverse(parts[*h] % 1000));
            heads[..missing].iter().for_each(|h| whole[*h] += 1);
            whole
        }
        Rounding::Published => counts
            .iter()
            .map(|n| half_even((1000 - alpha) * n + alpha * base / 1000 * 1000))
            .collect(),
    }
}

/// `thousandths / 1000` to the nearest whole number, ties to even.
fn half_even(thousandths: usize) -> usize {
    let (whole, rest) = (thousandths / 1000, thousandths % 1000);
    whole + usize::from(rest > 500 || (rest == 500 && whole % 2 == 1))
}
