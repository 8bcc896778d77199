//! Which values of a line are outliers: the largest, then the smallest of the rest.

/// Outliers per tail of a line: 0 without sparsity, else at least 1.
pub fn per_tail(length: usize, sparsity: f64) -> usize {
    match sparsity {
        0.0 => 0,
        s => ((length as f64 * s / 2.0).floor() as usize).max(1),
    }
}

/// Indices of the `k` largest values of `line`, then of the `k` smallest of the rest, ascending. A tie goes to the later
/// index; -0 equals +0.
///
/// # Panics
/// If the line has fewer than 2k values.
pub fn choose(line: &[f32], k: usize) -> Vec<usize> {
    if k == 0 {
        return Vec::new();
    }
    assert!(2 * k <= line.len(), "{k} outliers per tail of {} values", line.len());
    let mut order: Vec<usize> = (0..line.len()).collect();
    // Adding 0 makes both zeros one. A NaN has a place in this order too: it is reported elsewhere, not here.
    let value = |i: usize| line[i] + 0.0;
    order.select_nth_unstable_by(k - 1, |&a, &b| value(b).total_cmp(&value(a)).then(b.cmp(&a)));
    let rest = &mut order[k..];
    rest.select_nth_unstable_by(k - 1, |&a, &b| value(a).total_cmp(&value(b)).then(b.cmp(&a)));
    order.truncate(2 * k);
    order.sort_unstable();
    order
}
