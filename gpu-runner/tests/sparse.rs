//! Stores of gear and kvquant: schedules, bytes, seeds, what attention reads. The matrix over all methods is elsewhere; here
//! is what these two need on top. Over 500 lines, because both methods share the traces and the calibrated artefact of this file.

use std::sync::Arc;

use gpu_runner::backend::cpu::attention;
use gpu_runner::backend::cpu::{Isa, Pool};
use gpu_runner::cache::dump::Dump;
use gpu_runner::cache::{KvCache, Observed, SeqId};
use gpu_runner::calibrate::Artefact;
use gpu_runner::compress::{find, resolve, Params};
use gpu_runner::Error;
use half::f16;
use serde_json::{json, Value};

use super::calibrated::{artefact, UNMADE};
use super::fixtures::fixture;
use super::kv_trace::{assert_close, attend, bits, cache, isas, reference, rope, shape, softmax_sum, Random, Trace};

fn kvquant(mut params: Value) -> Value {
    params["calibration"] = json!(UNMADE);
    json!({"kvquant": params})
}

/// Settings of both that differ in layout.
fn matrix() -> Vec<Value> {
    vec![
        json!({"gear": {}}),
        json!({"gear": {"bits": 4, "block": 256, "rank_decode": 5}}),
        json!({"gear": {"bits": 8, "backbone": "kcvt", "rank_prefill": 3}}),
        json!({"gear": {"sparsity": 0, "block": 128}}),
        json!({"gear": {"rank_prefill": 0, "rank_decode": 0, "sparsity": 0.2}}),
        json!({"gear": {"block": 32, "group": 32, "rank_prefill": 64, "rank_decode": 64}}),
        json!({"gear": {"rank_prefill": 0, "bits": 4}}),
        json!({"gear": {"rank_decode": 0, "bits": 4}}),
        kvquant(json!({})),
        kvquant(json!({"bits": 2, "qnorm": true, "sparsity": 0.1})),
        kvquant(json!({"bits": 3, "sinks_fp": 0, "sparsity": 0})),
        kvquant(json!({"sinks_fp": 64})),
        kvquant(json!({"sinks_fp": 5})),
    ]
}

fn dumps(cache: &KvCache, seq: SeqId) -> Vec<Dump> {
    let shape = cache.shape();
    let stores = 0..shape.layers * shape.kv_heads;
    stores
        .map(|i| cache.dump(seq, i / shape.kv_heads, i % shape.kv_heads))
        .collect()
}

#[test]
fn gear_seals_on_the_schedule_of_the_design() {
    let f = fixture("gear_schedule");
    let pool = Pool::new(1);
    let trace = Trace::new(shape(1, 1, 1, 64), 400, 3);
    for (input, wanted) in f["inputs"]["rows"]
        .as_array()
        .unwrap()
        .iter()
        .zip(f["expected"]["rows"].as_array().unwrap())
    {
        let (prompt, steps) = (input[0].as_u64().unwrap() as usize, input[1].as_u64().unwrap() as usize);
        let mut cache = cache(
            trace.shape,
            &json!({"gear": {"block": f["inputs"]["block"]}}),
            Isa::detect(),
        );
        let seq = trace.start(&pool, &mut cache, prompt, steps + 1);
        (prompt..prompt + steps).for_each(|token| trace.step(&pool, &mut cache, seq, token, |_, _| ()));
        let store = cache.store(seq, 0, 0);
        assert_eq!(
            json!({"T": prompt, "step": steps, "compressed": store.k_paged, "window": store.n - store.k_paged,
                "blocks": store.sparse.factors.len()}),
            *wanted
        );
        cache.release(seq).unwrap();
    }
}

#[test]
fn bits_of_a_decode_block_are_those_of_the_design() {
    let f = fixture("gear_bits");
    let gear = find("gear").unwrap();
    for (i, case) in f["inputs"]["cases"].as_array().unwrap().iter().enumerate() {
        let params = json!({"bits": case["bits"], "group": case["group"], "block": case["n"], "rank_decode": case["rank"],
            "sparsity": case["sparsity"]});
        let params = Params::read(gear.spec(), params.as_object().unwrap())
            .unwrap()
            .with_defaults(gear.spec());
        let found = gear.bits(&params, case["d"].as_u64().unwrap() as usize);
        assert!((found.k - f["expected"]["k"][i].as_f64().unwrap()).abs() < 1e-6);
        assert!((found.v - f["expected"]["v"][i].as_f64().unwrap()).abs() < 1e-6);
        let d = case["d"].as_u64().unwrap() as usize;
        let page = gear.layout(&params, 0, shape(1, 1, 1, d)).bits(d);
        assert!(
            (page - found.mean()).abs() < 1e-9,
            "a full page has the registry's bits: {page}"
        );
    }
}

#[test]
fn t17_attention_reads_what_the_pages_hold_in_chunks_of_any_length() {
    let pool = Pool::new(2);
    for compressor in matrix() {
        for (group, head_dim) in [(3, 64), (7, 128)] {
            let shape = shape(1, group, 2, head_dim);
            let trace = Trace::new(shape, 350, 7);
            let mut cache = cache(shape, &compressor, Isa::detect());
            let seq = trace.start(&pool, &mut cache, 290, 61);
            let mut random = Random(3);
            for token in 290..350 {
                let q = random.floats(shape.q_heads * head_dim, 1.0);
                trace.step(&pool, &mut cache, seq, token, |cache, layer| {
                    if token % 5 > 0 {
                        return;
                    }
                    let wanted = reference(cache, seq, layer, &q);
                    for chunk in [1024, 64] {
                        let mut found = vec![f32::NAN; q.len()];
                        let isa = Isa::detect();
                        attention::decode(&pool, isa, cache, &[seq], layer, &q, chunk, &mut found, None);
                        let what = format!("{compressor} g {group} d {head_dim} token {token} chunk {chunk}");
                        assert_close(&found, &wanted, 2e-5, &what);
                    }
                });
            }
            cache.release(seq).unwrap();
        }
    }
}

#[test]
fn stores_and_attention_have_the_same_bits_on_every_isa_and_thread_count() {
    for compressor in matrix() {
        for head_dim in [64, 128] {
            let shape = shape(1, 3, 2, head_dim);
            let trace = Trace::new(shape, 400, 11);
            let q = Random(5).floats(shape.q_heads * head_dim, 1.0);
            let run = |isa, threads| {
                let pool = Pool::new(threads);
                let mut cache = cache(shape, &compressor, isa);
                let seq = trace.start(&pool, &mut cache, 300, 101);
                let mut out = Vec::new();
                for token in 300..390 {
                    trace.step(&pool, &mut cache, seq, token, |cache, layer| {
                        out = bits(&attend(&pool, isa, cache, seq, layer, &q));
                    });
                }
                (out, dumps(&cache, seq))
            };
            let scalar = run(Isa::Scalar, 1);
            for isa in isas() {
                for threads in [1, 3] {
                    assert!(
                        run(isa, threads) == scalar,
                        "{compressor} d {head_dim} on {isa:?} x {threads}"
                    );
                }
            }
        }
    }
}

#[test]
fn t15_t16_entries_seal_once_and_the_dump_has_the_bytes_of_the_formula() {
    let pool = Pool::new(2);
    for compressor in matrix() {
        for (group, head_dim) in [(3, 64), (4, 128)] {
            let shape = shape(2, group, 2, head_dim);
            let trace = Trace::new(shape, 460, 12);
            for (prompt, steps) in [(1, 0), (1, 200), (64, 64), (100, 70), (300, 85)] {
                let mut cache = cache(shape, &compressor, Isa::detect());
                cache.audit_seals();
                let worst = cache.worst_case_bytes(prompt, steps + 1);
                let seq = trace.start(&pool, &mut cache, prompt, steps + 1);
                (prompt..prompt + steps).for_each(|token| trace.step(&pool, &mut cache, seq, token, |_, _| ()));
                let payload: usize = dumps(&cache, seq).iter().map(Dump::payload_bytes).sum();
                for i in 0..4 {
                    let store = cache.store(seq, i / 2, i % 2);
                    let sealed = store.seals.iter().filter(|n| **n == [1, 1]).count();
                    assert_eq!(sealed, store.sparse.coded, "each coded entry once");
                    assert!(store.seals.iter().all(|n| matches!(n, [0, 0] | [1, 1])));
                }
                let stats = cache.release(seq).unwrap();
                let what = format!("{compressor} d {head_dim} {prompt} + {steps}: {stats:?}");
                assert_eq!(stats.bytes_ideal, payload, "{what}");
                assert!(
                    stats.bytes_peak >= stats.bytes_end && stats.bytes_end >= payload,
                    "{what}"
                );
                assert!(stats.bytes_peak <= worst, "{what}: worst {worst}");
                assert_eq!(cache.live_pages(), 0);
            }
        }
    }
}

/// The bits of the design's table of costs, plus what it leaves out: expected outliers of K are counted ones here.
#[test]
fn t16_stores_of_2048_tokens_take_at_most_two_percent_more_than_their_payload() {
    let pool = Pool::new(2);
    for compressor in [
        json!({"gear": {}}),
        json!({"gear": {"bits": 4}}),
        json!({"gear": {"bits": 4, "backbone": "kcvt"}}),
        json!({"gear": {"sparsity": 0}}),
        kvquant(json!({})),
        kvquant(json!({"bits": 2})),
        kvquant(json!({"bits": 3})),
    ] {
        for head_dim in [64, 128] {
            let shape = shape(1, 1, 2, head_dim);
            let trace = Trace::new(shape, 2048, 12);
            let mut cache = cache(shape, &compressor, Isa::detect());
            // Half as a prompt, half token by token.
            let seq = trace.start(&pool, &mut cache, 1024, 1025);
            (1024..2048).for_each(|token| trace.step(&pool, &mut cache, seq, token, |_, _| ()));
            let stats = cache.release(seq).unwrap();
            let more = stats.bytes_end as f64 / stats.bytes_ideal as f64;
            assert!((1.0..=1.02).contains(&more), "{compressor} d {head_dim}: {more}");
        }
    }
}

#[test]
fn t16_bits_of_a_long_prompt_are_those_of_the_design() {
    // Section 19: gear, 2 bits, a prompt block of 4096 tokens at rank 4.
    let pool = Pool::new(2);
    for (head_dim, wanted) in [(64, 4.328), (128, 3.578)] {
        let trace = Trace::new(shape(1, 1, 1, head_dim), 4096, 2);
        let mut cache = cache(trace.shape, &json!({"gear": {}}), Isa::detect());
        let seq = trace.start(&pool, &mut cache, 4096, 1);
        let stats = cache.release(seq).unwrap();
        let found = stats.bytes_ideal as f64 * 8.0 / (2 * 4096 * head_dim) as f64;
        assert!((found - wanted).abs() < 6e-4, "d {head_dim}: {found} bits");
    }
}

/// Mean squared error of attention's output against exact attention over the trace.
fn error(compressor: &Value, trace: &Trace, prompt: usize) -> f64 {
    let pool = Pool::new(2);
    let (d, shape) = (trace.shape.head_dim, trace.shape);
    let mut cache = cache(shape, compressor, Isa::detect());
    let seq = trace.start(&pool, &mut cache, prompt, 2);
    let exact = {
        let mut none = super::kv_trace::cache(shape, &json!("none"), Isa::detect());
        let seq = trace.start(&pool, &mut none, prompt, 2);
        none.dequantised(seq, 0, 0)
    };
    let mut random = Random(17);
    let mut sum = 0.0;
    for _ in 0..20 {
        let q = random.floats(d, 0.5);
        let found = attend(&pool, Isa::detect(), &cache, seq, 0, &q);
        let wide: Vec<f64> = q.iter().map(|x| f64::from(*x)).collect();
        let wanted = softmax_sum(&wide, &exact.0, &exact.1, d);
        sum += found
            .iter()
            .zip(&wanted)
            .map(|(a, b)| (f64::from(*a) - b).powi(2))
            .sum::<f64>();
    }
    sum
}

#[test]
fn t20_errors_fall_with_bits_and_with_the_correction_on() {
    let mut trace = Trace::new(shape(1, 1, 1, 64), 512, 6);
    // A pattern that tokens share, and rare large values: what the corrections are for.
    for (x, scale) in [(&mut trace.k[0], 1.5), (&mut trace.v[0], 1.0)] {
        let mut random = Random(8);
        let pattern = random.floats(64, scale);
        for row in x.chunks_exact_mut(64) {
            let weight = random.float(2.0);
            for (x, p) in row.iter_mut().zip(&pattern) {
                let mut value = x.to_f32() * 0.2 + weight * p;
                if random.float(1.0) > 0.99 {
                    value *= 8.0;
                }
                *x = f16::from_f32(value);
            }
        }
    }
    let of = |params: Value| error(&json!({"gear": params}), &trace, 512);
    let none = json!({"bits": 2, "sparsity": 0, "rank_prefill": 0});
    let (plain, sparse) = (of(none), of(json!({"bits": 2, "rank_prefill": 0})));
    let (ranked, both) = (of(json!({"bits": 2, "sparsity": 0})), of(json!({"bits": 2})));
    assert!(sparse < plain && ranked < plain, "{plain} {sparse} {ranked}");
    assert!(both < sparse && both < ranked, "{sparse} {ranked} {both}");
    let (four, eight) = (of(json!({"bits": 4})), of(json!({"bits": 8})));
    assert!(both > 4.0 * four && four > 4.0 * eight, "{both} {four} {eight}");
}

#[test]
fn t20_errors_of_kvquant_fall_with_bits() {
    let trace = Trace::new(shape(1, 1, 1, 64), 300, 6);
    // Keys before RoPE are dequantised before rotation, so compare rows of the store, not scores.
    let of = |bits: u8| {
        let mut cache = cache(trace.shape, &kvquant(json!({"bits": bits})), Isa::detect());
        let seq = trace.start(&Pool::new(1), &mut cache, 300, 1);
        let (k, v) = cache.dequantised(seq, 0, 0);
        let error =
            |found: Vec<f64>, x: &[f16]| -> f64 { found.iter().zip(x).map(|(a, b)| (a - b.to_f64()).powi(2)).sum() };
        (error(k, &trace.k[0]), error(v, &trace.v[0]))
    };
    let (two, three, four) = (of(2), of(3), of(4));
    assert!(
        two.0 > 3.0 * three.0 && three.0 > 3.0 * four.0,
        "{two:?} {three:?} {four:?}"
    );
    assert!(
        two.1 > 3.0 * three.1 && three.1 > 3.0 * four.1,
        "{two:?} {three:?} {four:?}"
    );
}

/// Nearest codebook value, outliers and sinks, written down once more from the design in f64.
#[test]
fn kvquant_stores_the_nearest_values_and_gives_outliers_and_sinks_back() {
    let (d, sinks) = (64, 5);
    let trace = Trace::new(shape(1, 1, 2, d), 150, 9);
    let made = artefact(trace.shape, 3, 0.01);
    let mut cache = cache(
        trace.shape,
        &kvquant(json!({"bits": 3, "sinks_fp": sinks})),
        Isa::detect(),
    );
    let pool = Pool::new(1);
    let seq = trace.start(&pool, &mut cache, 100, 51);
    (100..150).for_each(|token| trace.step(&pool, &mut cache, seq, token, |_, _| ()));
    let nearest = |book: &[f32], z: f64| -> f64 {
        let book = book.iter().map(|c| f64::from(*c));
        book.reduce(|best, c| if (c - z).abs() <= (best - z).abs() { c } else { best })
            .unwrap()
    };
    for head in 0..2 {
        let (k, v) = cache.dequantised(seq, 0, head);
        let mut outliers = 0;
        for token in 0..150 {
            let row = |x: &[f16]| -> Vec<f64> { x[(token * 2 + head) * d..][..d].iter().map(|x| x.to_f64()).collect() };
            let (x, y) = (row(&trace.k[0]), row(&trace.v[0]));
            let (found_k, found_v) = (&k[token * d..][..d], &v[token * d..][..d]);
            if token < sinks {
                assert_eq!((found_k, found_v), (&x[..], &y[..]));
                continue;
            }
            let tables = &made.layers[0];
            for c in 0..d {
                let (lo, hi) = (f64::from(tables.k.lo[head][c]), f64::from(tables.k.hi[head][c]));
                let (zero, range) = ((hi + lo) / 2.0, (hi - lo) / 2.0);
                if x[c] < lo || x[c] > hi {
                    outliers += 1;
                    assert!(
                        (found_k[c] - x[c]).abs() < 2e-3,
                        "outlier {} read as {}",
                        x[c],
                        found_k[c]
                    );
                } else {
                    let wanted = zero + range * nearest(&tables.k.codebook, (x[c] - zero) / range);
                    assert!(
                        (found_k[c] - wanted).abs() < 1e-5,
                        "{} as {}, not {wanted}",
                        x[c],
                        found_k[c]
                    );
                }
            }
            let mut order: Vec<usize> = (0..d).collect();
            order.sort_by(|a, b| y[*a].total_cmp(&y[*b]));
            let (lo, hi) = (y[order[1]], y[order[d - 2]]);
            let half = |x: f64| f16::from_f64(x).to_f64();
            let (zero, range) = (half((hi + lo) / 2.0), half((hi - lo) / 2.0));
            for (i, c) in order.iter().enumerate() {
                let error = if i == 0 || i == d - 1 {
                    found_v[*c] - y[*c]
                } else {
                    let z = ((y[*c] - zero) / range).clamp(-1.0, 1.0);
                    found_v[*c] - (zero + range * nearest(&tables.v.codebook, z))
                };
                assert!(error.abs() < 1e-3, "token {token} channel {c}: {error}");
            }
        }
        assert_eq!(cache.store(seq, 0, head).sparse.outliers, outliers);
        assert!(outliers > 0, "the bounds leave some outside");
    }
}

/// Two sealers that share no code: kivi's runs in vector registers.
#[test]
fn without_corrections_gear_stores_the_codes_and_parameters_of_kivi() {
    let pool = Pool::new(2);
    for (bits, group, head_dim) in [(2, 64, 64), (4, 32, 128), (8, 64, 128)] {
        let trace = Trace::new(shape(2, 1, 2, head_dim), 400, 21);
        let run = |compressor: Value| {
            let mut cache = cache(trace.shape, &compressor, Isa::detect());
            let seq = trace.start(&pool, &mut cache, 300, 101);
            (300..400).for_each(|token| trace.step(&pool, &mut cache, seq, token, |_, _| ()));
            dumps(&cache, seq)
        };
        let gear = json!({"bits": bits, "group": group, "sparsity": 0, "rank_prefill": 0, "rank_decode": 0});
        let kivi = json!({"bits": bits, "group": group, "window": 64, "v_flush": "block"});
        assert!(run(json!({"gear": gear})) == run(json!({"kivi": kivi})), "{bits} bits");
    }
}

#[test]
fn t11_factors_follow_the_methods_seed_and_the_store_alone() {
    let pool = Pool::new(1);
    let trace = Trace::new(shape(2, 1, 2, 64), 200, 4);
    let run = |seed: u64, sample: u64| {
        let mut cache = cache(trace.shape, &json!({"gear": {"seed": seed, "loop": 1}}), Isa::detect());
        let seq = cache.admit(128, 1, sample).unwrap();
        for layer in 0..2 {
            let k = trace.keys(layer, 0..128, cache.key_form());
            let v = trace.values(layer, 0..128);
            cache
                .prefill_layer(&pool, seq, layer, &k, v, &Observed::default())
                .unwrap();
        }
        dumps(&cache, seq)
    };
    let first = run(0, 1);
    assert!(first == run(0, 2), "the sample's seed changes nothing");
    let other = run(1, 1);
    for (a, b) in first.iter().zip(&other) {
        assert!(a.k.factors != b.k.factors && a.v.factors != b.v.factors);
        assert!(a.k.codes == b.k.codes && a.k.outliers == b.k.outliers && a.v.codes == b.v.codes);
    }
}

/// A cache whose pool is `slabs` slabs of 2 MiB, for a kvquant whose every key is an outlier.
fn cramped(slabs: usize) -> (KvCache, Trace) {
    let trace = Trace::new(shape(1, 1, 2, 64), 8100, 4);
    let config = kvquant(json!({"sparsity": 0}));
    let mut resolved = resolve(&config, Some(trace.shape)).unwrap();
    let mut made: Artefact = artefact(trace.shape, 4, 0.0);
    let k = &mut made.layers[0].k;
    k.lo.iter_mut()
        .chain(&mut k.hi)
        .flatten()
        .for_each(|bound| *bound = 0.0);
    resolved.calibration = Some(Arc::new(made));
    (
        KvCache::new(trace.shape, &resolved, rope(64), Isa::detect(), slabs << 21).unwrap(),
        trace,
    )
}

#[test]
fn a_sample_whose_outliers_find_no_room_fails_alone_and_gives_everything_back() {
    let pool = Pool::new(1);
    // A slab each for window, pages, head and stream: more than one slab of outliers is needed.
    let (mut cache, trace) = cramped(4);
    let free = cache.limit_and_free_bytes();
    let small = trace.start(&pool, &mut cache, 100, 5);
    let large = trace.start(&pool, &mut cache, 8000, 5);
    assert!(cache.overflow(small).is_none());
    match cache.overflow(large) {
        Some(Error::OutOfMemory { message, .. }) => assert!(message.contains("outliers")),
        other => panic!("{other:?}"),
    }
    // The neighbour goes on, and reads its own pages.
    let q = Random(1).floats(128, 1.0);
    trace.step(&pool, &mut cache, small, 100, |cache, _| {
        assert_close(
            &attend(&pool, Isa::detect(), cache, small, 0, &q),
            &reference(cache, small, 0, &q),
            2e-5,
            "neighbour",
        );
    });
    cache.discard(large);
    cache.release(small).unwrap();
    assert_eq!((cache.live_pages(), cache.limit_and_free_bytes()), (0, free));
    // With one slab more the same sample fits, beyond what it reserved.
    let (mut cache, trace) = cramped(6);
    let large = trace.start(&pool, &mut cache, 8000, 5);
    assert!(cache.overflow(large).is_none());
    assert_eq!(cache.store(large, 0, 1).sparse.outliers, 7999 * 64);
    cache.release(large).unwrap();
}

#[test]
fn parameters_that_do_not_fit_are_refused_by_code() {
    let code = |request: Value, d: usize| match resolve(&request, Some(shape(1, 1, 1, d))) {
        Err(Error::Compressor { code, message }) => {
            assert!(message.len() > 20, "a sentence, not {message:?}");
            code
        }
        other => panic!("{request}: {other:?}"),
    };
    assert_eq!(code(json!({"gear": {"block": 32}}), 64), "param_conflict");
    assert_eq!(
        code(json!({"gear": {"group": 128, "block": 128}}), 64),
        "head_dim_unsupported"
    );
    assert_eq!(code(json!({"gear": {"bits": 3}}), 64), "param_range");
    assert_eq!(code(json!({"gear": {"sparsity": 0.3}}), 64), "param_range");
    assert_eq!(code(json!({"kvquant": {}}), 64), "calibration_missing");
    assert_eq!(code(json!({"kvquant": {"calibration": "abc"}}), 64), "param_range");
    assert_eq!(
        code(json!({"compose": [{"snapkv": {}}, {"gear": {}}]}), 64),
        "compose_unsupported"
    );
    // The group is not read without the backbone that has groups, and then it is not shown.
    let kcvt = resolve(
        &json!({"gear": {"backbone": "kcvt", "group": 128}}),
        Some(shape(1, 1, 1, 64)),
    )
    .unwrap();
    assert!(kcvt.effective["gear"].get("group").is_none());
}
