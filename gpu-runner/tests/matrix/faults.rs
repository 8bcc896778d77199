//! T13 and T24: a compressor that does not act is an error, and a number that is none fails one sequence alone.

use gpu_runner::backend::{Backend, Stored};
use gpu_runner::cache::KvCache;
use gpu_runner::compress::When;
use gpu_runner::Error;

use super::configs::{everything, SHAPE};
use super::feed::{Feed, Story};

#[test]
fn t13_every_configuration_acts_on_a_long_sample_and_on_none_that_is_short() {
    let feed = Feed::new(SHAPE, 2);
    let story = Story::new(SHAPE, 400, 13);
    for config in everything() {
        let baseline = config.get("none").is_some();
        let mut cache = feed.cache(&config);
        let seq = feed.run(&mut cache, &story, 330, 20);
        let stats = cache.release(seq).unwrap();
        assert_eq!(stats.acted(), !baseline, "{config}");
        if let Some(eviction) = cache.eviction() {
            assert!(stats.dropped > 0 && stats.selections > 0, "{config}");
            let first = match eviction.at_prompt {
                true => 0,
                false => (1..20).find(|t| eviction.when.due(*t)).unwrap(),
            };
            assert_eq!(stats.first_drop, Some(first), "{config}");
            let held = stats.kept_mean * (SHAPE.layers * SHAPE.kv_heads) as f64;
            assert_eq!(
                stats.dropped as f64 + held,
                (350 * SHAPE.layers * SHAPE.kv_heads) as f64,
                "{config}"
            );
            let seq = feed.run(&mut cache, &story, eviction.budget / 2, eviction.budget.div_ceil(2));
            let stats = cache.release(seq).unwrap();
            assert_eq!(
                (stats.dropped, stats.selections, stats.first_drop),
                (0, 0, None),
                "{config} {eviction:?}"
            );
        }
    }
}

#[test]
fn t13_a_forward_that_forgets_to_compress_fails_on_release() {
    let feed = Feed::new(SHAPE, 1);
    let story = Story::new(SHAPE, 300, 131);
    let mut failed = 0;
    for config in everything() {
        let mut cache = feed.cache(&config);
        let grows = cache.eviction().is_some_and(|e| e.when == When::Prefill) && !cache.plan(2).layout.has_window();
        if config.get("none").is_some() || grows {
            continue; // nothing is due after a step
        }
        let seq = feed.start(&mut cache, &story, 100, 200);
        for token in 100..299 {
            for layer in 0..SHAPE.layers {
                let mut stored = [Stored::default()];
                let mut q = vec![0.0; SHAPE.q_heads * SHAPE.head_dim];
                let qkv = story.row(layer, token).to_vec();
                feed.cpu
                    .rope_append(&mut cache, &[seq], layer, &qkv, &mut q, &mut stored)
                    .unwrap();
            }
        }
        match cache.release(seq) {
            Err(Error::Compressor { code, .. }) => assert_eq!(code, "witness_failed", "{config}"),
            other => panic!("{config}: {other:?}"),
        }
        assert_eq!(cache.live_pages(), 0, "{config}");
        failed += 1;
    }
    assert!(
        failed > 5,
        "only {failed} configurations have something due after a step"
    );
}

#[test]
fn t24_a_nan_fails_its_own_sequence_and_leaves_its_neighbours_stores_alone() {
    let feed = Feed::new(SHAPE, 2);
    let (good, mut bad) = (Story::new(SHAPE, 140, 24), Story::new(SHAPE, 140, 25));
    let healthy = bad.clone();
    let d = SHAPE.head_dim;
    let (k, v) = (SHAPE.q_heads * d + 3, (SHAPE.q_heads + SHAPE.kv_heads) * d + 5);
    for config in everything() {
        let mut cache = feed.cache(&config);
        let seq = feed.run(&mut cache, &good, 100, 30);
        let alone = feed.dumps(&cache, seq);
        for channel in [k, v, 2] {
            bad.rows.clone_from(&healthy.rows);
            // In a step of layer 1: K, V, and a query.
            bad.rows[1][110 * bad.width + channel] = f32::NAN;
            let mut cache = feed.cache(&config);
            let rows = [
                feed.start(&mut cache, &good, 100, 31),
                feed.start(&mut cache, &bad, 100, 31),
            ];
            let mut faults = [false; 2];
            for token in 100..130 {
                let fed = [(rows[0], &good, token), (rows[1], &bad, token)];
                // A sequence that failed is taken out, as the seats do.
                let fed = &fed[..if faults[1] { 1 } else { 2 }];
                let stored = feed.step_with(&mut cache, fed, |_, _, _, _| ());
                for (fault, stored) in faults.iter_mut().zip(stored) {
                    *fault |= stored.nan;
                }
            }
            assert_eq!(faults, [false, true], "{config} channel {channel}");
            assert!(feed.dumps(&cache, rows[0]) == alone, "{config} channel {channel}");
            cache.discard(rows[1]);
            cache.release(rows[0]).unwrap();
            assert_eq!(cache.live_pages(), 0, "{config}");
        }
    }
}

#[test]
fn t24_a_nan_in_a_prompt_is_one_error_and_the_next_sample_on_its_pages_is_well() {
    let feed = Feed::new(SHAPE, 2);
    let (good, mut bad) = (Story::new(SHAPE, 110, 28), Story::new(SHAPE, 110, 29));
    let d = SHAPE.head_dim;
    bad.rows[2][60 * bad.width + SHAPE.q_heads * d + 9] = f32::NAN;
    for config in everything() {
        let run = |cache: &mut KvCache| {
            let seq = feed.run(cache, &good, 100, 10);
            let dumps = feed.dumps(cache, seq);
            cache.release(seq).unwrap();
            dumps
        };
        let fresh = run(&mut feed.cache(&config));
        let mut cache = feed.cache(&config);
        match feed.start_in(&mut cache, &bad, 100, 11, 100) {
            Err(Error::Numeric(_)) => {}
            other => panic!("{config}: {other:?}"),
        }
        assert_eq!(cache.live_pages(), 0, "{config}");
        assert!(run(&mut cache) == fresh, "{config}");
    }
}

#[test]
fn t24_values_beyond_f16_are_clamped_and_counted() {
    let feed = Feed::new(SHAPE, 1);
    let mut story = Story::new(SHAPE, 60, 26);
    let v = (SHAPE.q_heads + SHAPE.kv_heads) * SHAPE.head_dim;
    for (layer, token, value) in [(0, 3, 1e6), (2, 49, -7e4), (3, 55, 65504.0), (1, 57, 1e30)] {
        story.rows[layer][token * story.width + v] = value;
    }
    for config in everything() {
        let mut cache = feed.cache(&config);
        let seq = feed.run(&mut cache, &story, 50, 10);
        assert_eq!(cache.stats(seq).clamped, 3, "{config}");
    }
}
