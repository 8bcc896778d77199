//! Attention against f64 over the dequantised cache (against f16 attention a wrong scale could hide), and its bits.

use gpu_runner::backend::cpu::attention;
use gpu_runner::backend::cpu::{Isa, Pool};
use serde_json::{json, Value};

use super::kv_trace::{assert_close, attend, bits, cache, isas, reference, shape, softmax_sum, Random, Trace};

/// The registry's methods in settings that act on 330 tokens.
fn matrix() -> Vec<Value> {
    vec![
        json!("none"),
        json!({"kivi": {"bits": 2}}),
        json!({"kivi": {"bits": 4, "window": 32}}),
        json!({"kivi": {"bits": 8, "group": 64, "window": 64}}),
        json!({"kivi": {"k_bits": 16, "v_bits": 2}}),
        json!({"kivi": {"k_bits": 4, "v_bits": 16, "v_flush": "block"}}),
        json!({"streaming_llm": {"sinks": 4, "recent": 100}}),
        json!({"streaming_llm": {"sinks": 4, "recent": 100, "positions": "original"}}),
        json!({"streaming_llm": {"sinks": 0, "recent": 64, "evict_at": "prefill"}}),
    ]
}

#[test]
fn decode_attends_to_what_the_cache_holds() {
    let pool = Pool::new(2);
    for compressor in matrix() {
        for (group, head_dim) in [(1, 64), (3, 64), (8, 64), (4, 128), (7, 128)] {
            let shape = shape(1, group, 2, head_dim);
            let trace = Trace::new(shape, 330, 7);
            let mut cache = cache(shape, &compressor, Isa::detect());
            let seq = trace.start(&pool, &mut cache, 300, 31);
            let mut random = Random(3);
            for token in 300..330 {
                let q = random.floats(shape.q_heads * head_dim, 1.0);
                trace.step(&pool, &mut cache, seq, token, |cache, layer| {
                    let found = attend(&pool, Isa::detect(), cache, seq, layer, &q);
                    let wanted = reference(cache, seq, layer, &q);
                    assert_close(
                        &found,
                        &wanted,
                        2e-5,
                        &format!("{compressor} g {group} d {head_dim} token {token}"),
                    );
                });
            }
        }
    }
}

#[test]
fn decode_has_the_same_bits_on_every_isa_and_thread_count() {
    for compressor in matrix() {
        for head_dim in [64, 128] {
            let shape = shape(1, 3, 2, head_dim);
            let trace = Trace::new(shape, 1100, 11);
            let q = Random(5).floats(shape.q_heads * head_dim, 1.0);
            let run = |isa, threads| {
                let pool = Pool::new(threads);
                let mut cache = cache(shape, &compressor, isa);
                let seq = trace.start(&pool, &mut cache, 1099, 2);
                let mut out = Vec::new();
                trace.step(&pool, &mut cache, seq, 1099, |cache, layer| {
                    out = bits(&attend(&pool, isa, cache, seq, layer, &q));
                });
                (out, cache.dump(seq, 0, 1))
            };
            let scalar = run(Isa::Scalar, 1);
            for isa in isas() {
                for threads in [1, 2, 3] {
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
fn a_row_of_a_ragged_batch_has_the_bits_of_the_row_alone() {
    let shape = shape(1, 3, 3, 64);
    let isa = Isa::detect();
    for compressor in matrix() {
        let pool = Pool::new(2);
        let mut cache = cache(shape, &compressor, isa);
        let trace = Trace::new(shape, 1200, 23);
        let lengths = [1, 17, 64, 1100, 300, 129, 1024, 90];
        let seqs: Vec<_> = lengths.iter().map(|n| trace.start(&pool, &mut cache, *n, 1)).collect();
        let q = Random(9).floats(lengths.len() * shape.q_heads * 64, 1.0);
        let mut together = vec![0.0; q.len()];
        attention::decode(&pool, isa, &cache, &seqs, 0, &q, attention::CHUNK, &mut together, None);
        let width = shape.q_heads * 64;
        for (i, seq) in seqs.iter().enumerate() {
            let alone = attend(&pool, isa, &cache, *seq, 0, &q[i * width..(i + 1) * width]);
            assert_eq!(
                bits(&alone),
                bits(&together[i * width..(i + 1) * width]),
                "{compressor} row {i}"
            );
        }
    }
}

#[test]
fn prefill_is_exact_causal_attention() {
    let pool = Pool::new(2);
    for (group, head_dim, tokens) in [(1, 64, 1), (3, 64, 333), (4, 128, 200), (7, 64, 130), (8, 128, 129)] {
        let shape = shape(1, group, 2, head_dim);
        let trace = Trace::new(shape, tokens, 31);
        let width = shape.q_heads * head_dim;
        let q = Random(2).floats(tokens * width, 1.0);
        let mut out = vec![f32::NAN; q.len()];
        attention::prefill(
            &pool,
            Isa::detect(),
            shape,
            0..tokens,
            &q,
            &trace.k[0],
            &trace.v[0],
            &mut out,
            None,
        );
        for row in [0, tokens / 2, tokens - 1] {
            for h in 0..shape.q_heads {
                let at = row * width + h * head_dim;
                let column = |x: &[half::f16]| -> Vec<f64> {
                    let rows = x.chunks_exact(2 * head_dim).take(row + 1);
                    rows.flat_map(|r| r[h / group * head_dim..][..head_dim].iter().map(|v| v.to_f64()))
                        .collect()
                };
                let q: Vec<f64> = q[at..at + head_dim].iter().map(|x| f64::from(*x)).collect();
                let wanted = softmax_sum(&q, &column(&trace.k[0]), &column(&trace.v[0]), head_dim);
                assert_close(
                    &out[at..at + head_dim],
                    &wanted,
                    2e-5,
                    &format!("g {group} d {head_dim} row {row}"),
                );
            }
        }
    }
}

#[test]
fn prefill_has_the_same_bits_in_any_chunks_on_every_isa_and_thread_count() {
    for (group, head_dim) in [(3, 64), (4, 128)] {
        let shape = shape(1, group, 2, head_dim);
        let tokens = 330;
        let trace = Trace::new(shape, tokens, 41);
        let width = shape.q_heads * head_dim;
        let q = Random(4).floats(tokens * width, 1.0);
        let run = |isa, threads, chunk: usize| {
            let pool = Pool::new(threads);
            let mut out = vec![f32::NAN; q.len()];
            for first in (0..tokens).step_by(chunk) {
                let end = tokens.min(first + chunk);
                let rows = first * width..end * width;
                let kv = end * shape.kv_heads * head_dim;
                let (k, v) = (&trace.k[0][..kv], &trace.v[0][..kv]);
                attention::prefill(
                    &pool,
                    isa,
                    shape,
                    first..end,
                    &q[rows.clone()],
                    k,
                    v,
                    &mut out[rows],
                    None,
                );
            }
            bits(&out)
        };
        let whole = run(Isa::Scalar, 1, tokens);
        for isa in isas() {
            for (threads, chunk) in [(1, tokens), (2, 64), (2, 256), (3, tokens)] {
                assert!(
                    run(isa, threads, chunk) == whole,
                    "d {head_dim} {isa:?} x {threads}, chunks of {chunk}"
                );
            }
        }
    }
}

#[test]
fn a_value_that_is_not_finite_is_reported_for_its_row_alone() {
    let (pool, isa) = (Pool::new(1), Isa::detect());
    let shape = shape(1, 3, 2, 64);
    let trace = Trace::new(shape, 50, 1);
    let mut cache = cache(shape, &json!("none"), isa);
    let seqs = [
        trace.start(&pool, &mut cache, 50, 1),
        trace.start(&pool, &mut cache, 20, 1),
    ];
    let mut q = Random(1).floats(2 * shape.q_heads * 64, 1.0);
    q[shape.q_heads * 64 + 5] = f32::NAN;
    let mut out = vec![0.0; q.len()];
    assert_eq!(
        attention::decode(&pool, isa, &cache, &seqs, 0, &q, 1024, &mut out, None),
        vec![1]
    );
}
