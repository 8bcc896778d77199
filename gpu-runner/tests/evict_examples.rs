//! The design's numeric examples of h2o, tova and selection, on the kernels and the cache themselves. Keys are unit vectors and
//! queries the logarithms of the wanted weights, so that softmax gives exactly the matrix of the example.

use gpu_runner::backend::cpu::attention::{self, StepWeights, CHUNK};
use gpu_runner::backend::cpu::{Isa, Pool};
use gpu_runner::cache::{Observed, Watched};
use gpu_runner::compress::select::{select, Rule};
use gpu_runner::compress::{find, h2o, resolve, HeadView, Rows, View};
use half::f16;
use serde_json::{json, Value};

use super::evict_scores::Plain;
use super::fixtures::{fixture, same};
use super::kv_trace::{cache, isas, shape};

const D: usize = 64;

fn floats(value: &Value) -> Vec<f32> {
    let all = value.as_array().unwrap();
    all.iter().map(|x| x.as_f64().unwrap() as f32).collect()
}

fn positions(value: &Value) -> Vec<u32> {
    let all = value.as_array().unwrap();
    all.iter().map(|x| x.as_u64().unwrap() as u32).collect()
}

fn count(value: &Value) -> usize {
    value.as_u64().unwrap() as usize
}

fn close(found: &[f32], wanted: &Value, what: &str) {
    assert!(same(&json!(found), wanted, 1e-6), "{what}: {found:?}, not {wanted}");
}

/// Keys of n tokens [n, D]: token j is the unit vector j.
fn unit_keys(n: usize) -> Vec<f16> {
    (0..n * D).map(|i| f16::from_f32(f32::from(i % D == i / D))).collect()
}

/// The query that gives the tokens these weights: scores are divided by sqrt(D).
fn query(weights: impl Iterator<Item = (usize, f32)>) -> Vec<f32> {
    let mut q = vec![0.0; D];
    weights.for_each(|(token, w)| q[token] = w.ln() * (D as f32).sqrt());
    q
}

/// Column sums of causal attention with the rows `a` [query head][row], a mean over the heads.
fn column_sums(isa: Isa, a: &[Vec<Vec<f32>>]) -> Vec<f32> {
    let (pool, n, shape) = (Pool::new(2), a[0].len(), shape(1, a.len(), 1, D));
    let q: Vec<f32> = (0..n)
        .flat_map(|row| {
            a.iter()
                .flat_map(move |head| query(head[row].iter().copied().enumerate()))
        })
        .collect();
    let (k, mut out, mut lse) = (unit_keys(n), vec![0.0; q.len()], vec![0.0; n * a.len()]);
    attention::prefill(&pool, isa, shape, 0..n, &q, &k, &k, &mut out, Some(&mut lse));
    let mut sums = vec![0.0; n];
    attention::column_sums(&pool, isa, shape, 0..n, &q, &k, &lse, &mut sums);
    sums
}

fn matrix(value: &Value) -> Vec<Vec<f32>> {
    value.as_array().unwrap().iter().map(floats).collect()
}

fn kept(budget: usize, recent: usize, scores: &[f32]) -> Vec<usize> {
    let positions: Vec<u32> = (0..scores.len() as u32).collect();
    let rule = Rule {
        budget,
        sinks: 0,
        recent,
    };
    select(rule, &positions, scores).unwrap()
}

#[test]
fn selections_keep_what_the_design_keeps() {
    let fixture = fixture("select_cases");
    let cases = fixture["inputs"]["cases"].as_array().unwrap();
    for (case, wanted) in cases.iter().zip(fixture["expected"]["kept"].as_array().unwrap()) {
        let (positions, scores) = (positions(&case["positions"]), floats(&case["score"]));
        let rule = Rule {
            budget: count(&case["budget"]),
            sinks: count(&case["sinks"]),
            recent: count(&case["recent"]),
        };
        let stays = select(rule, &positions, &scores).unwrap();
        let stays: Vec<u32> = stays.into_iter().map(|i| positions[i]).collect();
        assert_eq!(json!(stays), *wanted, "{case}");
    }
}

#[test]
fn a_prompts_column_sums_are_those_of_the_full_matrix() {
    let fixture = fixture("h2o_prefill");
    for isa in isas() {
        let sums = column_sums(isa, &[matrix(&fixture["inputs"]["A"])]);
        close(&sums, &fixture["expected"]["column_sum"], "sums");
        let visible = h2o::visible(&sums, &[0, 1, 2, 3, 4], 5);
        close(&visible, &fixture["expected"]["visible_mean"], "means");
        for (i, case) in fixture["inputs"]["cases"].as_array().unwrap().iter().enumerate() {
            let stays = kept(count(&case["budget"]), count(&case["recent"]), &sums);
            assert_eq!(json!(stays), fixture["expected"]["kept"][i], "{case}");
        }
    }
}

#[test]
fn column_sums_are_a_mean_over_the_query_heads_of_a_group() {
    let fixture = fixture("h2o_gqa");
    let heads: Vec<Vec<Vec<f32>>> = fixture["inputs"]["A_per_query_head"]
        .as_array()
        .unwrap()
        .iter()
        .map(matrix)
        .collect();
    for isa in isas() {
        for (head, wanted) in heads
            .iter()
            .zip(fixture["expected"]["column_sum_per_head"].as_array().unwrap())
        {
            close(&column_sums(isa, std::slice::from_ref(head)), wanted, "one head");
        }
        let sums = column_sums(isa, &heads);
        close(&sums, &fixture["expected"]["reduced"], "the group");
        let stays = kept(
            count(&fixture["inputs"]["budget"]),
            count(&fixture["inputs"]["recent"]),
            &sums,
        );
        assert_eq!(json!(stays), fixture["expected"]["kept"]);
    }
}

#[test]
fn a_decode_step_adds_its_weights_and_drops_the_least() {
    let (fixture, prompt) = (fixture("h2o_step"), fixture("h2o_prefill"));
    let inputs = &fixture["inputs"];
    let compressor = json!({"h2o": {"budget": inputs["budget"], "recent": inputs["recent"]}});
    let pool = Pool::new(1);
    for isa in isas() {
        let mut cache = cache(shape(1, 1, 1, D), &compressor, isa);
        let seq = cache.admit(5, 2, 0).unwrap();
        let keys = unit_keys(6);
        let observed = Observed {
            sums: floats(&prompt["expected"]["column_sum"]),
            ..Observed::default()
        };
        cache
            .prefill_layer(&pool, seq, 0, &keys[..5 * D], &keys[..5 * D], &observed)
            .unwrap();
        assert_eq!(json!(cache.positions(seq, 0, 0)), inputs["positions"]);
        close(&cache.store(seq, 0, 0).sums, &inputs["score"], "after the prompt");
        cache.append(seq, 0, &keys[5 * D..], &keys[5 * D..]).unwrap();
        let held = cache.positions(seq, 0, 0).into_iter().map(|p| p as usize);
        let q = query(held.zip(floats(&inputs["probabilities"])));
        let (mut out, mut weights) = (vec![0.0; D], StepWeights::default());
        attention::decode(&pool, isa, &cache, &[seq], 0, &q, CHUNK, &mut out, Some(&mut weights));
        close(weights.of(0, 0), &inputs["probabilities"], "weights");
        let watched = Watched {
            queries: &q,
            weights: Some(&weights),
        };
        cache.after_step(&pool, 0, &[seq], &watched).unwrap();
        let (store, wanted) = (cache.store(seq, 0, 0), &fixture["expected"]);
        close(&store.sums, &wanted["score_after_add"], "after the step");
        assert_eq!(json!(cache.positions(seq, 0, 0)), wanted["kept"]);
        // The place of the dropped entry waits for the next token.
        let left: Vec<f32> = (0..4)
            .filter(|p| Some(*p) != store.hole)
            .map(|p| store.sums[p])
            .collect();
        close(&left, &wanted["score_kept"], "of what is kept");
    }
}

#[test]
fn tova_ranks_by_all_heads_of_a_layer_or_by_each_group() {
    let fixture = fixture("tova_heads");
    let weights = matrix(&fixture["inputs"]["last_query_weights_per_head"]);
    let (kv_heads, n) = (count(&fixture["inputs"]["kv_heads"]), weights[0].len());
    let group = weights.len() / kv_heads;
    let all: Vec<u32> = (0..n as u32).collect();
    let of_group: Vec<Vec<f32>> = weights.chunks_exact(group).map(|w| w.concat()).collect();
    let scores = |heads: &str| {
        let resolved = resolve(&json!({"tova": {"heads": heads, "budget": 2}}), None).unwrap();
        let view = View {
            shape: shape(1, group, kv_heads, D),
            layer: 0,
            seed: 0,
            seen: n,
            heads: of_group
                .iter()
                .map(|weights| HeadView {
                    positions: &all,
                    keys: Rows::None,
                    values: Rows::None,
                    sums: &[],
                    weights,
                })
                .collect(),
            queries: &[],
            kernels: &Plain,
        };
        find("tova").unwrap().score(&resolved.storer.params, &view)
    };
    let (budget, wanted) = (count(&fixture["inputs"]["budget"]), &fixture["expected"]);
    let layer = scores("layer");
    assert_eq!(layer.len(), 1, "one set a layer");
    close(&layer[0], &wanted["layer_mean"], "the layer");
    assert_eq!(json!(kept(budget, 0, &layer[0])), wanted["layer_kept"]);
    for (head, of_head) in scores("kv").iter().enumerate() {
        close(of_head, &wanted["kv_mean"][head], "a kv head");
        assert_eq!(json!(kept(budget, 0, of_head)), wanted["kv_kept"][head]);
    }
}
