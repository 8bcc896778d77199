//! Grouped queries: several query heads read one kv head, which has one score an entry.

/// How the scores of the query heads of a kv head become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reduce {
    /// Their mean; their sum would rank alike.
    Mean,
    /// The largest.
    Max,
}

impl Reduce {
    /// The reduction of this name.
    ///
    /// # Panics
    /// If there is none: parameters are checked before.
    pub fn named(name: &str) -> Reduce {
        match name {
            "mean" => Reduce::Mean,
            "max" => Reduce::Max,
            other => panic!("there is no reduction {other}"),
        }
    }

    /// Reduces `rows` [heads, n] to [n]. Means are summed in f64 and rounded once, so equal heads give back themselves.
    pub fn rows(self, rows: &[f32], n: usize) -> Vec<f32> {
        let heads = rows.len() / n.max(1);
        (0..n)
            .map(|j| {
                let column = (0..heads).map(|h| rows[h * n + j]);
                match self {
                    Reduce::Mean => (column.map(f64::from).sum::<f64>() / heads as f64) as f32,
                    Reduce::Max => column.fold(f32::NEG_INFINITY, larger),
                }
            })
            .collect()
    }
}

/// The larger of two; a NaN wins, so that the cache sees it and says so.
pub(super) fn larger(a: f32, b: f32) -> f32 {
    match b > a || b.is_nan() {
        true => b,
        false => a,
    }
}
