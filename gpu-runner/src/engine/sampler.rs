//! Chooses a token from logits: greedy, or temperature, top-k, top-p, min-p over probabilities sorted descending.
//!
//! The draw of generated token i is element i of the sample's own key: a function of the sample alone, whatever the
//! batch, the order or the attempt.

use crate::random::{key, uniform, uses};
use crate::request::Sampling;

/// The rule of one workload with one sample's key.
#[derive(Debug, Clone)]
pub struct Sampler {
    rule: Rule,
    key: u64,
    order: Vec<(f32, u32)>,
}

#[derive(Debug, Clone, Copy)]
enum Rule {
    Greedy,
    Draw {
        temperature: f32,
        top_k: usize,
        top_p: f32,
        min_p: f32,
    },
}

impl Sampler {
    /// `sampling` as checked on arrival, `seed` of the sample.
    pub fn new(sampling: &Sampling, seed: u64) -> Sampler {
        let rule = match sampling.temperature {
            None => Rule::Greedy,
            Some(temperature) => Rule::Draw {
                temperature,
                top_k: sampling.top_k.unwrap_or(0),
                top_p: sampling.top_p.unwrap_or(1.0),
                min_p: sampling.min_p.unwrap_or(0.0),
            },
        };
        Sampler {
            rule,
            key: key(seed, [uses::SAMPLING, 0, 0, 0, 0]),
            order: Vec::new(),
        }
    }

    /// Token `index` (0 for the first) from `logits` [vocab]; -inf masks a token.
    pub fn choose(&mut self, logits: &[f32], index: u64) -> u32 {
        match self.rule {
            Rule::Greedy => argmax(logits),
            Rule::Draw {
                temperature,
                top_k,
                top_p,
                min_p,
            } => {
                let u = uniform(self.key, index);
                self.sort(logits, temperature, top_k);
                draw(&self.order, top_p, min_p, u)
            }
        }
    }

    /// Fills `order` with (weight, id), heaviest first, lower id first among equals; the best weighs 1.
    fn sort(&mut self, logits: &[f32], temperature: f32, top_k: usize) {
        let best = logits[argmax(logits) as usize];
        let order = &mut self.order;
        order.clear();
        order.extend(logits.iter().enumerate().filter_map(|(id, logit)| {
            let weight = ((logit - best) / temperature).exp();
            (weight > 0.0).then_some((weight, id as u32))
        }));
        let descending = |a: &(f32, u32), b: &(f32, u32)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
        if top_k > 0 && top_k < order.len() {
            order.select_nth_unstable_by(top_k - 1, descending);
            order.truncate(top_k);
        }
        order.sort_unstable_by(descending);
    }
}

/// Inverse CDF over (weight, id) in descending order, after top-p and min-p.
fn draw(order: &[(f32, u32)], top_p: f32, min_p: f32, u: f32) -> u32 {
    let total: f32 = order.iter().map(|(w, _)| w).sum();
    let mut kept = order.len();
    if top_p < 1.0 {
        let mut sum = 0.0;
        kept = order
            .iter()
            .position(|(w, _)| {
                sum += w;
                sum >= top_p * total
            })
            .map_or(kept, |i| i + 1);
    }
    let floor = min_p * order[0].0;
    kept = kept.min(order.iter().position(|(w, _)| *w < floor).unwrap_or(kept));
    let mass: f32 = order[..kept].iter().map(|(w, _)| w).sum();
    let mut sum = 0.0;
    for (weight, id) in &order[..kept] {
        sum += weight;
        if u * mass < sum {
            return *id;
        }
    }
    // u * mass can round up to the whole sum.
    order[kept - 1].1
}

/// The index of the largest value; ties go to the lowest. Two passes, because the first then runs on vectors.
pub fn argmax(values: &[f32]) -> u32 {
    let mut lanes = [f32::NEG_INFINITY; 16];
    for chunk in values.chunks(16) {
        for (most, value) in lanes.iter_mut().zip(chunk) {
            *most = if *value > *most { *value } else { *most };
        }
    }
    let most = lanes.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    values.iter().position(|value| *value == most).unwrap_or(0) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_of_seed_42_are_the_published_ones() {
        let key = key(42, [uses::SAMPLING, 0, 0, 0, 0]);
        assert_eq!(key, 0xf345_9c68_3419_c8b0);
        let drawn: Vec<String> = (0..3).map(|i| format!("{:.8}", uniform(key, i))).collect();
        assert_eq!(drawn, ["0.35849798", "0.24778062", "0.32384843"]);
    }

    fn sampler(json: &str, seed: u64) -> Sampler {
        Sampler::new(&serde_json::from_str(json).unwrap(), seed)
    }

    #[test]
    fn ties_go_to_the_lowest_id() {
        assert_eq!(sampler(r#"{"greedy":true}"#, 0).choose(&[1.0, 3.0, 3.0], 0), 1);
        assert_eq!(
            sampler(r#"{"temperature":1,"top_k":1}"#, 0).choose(&[1.0, 3.0, 3.0], 0),
            1
        );
    }

    #[test]
    fn the_inverse_cdf_walks_from_the_most_probable_token() {
        // Probabilities 0.5, 0.3, 0.2 at ids 2, 0, 1; u of seed 42 is 0.358, 0.248, 0.324: all in the first half.
        let logits = [0.3f32.ln(), 0.2f32.ln(), 0.5f32.ln()];
        let mut s = sampler(r#"{"temperature":1}"#, 42);
        assert_eq!([0, 1, 2].map(|i| s.choose(&logits, i)), [2, 2, 2]);
        // At 0.34, 0.33, 0.33 a draw of 0.358 falls to the second.
        let logits = [0.33f32.ln(), 0.34f32.ln(), 0.33f32.ln()];
        assert_eq!([0, 1, 2].map(|i| s.choose(&logits, i)), [0, 1, 1]);
    }

    #[test]
    fn top_p_and_min_p_keep_the_head_of_the_order() {
        let order = [(1.0, 7), (0.5, 3), (0.25, 1), (0.25, 9)];
        assert_eq!(draw(&order, 0.5, 0.0, 0.999), 7);
        assert_eq!(draw(&order, 0.51, 0.0, 0.999), 3);
        assert_eq!(draw(&order, 1.0, 0.3, 0.999), 3);
        assert_eq!(draw(&order, 1.0, 0.0, 0.999), 9);
    }

    #[test]
    fn a_masked_token_is_never_drawn() {
        let mut s = sampler(r#"{"temperature":5}"#, 1);
        let logits = [f32::NEG_INFINITY, 0.0, f32::NEG_INFINITY];
        assert!((0..100).all(|i| s.choose(&logits, i) == 1));
    }
}
