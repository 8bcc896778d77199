//! What stores hold: the same whatever the chunks, the batch, the order and the slot; in bounds; the bytes they say.

use gpu_runner::cache::dump::Dump;
use gpu_runner::cache::{KeyForm, KvCache, SeqId};
use gpu_runner::compress::When;
use gpu_runner::model::Shape;
use serde_json::{json, Value};

use super::configs::{all_of, everything, method, pairs, schedules, smallest, BUDGET, SHAPE, WIDE};
use super::feed::{Feed, Story};
use crate::kv_trace::{assert_close, softmax_sum};
use gpu_runner::compress::COMPRESSORS;

/// Two shapes with what they allow; pairs in the first alone.
fn shaped() -> Vec<(Shape, Vec<Value>)> {
    vec![(SHAPE, everything()), (WIDE, all_of(WIDE))]
}

#[test]
fn t9_stores_do_not_depend_on_how_a_prompt_is_cut_into_chunks() {
    let feed = Feed::new(SHAPE, 2);
    let story = Story::new(SHAPE, 340, 9);
    for config in everything() {
        let run = |chunk: usize| {
            let mut cache = feed.cache(&config);
            let seq = feed.start_in(&mut cache, &story, 330, 11, chunk).unwrap();
            // What lives on beside the entries shows in later selections.
            for token in 330..340 {
                feed.step(&mut cache, &[(seq, &story, token)]);
            }
            feed.dumps(&cache, seq)
        };
        let whole = run(330);
        for chunk in [64, 128, 256] {
            assert!(run(chunk) == whole, "{config} in chunks of {chunk}");
        }
    }
}

/// The ragged batch: prompts shorter and longer than budget, windows, groups and pages.
const RAGGED: [usize; 8] = [1, 130, 39, 64, 41, 150, 97, 31];
const STEPS: usize = 45;

#[test]
fn t10_t11_t12_a_sequence_has_the_same_stores_alone_and_in_any_slot_of_any_batch_on_used_pages() {
    let feed = Feed::new(SHAPE, 2);
    let stories: Vec<Story> = (0..8)
        .map(|i| Story::new(SHAPE, RAGGED[i] + STEPS, 50 + i as u64))
        .collect();
    let other = Story::new(SHAPE, 200, 3);
    let small = smallest();
    for config in everything() {
        let alone: Vec<Vec<Dump>> = (0..8)
            .map(|i| {
                let mut cache = feed.cache(&config);
                let seq = feed.run(&mut cache, &stories[i], RAGGED[i], STEPS);
                feed.dumps(&cache, seq)
            })
            .collect();
        let mut cache = feed.cache(&config);
        // Earlier samples leave their bytes behind: one that ended, one that was given up halfway.
        let ended = feed.run(&mut cache, &other, 120, 30);
        let given_up = feed.start(&mut cache, &other, 90, 60);
        feed.step(&mut cache, &[(given_up, &other, 90)]);
        cache.release(ended).unwrap();
        cache.discard(given_up);
        let orders = [[0, 1, 2, 3, 4, 5, 6, 7], [6, 2, 5, 7, 0, 4, 1, 3]];
        // Both orders for one configuration a row: the second shows nothing new of a parameter's value.
        for order in &orders[..if small.contains(&config) { 2 } else { 1 }] {
            let rows: Vec<(SeqId, usize)> = order
                .iter()
                .map(|i| (feed.start(&mut cache, &stories[*i], RAGGED[*i], STEPS + 1), *i))
                .collect();
            for step in 0..STEPS {
                let fed: Vec<_> = rows
                    .iter()
                    .map(|(seq, i)| (*seq, &stories[*i], RAGGED[*i] + step))
                    .collect();
                feed.step(&mut cache, &fed);
            }
            for (seq, i) in rows {
                assert!(
                    feed.dumps(&cache, seq) == alone[i],
                    "{config}: sequence {i} of {order:?}"
                );
                cache.release(seq).unwrap();
            }
        }
        assert_eq!(cache.live_pages(), 0, "{config}");
    }
}

#[test]
fn t14_two_thousand_steps_stay_in_bounds_and_give_all_pages_back() {
    let shape = Shape {
        layers: 1,
        q_heads: 2,
        kv_heads: 2,
        head_dim: 64,
    };
    let feed = Feed::new(shape, 1);
    let story = Story::new(shape, 2100, 14);
    let configs = COMPRESSORS.iter().flat_map(|m| schedules(*m));
    for config in configs.chain(pairs()) {
        let mut cache = feed.cache(&config);
        let free = cache.limit_and_free_bytes();
        let eviction = cache.eviction().expect("evictors only");
        let seq = feed.start(&mut cache, &story, 100, 2001);
        let start: Vec<usize> = (0..2).map(|h| cache.store(seq, 0, h).n).collect();
        if eviction.at_prompt {
            assert!(
                start.iter().sum::<usize>() <= 2 * eviction.budget,
                "{config}: {start:?} after the prompt"
            );
        }
        let most = match eviction.when {
            When::Prefill => None,
            When::Step => Some(eviction.budget + 1),
            When::Interval(n) => Some(eviction.budget + n),
        };
        for token in 100..2100 {
            feed.step_with(&mut cache, &[(seq, &story, token)], |cache, _, _, _| {
                for (head, start) in start.iter().enumerate() {
                    let n = cache.store(seq, 0, head).n;
                    match most {
                        Some(most) => assert!(n <= most, "{config}: {n} entries in the step of token {token}"),
                        None => assert_eq!(n, start + token - 99, "{config}: the store grows"),
                    }
                }
            });
        }
        cache.release(seq).unwrap();
        assert_eq!(cache.live_pages(), 0, "{config}");
        assert_eq!(cache.limit_and_free_bytes(), free, "{config}");
    }
}

#[test]
fn t15_t16_entries_seal_once_and_the_bytes_of_the_parts_add_up() {
    for (shape, configs) in shaped() {
        let feed = Feed::new(shape, 2);
        let story = Story::new(shape, 420, 15);
        for config in configs {
            for (prompt, steps) in [(1, 0), (1, 140), (BUDGET, 1), (64, 64), (129, 71), (300, 20)] {
                let mut cache = feed.cache(&config);
                cache.audit_seals();
                let worst = cache.worst_case_bytes(prompt, steps + 1);
                let seq = feed.run(&mut cache, &story, prompt, steps);
                let what = format!("{config} d {} {prompt} + {steps}", shape.head_dim);
                for i in 0..shape.layers * shape.kv_heads {
                    let store = cache.store(seq, i / shape.kv_heads, i % shape.kv_heads);
                    assert!(store.seals.iter().flatten().all(|n| *n <= 1), "{what}: sealed twice");
                }
                let payload: usize = feed.dumps(&cache, seq).iter().map(Dump::payload_bytes).sum();
                let stats = cache.release(seq).unwrap();
                assert_eq!(stats.bytes_ideal, payload, "{what}");
                assert!(
                    stats.bytes_end >= payload,
                    "{what}: {} at the end, {payload} of payload",
                    stats.bytes_end
                );
                assert!(stats.bytes_peak >= stats.bytes_end, "{what}: {stats:?}");
                assert!(
                    stats.bytes_peak <= worst,
                    "{what}: peak {} of {worst}",
                    stats.bytes_peak
                );
                let heads = shape.layers * shape.kv_heads;
                assert_eq!(stats.bytes_f16, (prompt + steps) * 4 * heads * shape.head_dim, "{what}");
                assert_eq!(stats.seen, prompt + steps, "{what}");
                assert_eq!(cache.live_pages(), 0, "{what}");
            }
        }
    }
}

/// Attention of q [q_heads, head_dim] over the dequantised stores, in f64.
fn reference(cache: &KvCache, seq: SeqId, layer: usize, q: &[f32]) -> Vec<f64> {
    let (d, g) = (cache.shape().head_dim, cache.shape().group());
    let of_head = |(head, q): (usize, &[f32])| {
        let (mut k, v) = cache.dequantised(seq, layer, head);
        if cache.key_form() == KeyForm::PreRope {
            // Rank among the kept entries, in order of positions, is the slot.
            k.chunks_exact_mut(d)
                .enumerate()
                .for_each(|(slot, row)| rotate(row, slot));
        }
        let q: Vec<f64> = q.iter().map(|x| f64::from(*x)).collect();
        q.chunks_exact(d)
            .flat_map(|q| softmax_sum(q, &k, &v, d))
            .collect::<Vec<_>>()
    };
    q.chunks_exact(g * d).enumerate().flat_map(of_head).collect()
}

/// RoPE with base 10,000 in f64.
fn rotate(row: &mut [f64], position: usize) {
    let d = row.len() as f64;
    for (i, pair) in row.chunks_exact_mut(2).enumerate() {
        let (sin, cos) = (position as f64 * 10_000f64.powf(-2.0 * i as f64 / d)).sin_cos();
        (pair[0], pair[1]) = (pair[0] * cos - pair[1] * sin, pair[0] * sin + pair[1] * cos);
    }
}

#[test]
fn t17_attention_is_that_of_f64_over_the_dequantised_stores() {
    for (shape, configs) in shaped() {
        let feed = Feed::new(shape, 2);
        let story = Story::new(shape, 200, 17);
        for config in configs {
            for prompt in [2, 150] {
                let mut cache = feed.cache(&config);
                let seq = feed.start(&mut cache, &story, prompt, 41);
                for token in prompt..prompt + 40 {
                    feed.step_with(&mut cache, &[(seq, &story, token)], |cache, layer, q, out| {
                        if token % 5 != 0 {
                            return;
                        }
                        let what = format!("{config} d {} layer {layer} token {token}", shape.head_dim);
                        assert_close(out, &reference(cache, seq, layer, q), 5e-5, &what);
                    });
                }
            }
        }
    }
}

#[test]
fn t18_evictors_keep_what_is_protected_and_change_no_kept_entry() {
    let feed = Feed::new(SHAPE, 2);
    let story = Story::new(SHAPE, 230, 18);
    let (d, heads) = (SHAPE.head_dim, SHAPE.kv_heads);
    let mut all = feed.cache(&json!("none"));
    let whole = feed.run(&mut all, &story, 200, 29);
    for config in everything() {
        let mut cache = feed.cache(&config);
        let Some(eviction) = cache.eviction() else { continue };
        let seq = feed.start(&mut cache, &story, 200, 31);
        for step in 0..30 {
            for i in 0..SHAPE.layers * heads {
                let (layer, head) = (i / heads, i % heads);
                let kept = cache.positions(seq, layer, head);
                let what = format!("{config} layer {layer} head {head} step {step}: {kept:?}");
                assert!(kept.windows(2).all(|w| w[0] < w[1]), "{what}");
                assert!((0..eviction.sinks as u32).all(|p| kept.contains(&p)), "{what}");
                let due = if step == 0 {
                    eviction.at_prompt
                } else {
                    eviction.when.due(step)
                };
                let seen = 200 + step as u32;
                if due {
                    assert!(
                        (seen - eviction.recent as u32..seen).all(|p| kept.contains(&p)),
                        "{what}"
                    );
                }
                let acted = eviction.at_prompt || (1..=step).any(|t| eviction.when.due(t));
                assert!(kept.len() < seen as usize || !acted, "{what}: nothing was dropped");
            }
            if step < 29 {
                feed.step(&mut cache, &[(seq, &story, 200 + step)]);
            }
        }
        if method(&config).is_none() {
            continue; // a pair quantises what it keeps
        }
        for i in 0..SHAPE.layers * heads {
            let (layer, head) = (i / heads, i % heads);
            let (dump, full) = (cache.dump(seq, layer, head), all.dump(whole, layer, head));
            for (row, position) in dump.positions.iter().enumerate() {
                let (own, of) = (
                    row * d..(row + 1) * d,
                    *position as usize * d..(*position as usize + 1) * d,
                );
                assert_eq!(
                    dump.v_f16[own.clone()],
                    full.v_f16[of.clone()],
                    "{config}: V of {position}"
                );
                if cache.key_form() == KeyForm::PostRope {
                    assert_eq!(dump.k_f16[own], full.k_f16[of], "{config}: K of {position}");
                }
            }
        }
    }
}

#[test]
fn t23_degenerate_prompts_and_vectors_survive_every_method() {
    let feed = Feed::new(SHAPE, 1);
    let random = Story::new(SHAPE, 200, 23);
    let zeros = [Story::constant(SHAPE, 200, 0.0), Story::constant(SHAPE, 200, -0.0)];
    let constant = Story::constant(SHAPE, 200, 2.5);
    for config in everything() {
        for (story, zero) in [
            (&random, false),
            (&zeros[0], true),
            (&zeros[1], true),
            (&constant, false),
        ] {
            for (prompt, steps) in [
                (1, 0),
                (1, 100),
                (BUDGET, 2),
                (BUDGET + 1, 0),
                (BUDGET + 1, 2),
                (128, 1),
                (160, 33),
            ] {
                let mut cache = feed.cache(&config);
                let seq = feed.start(&mut cache, story, prompt, steps + 1);
                for token in prompt..prompt + steps {
                    let stored = feed.step_with(&mut cache, &[(seq, story, token)], |_, _, _, out| {
                        assert!(out.iter().all(|x| x.is_finite()), "{config} {prompt} + {steps}");
                        assert!(!zero || out.iter().all(|x| *x == 0.0), "{config}: zeros stay zeros");
                    });
                    assert!(!stored[0].nan, "{config} {prompt} + {steps}");
                }
                cache
                    .release(seq)
                    .unwrap_or_else(|e| panic!("{config} {prompt} + {steps}: {e}"));
            }
        }
    }
}
