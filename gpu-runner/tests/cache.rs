//! The cache as a whole: identity, isolation, bounds, bytes, refusals. Names T… are those of the design's test list.

use gpu_runner::backend::cpu::{Isa, Pool};
use gpu_runner::cache::{expected, witness, Held, KeyForm, Layout, Observed, Watched};
use gpu_runner::compress::resolve;
use gpu_runner::model::Shape;
use gpu_runner::Error;
use half::f16;
use serde_json::{json, Value};

use super::kv_trace::{assert_close, attend, bits, cache, shape, Random, Trace};

fn matrix() -> Vec<Value> {
    vec![
        json!("none"),
        json!({"kivi": {"bits": 2}}),
        json!({"kivi": {"bits": 4, "window": 32, "v_flush": "block"}}),
        json!({"kivi": {"bits": 8, "group": 64, "window": 64}}),
        json!({"kivi": {"k_bits": 16, "v_bits": 4}}),
        json!({"kivi": {"bits": 16}}),
        json!({"streaming_llm": {"sinks": 4, "recent": 60}}),
        json!({"streaming_llm": {"sinks": 4, "recent": 124, "positions": "original"}}),
        json!({"streaming_llm": {"sinks": 0, "recent": 64, "evict_at": "prefill"}}),
    ]
}

const SHAPES: [(usize, usize); 4] = [(1, 64), (3, 64), (7, 128), (4, 128)];

/// Attention outputs, as bits, of prompt + steps of a trace.
fn outputs(compressor: &Value, trace: &Trace, prompt: usize, steps: usize) -> Vec<Vec<u32>> {
    let pool = Pool::new(2);
    let mut cache = cache(trace.shape, compressor, Isa::detect());
    let seq = trace.start(&pool, &mut cache, prompt, steps + 1);
    let q = Random(77).floats(trace.shape.q_heads * trace.shape.head_dim, 1.0);
    let mut out = Vec::new();
    for token in prompt..prompt + steps {
        trace.step(&pool, &mut cache, seq, token, |cache, layer| {
            out.push(bits(&attend(&pool, Isa::detect(), cache, seq, layer, &q)));
        });
    }
    cache.release(seq).unwrap();
    out
}

#[test]
fn t5_identity_settings_attend_with_the_bits_of_none() {
    for (group, head_dim) in SHAPES {
        let trace = Trace::new(shape(2, group, 2, head_dim), 190, 5);
        let baseline = outputs(&json!("none"), &trace, 150, 40);
        for identity in [
            json!({"kivi": {"bits": 16}}),
            json!({"streaming_llm": {"positions": "original", "recent": 500}}),
            json!({"streaming_llm": {"positions": "original", "recent": 185, "sinks": 5}}),
        ] {
            assert!(
                outputs(&identity, &trace, 150, 40) == baseline,
                "{identity} d {head_dim}"
            );
        }
    }
}

#[test]
fn t6_a_sample_within_budget_is_the_baseline_and_says_nothing_was_due() {
    let trace = Trace::new(shape(1, 3, 2, 64), 101, 5);
    let compressor = json!({"streaming_llm": {"positions": "original", "sinks": 1, "recent": 99}});
    assert!(outputs(&compressor, &trace, 80, 20) == outputs(&json!("none"), &trace, 80, 20));
    let pool = Pool::new(1);
    let mut cache = cache(trace.shape, &compressor, Isa::detect());
    let seq = trace.start(&pool, &mut cache, 100, 2);
    assert!(!cache.stats(seq).acted());
    trace.step(&pool, &mut cache, seq, 100, |_, _| ());
    let stats = cache.release(seq).unwrap();
    assert!(stats.acted());
    assert_eq!((stats.dropped, stats.selections, stats.first_drop), (2, 2, Some(1)));
}

#[test]
fn t7_slots_without_a_drop_attend_as_the_baseline_within_rounding() {
    let trace = Trace::new(shape(1, 3, 2, 64), 120, 6);
    let slot = outputs(&json!({"streaming_llm": {"recent": 200}}), &trace, 100, 20);
    let none = outputs(&json!("none"), &trace, 100, 20);
    for (a, b) in slot.iter().zip(&none) {
        let values = |x: &[u32]| -> Vec<f32> { x.iter().map(|b| f32::from_bits(*b)).collect() };
        let wanted: Vec<f64> = values(b).iter().map(|x| f64::from(*x)).collect();
        assert_close(&values(a), &wanted, 5e-3, "slot against post-RoPE f16 keys");
    }
}

#[test]
fn t7_under_slots_a_shifted_sequence_attends_alike() {
    // Two sequences whose kept K and V are equal, dropped after 40 and after 90 tokens: only slots count.
    let pool = Pool::new(1);
    let long = Trace::new(shape(1, 2, 1, 64), 100, 8);
    let compressor = json!({"streaming_llm": {"sinks": 0, "recent": 30}});
    let q = Random(1).floats(128, 1.0);
    let run = |prompt: usize, skip: usize| {
        let mut cache = cache(long.shape, &compressor, Isa::detect());
        let seq = cache.admit(prompt, 2, 0).unwrap();
        let width = 64;
        let (k, v) = (
            &long.k[0][skip * width..][..prompt * width],
            &long.v[0][skip * width..][..prompt * width],
        );
        cache.prefill_layer(&pool, seq, 0, k, v, &Observed::default()).unwrap();
        let next = (skip + prompt) * width..(skip + prompt + 1) * width;
        assert_eq!(cache.query_position(seq, 0), 30);
        cache
            .append(seq, 0, &long.k[0][next.clone()], &long.v[0][next])
            .unwrap();
        bits(&attend(&pool, Isa::detect(), &cache, seq, 0, &q))
    };
    assert_eq!(run(90, 0), run(40, 50));
}

#[test]
fn t10_t11_a_sequence_has_the_same_pages_alone_and_among_others_on_used_pages() {
    let pool = Pool::new(2);
    for compressor in matrix() {
        for (group, head_dim) in [(3, 64), (4, 128)] {
            let shape = shape(2, group, 2, head_dim);
            let traces: Vec<Trace> = (0..5).map(|i| Trace::new(shape, 300, 100 + i)).collect();
            let alone = |i: usize, prompt: usize| {
                let mut cache = cache(shape, &compressor, Isa::detect());
                let seq = traces[i].start(&pool, &mut cache, prompt, 101);
                for token in prompt..prompt + 100 {
                    traces[i].step(&pool, &mut cache, seq, token, |_, _| ());
                }
                dumps(&cache, seq)
            };
            let mut cache = cache(shape, &compressor, Isa::detect());
            // Earlier samples, one of them given up halfway, leave their bytes behind.
            let old = traces[4].start(&pool, &mut cache, 290, 5);
            let failed = cache.admit(200, 5, 0).unwrap();
            let k = traces[3].keys(0, 0..200, cache.key_form());
            cache
                .prefill_layer(&pool, failed, 0, &k, traces[3].values(0, 0..200), &Observed::default())
                .unwrap();
            cache.discard(failed);
            cache.release(old).unwrap();
            let prompts = [1, 130, 64, 200];
            let seqs: Vec<_> = (0..4)
                .map(|i| traces[i].start(&pool, &mut cache, prompts[i], 101))
                .collect();
            for step in 0..100 {
                for layer in 0..2 {
                    for (i, seq) in seqs.iter().enumerate() {
                        let token = prompts[i] + step;
                        let k = traces[i].keys(layer, token..token + 1, cache.key_form());
                        cache
                            .append(*seq, layer, &k, traces[i].values(layer, token..token + 1))
                            .unwrap();
                    }
                    cache.after_step(&pool, layer, &seqs, &Watched::default()).unwrap();
                }
            }
            for (i, seq) in seqs.iter().enumerate() {
                assert!(dumps(&cache, *seq) == alone(i, prompts[i]), "{compressor} sequence {i}");
                cache.release(*seq).unwrap();
            }
            assert_eq!(cache.live_pages(), 0);
        }
    }
}

fn dumps(cache: &gpu_runner::cache::KvCache, seq: gpu_runner::cache::SeqId) -> Vec<gpu_runner::cache::dump::Dump> {
    let Shape { layers, kv_heads, .. } = cache.shape();
    (0..layers * kv_heads)
        .map(|i| cache.dump(seq, i / kv_heads, i % kv_heads))
        .collect()
}

#[test]
fn t14_t18_two_thousand_steps_stay_in_bounds_and_give_all_pages_back() {
    let pool = Pool::new(1);
    let trace = Trace::new(shape(1, 1, 2, 64), 2101, 9);
    for positions in ["slot", "original"] {
        let compressor = json!({"streaming_llm": {"sinks": 3, "recent": 90, "positions": positions}});
        let mut cache = cache(trace.shape, &compressor, Isa::detect());
        let seq = trace.start(&pool, &mut cache, 100, 2001);
        let full = trace.keys(0, 0..2101, cache.key_form());
        for token in 100..2100 {
            trace.step(&pool, &mut cache, seq, token, |cache, _| {
                assert_eq!(cache.store(seq, 0, 1).n, 94)
            });
            assert_eq!(cache.store(seq, 0, 1).n, 93);
            let kept = cache.positions(seq, 0, 1);
            let wanted: Vec<u32> = (0..3).chain(token as u32 - 89..token as u32 + 1).collect();
            assert_eq!(kept, wanted, "sinks and recent, ascending");
        }
        // Every kept pair is bit for bit that of the full cache.
        let dump = cache.dump(seq, 0, 1);
        for (i, position) in dump.positions.iter().enumerate() {
            let at = (*position as usize * 2 + 1) * 64;
            let of = |x: &[f16]| -> Vec<u16> { x[at..at + 64].iter().map(|x| x.to_bits()).collect() };
            assert_eq!(dump.k_f16[i * 64..][..64], of(&full));
            assert_eq!(dump.v_f16[i * 64..][..64], of(&trace.v[0]));
        }
        let stats = cache.release(seq).unwrap();
        assert_eq!(
            (stats.seen, stats.kept_max, stats.kept_min, stats.dropped),
            (2100, 93, 93, 2 * 2007)
        );
        assert_eq!((stats.selections, stats.first_drop), (2 * 2001, Some(0)));
        assert_eq!(cache.live_pages(), 0);
    }
}

#[test]
fn t15_t16_entries_seal_once_and_bytes_add_up_within_the_admitted_worst_case() {
    let pool = Pool::new(2);
    for compressor in matrix() {
        for (group, head_dim) in SHAPES {
            let shape = shape(2, group, 2, head_dim);
            let trace = Trace::new(shape, 460, 12);
            for (prompt, steps) in [(1, 0), (1, 200), (64, 64), (100, 70), (128, 130), (129, 300), (300, 85)] {
                let mut cache = cache(shape, &compressor, Isa::detect());
                cache.audit_seals();
                let worst = cache.worst_case_bytes(prompt, steps + 1);
                let seq = trace.start(&pool, &mut cache, prompt, steps + 1);
                for token in prompt..prompt + steps {
                    trace.step(&pool, &mut cache, seq, token, |_, _| ());
                }
                let payload: usize = dumps(&cache, seq).iter().map(|d| d.payload_bytes()).sum();
                for i in 0..4 {
                    assert!(
                        cache.store(seq, i / 2, i % 2).seals.iter().flatten().all(|n| *n <= 1),
                        "sealed twice"
                    );
                }
                let stats = cache.release(seq).unwrap();
                let what = format!("{compressor} d {head_dim} {prompt} + {steps}");
                assert_eq!(stats.bytes_ideal, payload, "{what}");
                assert!(
                    stats.bytes_peak >= stats.bytes_end && stats.bytes_end >= payload,
                    "{what}: {stats:?}"
                );
                assert!(
                    stats.bytes_peak <= worst,
                    "{what}: peak {} of {worst}",
                    stats.bytes_peak
                );
                assert_eq!(stats.bytes_f16, (prompt + steps) * 4 * 2 * 2 * head_dim, "{what}");
                assert_eq!(stats.seen, prompt + steps);
                assert_eq!(cache.live_pages(), 0);
            }
        }
    }
}

#[test]
fn t23_constant_and_zero_vectors_survive_every_method() {
    let pool = Pool::new(1);
    for compressor in matrix() {
        for value in [0.0, -0.0, 2.5, 65504.0] {
            let shape = shape(1, 2, 1, 64);
            let mut cache = cache(shape, &compressor, Isa::detect());
            let row = vec![f16::from_f32(value); 64];
            let seq = cache.admit(64, 101, 0).unwrap();
            cache
                .prefill_layer(&pool, seq, 0, &row.repeat(64), &row.repeat(64), &Observed::default())
                .unwrap();
            let q = Random(1).floats(128, 0.01);
            for _ in 0..100 {
                cache.append(seq, 0, &row, &row).unwrap();
                // All values are equal, so the mean is that value whatever the weights.
                let found = attend(&pool, Isa::detect(), &cache, seq, 0, &q);
                let error = f64::from(value).abs() * 1e-5;
                assert_close(&found, &[f64::from(value); 128], error, &compressor.to_string());
                cache.after_step(&pool, 0, &[seq], &Watched::default()).unwrap();
            }
            cache.release(seq).unwrap();
        }
    }
}

#[test]
fn t23_prompts_at_the_edge_of_the_budget_keep_what_they_must() {
    let trace = Trace::new(shape(1, 1, 1, 64), 80, 2);
    let pool = Pool::new(1);
    for (prompt, kept, dropped) in [(1, 1, 0), (63, 63, 0), (64, 64, 0), (65, 64, 1), (80, 64, 16)] {
        let mut cache = cache(
            trace.shape,
            &json!({"streaming_llm": {"sinks": 4, "recent": 60}}),
            Isa::detect(),
        );
        let seq = trace.start(&pool, &mut cache, prompt, 1);
        let stats = cache.release(seq).unwrap();
        assert_eq!(
            (stats.kept_max, stats.dropped, stats.first_drop),
            (kept, dropped, (dropped > 0).then_some(0))
        );
    }
}

#[test]
fn t13_a_compressor_that_did_not_act_fails_its_witness() {
    let compressor = resolve(&json!({"streaming_llm": {"sinks": 4, "recent": 60}}), None).unwrap();
    let shape = shape(1, 1, 1, 64);
    let layout = compressor.layout(0, shape);
    let had = expected(&compressor, shape, 0, 100, 120);
    assert_eq!(had.held, Held::Each(64));
    assert!(witness(&compressor, 0, &layout, had, &[(64, 0, 0)]).is_ok());
    let refused = |result: gpu_runner::Result<()>| match result {
        Err(Error::Compressor { code, .. }) => assert_eq!(code, "witness_failed"),
        other => panic!("{other:?}"),
    };
    refused(witness(&compressor, 0, &layout, had, &[(120, 0, 0)]));
    let kivi = resolve(&json!({"kivi": {}}), None).unwrap();
    let (layout, had) = (kivi.layout(0, shape), expected(&kivi, shape, 0, 300, 384));
    assert!(witness(&kivi, 0, &layout, had, &[(384, 384, 256)]).is_ok());
    refused(witness(&kivi, 0, &layout, had, &[(384, 256, 256)]));
}

#[test]
fn a_sequence_whose_layer_was_not_compressed_fails_on_release() {
    let pool = Pool::new(1);
    let trace = Trace::new(shape(2, 1, 1, 64), 90, 2);
    let mut cache = cache(
        trace.shape,
        &json!({"streaming_llm": {"sinks": 4, "recent": 60}}),
        Isa::detect(),
    );
    let seq = trace.start(&pool, &mut cache, 64, 3);
    for layer in 0..2 {
        let k = trace.keys(layer, 64..65, KeyForm::PreRope);
        cache.append(seq, layer, &k, trace.values(layer, 64..65)).unwrap();
    }
    cache.after_step(&pool, 0, &[seq], &Watched::default()).unwrap();
    match cache.release(seq) {
        Err(Error::Compressor { code, message }) => {
            assert_eq!(code, "witness_failed");
            assert!(message.contains("layer 1"), "{message}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(cache.live_pages(), 0);
}

#[test]
fn admission_reserves_the_worst_case_and_refuses_what_does_not_fit() {
    let pool = Pool::new(1);
    let shape = shape(2, 1, 2, 64);
    let resolved = resolve(&json!("none"), Some(shape)).unwrap();
    let rope = super::kv_trace::rope(64);
    // 64 tokens x 4 stores x 16 KiB pages: 32 page columns of 64 KiB in 2 MiB.
    let mut cache = gpu_runner::cache::KvCache::new(shape, &resolved, rope, Isa::detect(), 2 << 20).unwrap();
    assert_eq!(cache.worst_case_bytes(1000, 25), 16 * 65536);
    let first = cache.admit(1000, 25, 0).unwrap();
    let second = cache.admit(1024, 1, 0).unwrap();
    assert!(!cache.fits(1, 1));
    match cache.admit(1, 1, 0) {
        Err(Error::OutOfMemory { at, message }) => {
            assert_eq!(at, "host");
            assert!(
                message.contains("0.3 MB are wanted") || message.contains("0.1 MB"),
                "{message}"
            );
        }
        other => panic!("{other:?}"),
    }
    cache.discard(first);
    let trace = Trace::new(shape, 1024, 4);
    assert!(cache.fits(1024, 1) && !cache.fits(1024, 2));
    let third = trace.start(&pool, &mut cache, 1024, 1);
    cache.discard(second);
    cache.release(third).unwrap();
    assert_eq!(cache.limit_and_free_bytes(), (2 << 20, 2 << 20));
}

#[test]
fn classes_share_slabs_without_starving_each_other() {
    // kivi has pages and window pages; a cache that just fits stays usable over many sequences.
    let pool = Pool::new(1);
    let shape = shape(1, 1, 2, 64);
    let resolved = resolve(&json!({"kivi": {"bits": 4}}), Some(shape)).unwrap();
    let mut cache =
        gpu_runner::cache::KvCache::new(shape, &resolved, super::kv_trace::rope(64), Isa::detect(), 4 << 20).unwrap();
    let trace = Trace::new(shape, 700, 4);
    let mut running = Vec::new();
    for i in 0..40 {
        let prompt = 1 + i * 97 % 600;
        while !cache.fits(prompt, 100) || running.len() == 5 {
            cache.discard(running.remove(i % running.len()));
        }
        let seq = trace.start(&pool, &mut cache, prompt, 100);
        for token in prompt..prompt + 99 {
            trace.step(&pool, &mut cache, seq, token, |_, _| ());
        }
        running.push(seq);
    }
    running.into_iter().for_each(|seq| drop(cache.release(seq).unwrap()));
    assert_eq!((cache.live_pages(), cache.limit_and_free_bytes().1), (0, 4 << 20));
}

#[test]
fn the_bitmap_shows_the_kept_tokens() {
    let pool = Pool::new(1);
    let trace = Trace::new(shape(2, 1, 2, 64), 21, 4);
    let mut cache = cache(
        trace.shape,
        &json!({"streaming_llm": {"sinks": 2, "recent": 5}}),
        Isa::detect(),
    );
    let seq = trace.start(&pool, &mut cache, 20, 2);
    trace.step(&pool, &mut cache, seq, 20, |_, _| ());
    // 21 tokens: 0, 1 and 16..=20.
    assert_eq!(cache.kept_bitmap(seq), [0b11, 0, 0b1_1111].repeat(4));
    assert_eq!(cache.seen(seq), 21);
    cache.add_clamped(seq, 3);
    assert_eq!(cache.stats(seq).clamped, 3);
}

#[test]
fn pages_have_the_bytes_of_the_format_table() {
    let page = |compressor: Value, d: usize| {
        let shape = shape(1, 1, 1, d);
        let resolved = resolve(&compressor, Some(shape)).unwrap();
        let layout = resolved.layout(0, shape);
        let map = layout.page(d);
        (
            map.k_params - map.k_codes,
            map.v_codes - map.k_params,
            map.bytes,
            layout.page_tokens,
        )
    };
    assert_eq!(page(json!("none"), 128), (16_384, 0, 32_768, 64));
    assert_eq!(page(json!("none"), 64).2, 16_384);
    assert_eq!(page(json!({"kivi": {"bits": 4}}), 128), (4_096, 1_024, 10_240, 64));
    assert_eq!(page(json!({"kivi": {"bits": 4}}), 64).2, 5_120);
    assert_eq!(page(json!({"kivi": {"bits": 2}}), 128), (2_048, 1_024, 6_144, 64));
    assert_eq!(page(json!({"kivi": {"bits": 2}}), 64).2, 3_072);
    assert_eq!(
        page(json!({"kivi": {"bits": 2, "group": 64}}), 128),
        (2_048, 512, 5_120, 64)
    );
    assert_eq!(page(json!({"kivi": {"bits": 2, "group": 64}}), 64).2, 2_560);
    assert_eq!(
        page(json!({"kivi": {"bits": 2, "group": 128}}), 128),
        (4_096, 512, 9_216, 128)
    );
    let window = |r: usize| {
        let resolved = resolve(&json!({"kivi": {"window": r}}), None).unwrap();
        resolved.layout(0, shape(1, 1, 1, 64)).window_pages()
    };
    assert_eq!([window(32), window(64), window(128)], [2, 2, 3]);
    assert_eq!(Layout::f16().window_pages(), 0);
}
