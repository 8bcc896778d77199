//! Selection: which entries of a store stay. One implementation for all methods.

/// The rule of a selection.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Entries to keep, protected ones included.
    pub budget: usize,
    /// Positions below it are protected.
    pub sinks: usize,
    /// So many entries of the highest positions are protected.
    pub recent: usize,
}

/// An order-preserving image of a score: a larger score has a larger key, -0 equals +0.
fn key(score: f32) -> u32 {
    let bits = (score + 0.0).to_bits();
    match bits >> 31 {
        0 => bits | 1 << 31,
        _ => !bits,
    }
}

/// (score, position) as one number: the better entry has the larger one, and a tie goes to the later token.
fn rank(score: f32, position: u32) -> u64 {
    u64::from(key(score)) << 32 | u64::from(position)
}

/// Indices of the entries that stay, ascending: those with a position below `sinks`, the `recent` last, and the best of
/// the others up to the budget. `positions` and `scores` [n] are in any one order; the scores of protected entries are
/// not read. `None` if a score is NaN.
///
/// A budget below the number of protected entries keeps all of these.
pub fn select(rule: Rule, positions: &[u32], scores: &[f32]) -> Option<Vec<usize>> {
    let n = positions.len();
    if n <= rule.budget {
        return Some((0..n).collect());
    }
    let first_recent = nth_last(positions, rule.recent);
    let protected = |i: usize| (positions[i] as usize) < rule.sinks || first_recent.is_some_and(|p| positions[i] >= p);
    let mut others: Vec<(u64, usize)> = Vec::with_capacity(n);
    for i in (0..n).filter(|i| !protected(*i)) {
        if scores[i].is_nan() {
            return None;
        }
        others.push((rank(scores[i], positions[i]), i));
    }
    let room = rule.budget.saturating_sub(n - others.len());
    if room == 0 {
        others.clear();
    } else if room < others.len() {
        others.select_nth_unstable_by(room - 1, |a, b| b.0.cmp(&a.0));
        others.truncate(room);
    }
    let mut stays: Vec<bool> = (0..n).map(protected).collect();
    others.iter().for_each(|(_, i)| stays[*i] = true);
    Some((0..n).filter(|i| stays[*i]).collect())
}

/// The `count`th highest position; `None` for 0.
fn nth_last(positions: &[u32], count: usize) -> Option<u32> {
    if count == 0 {
        return None;
    }
    if count >= positions.len() {
        return Some(0);
    }
    if positions.is_sorted() {
        return Some(positions[positions.len() - count]);
    }
    let mut all = positions.to_vec();
    let at = all.len() - count;
    Some(*all.select_nth_unstable(at).1)
}
