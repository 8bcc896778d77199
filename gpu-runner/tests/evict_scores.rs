//! The design's numeric examples for scores, budgets and capacities of evictors, on their pure functions.

use gpu_runner::compress::score::capacity::{capacities, counts, normalised};
use gpu_runner::compress::score::group::Reduce;
use gpu_runner::compress::score::pool::Pooling;
use gpu_runner::compress::score::pyramid::{Pyramid, Rounding};
use gpu_runner::compress::score::window::Window;
use gpu_runner::compress::score::{redundancy, unit};
use gpu_runner::compress::{h2o, keydiff, r_kv, random, Kernels, Rows};
use serde_json::Value;

use super::fixtures::fixture;

/// Products and softmaxes in f64, one after the other.
pub struct Plain;

impl Kernels for Plain {
    fn dots(&self, q: &[f32], rows: &Rows<'_>, n: usize, scale: f32, out: &mut [f32]) {
        let d = q.len() / (out.len() / n);
        let mut row = vec![0.0; d];
        for j in 0..n {
            rows.row(j, &mut row);
            for (i, q) in q.chunks_exact(d).enumerate() {
                let dot: f64 = q.iter().zip(&row).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
                out[i * n + j] = (dot * f64::from(scale)) as f32;
            }
        }
    }

    fn softmax(&self, rows: &mut [f32], n: usize) {
        for row in rows.chunks_exact_mut(n) {
            let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let total: f64 = row.iter().map(|x| f64::from(x - max).exp()).sum();
            row.iter_mut()
                .for_each(|x| *x = (f64::from(*x - max).exp() / total) as f32);
        }
    }
}

fn floats(value: &Value) -> Vec<f32> {
    let all = value.as_array().unwrap();
    all.iter().map(|x| x.as_f64().unwrap() as f32).collect()
}

fn softmax(x: &[f32]) -> Vec<f32> {
    let mut x = x.to_vec();
    let n = x.len();
    Plain.softmax(&mut x, n);
    x
}

fn rows(value: &Value) -> Vec<Vec<f32>> {
    value.as_array().unwrap().iter().map(floats).collect()
}

fn whole(value: &Value) -> Vec<usize> {
    let all = value.as_array().unwrap();
    all.iter().map(|x| x.as_u64().unwrap() as usize).collect()
}

fn close(found: &[f32], wanted: &Value, tolerance: f64) {
    let wanted = wanted.as_array().unwrap();
    assert_eq!(found.len(), wanted.len());
    for (a, b) in found.iter().zip(wanted) {
        assert!(
            (f64::from(*a) - b.as_f64().unwrap()).abs() <= tolerance,
            "{found:?}, not {wanted:?}"
        );
    }
}

/// The `keep` best columns, later ones first among equals, ascending: the rule of selection in its plainest form.
fn best(scores: &[f32], keep: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*b].partial_cmp(&scores[*a]).unwrap().then(b.cmp(a)));
    let mut kept = order[..keep].to_vec();
    kept.sort_unstable();
    kept
}

#[test]
fn pooling_cuts_its_window_at_the_ends_and_avg_still_divides_by_the_kernel() {
    let fixture = fixture("pool_k3");
    let s = floats(&fixture["inputs"]["s"]);
    for (name, pooling) in [("max", Pooling::Max), ("avg", Pooling::Avg)] {
        close(&pooling.apply(&s, 3), &fixture["expected"][name], 1e-6);
    }
    assert_eq!(Pooling::None.apply(&s, 7), s);
    assert_eq!(Pooling::Max.apply(&s, 63), vec![0.55; 6]);
    assert_eq!(Pooling::Max.apply(&[-3.0, -1.0, -2.0], 3), [-1.0, -1.0, -1.0]);
}

#[test]
fn snapkv_pools_sums_and_breaks_ties_towards_the_later_token() {
    let fixture = fixture("snapkv_small");
    let weights = rows(&fixture["inputs"]["window_weights"]);
    let sums: Vec<f32> = (0..6).map(|j| weights[0][j] + weights[1][j]).collect();
    close(&sums, &fixture["expected"]["sum"], 1e-6);
    for (case, kept) in fixture["inputs"]["cases"]
        .as_array()
        .unwrap()
        .iter()
        .zip(fixture["expected"]["kept"].as_array().unwrap())
    {
        let pooled = Pooling::named(case[0].as_str().unwrap()).apply(&sums, 3);
        let mut found = best(&pooled, case[1].as_u64().unwrap() as usize - 2);
        found.extend([6, 7]);
        assert_eq!(found, whole(kept), "{case}");
    }
}

#[test]
fn the_place_of_the_reduction_over_a_group_matters_for_means() {
    let fixture = fixture("snapkv_gqa");
    let heads = rows(&fixture["inputs"]["window_sum_per_query_head"]);
    for (word, reduce) in [("mean", Reduce::Mean), ("max", Reduce::Max)] {
        let pool = |s: &[f32]| Pooling::Max.apply(s, 3);
        let weights = pool(&reduce.rows(&heads.concat(), 6));
        let pooled = reduce.rows(&[pool(&heads[0]), pool(&heads[1])].concat(), 6);
        for (at, score) in [("weights", weights), ("pooled", pooled)] {
            let wanted = &fixture["expected"][format!("{word}@{at}")];
            close(&score, &wanted["score"], 1e-6);
            for (keep, kept) in whole(&fixture["inputs"]["keep"])
                .into_iter()
                .zip(wanted["kept"].as_array().unwrap())
            {
                assert_eq!(best(&score, keep), whole(kept), "{word}@{at}");
            }
        }
    }
}

/// The fixture's softmax covers its four keys alone, as a window that does not see its own entry.
#[test]
fn logits_can_be_reduced_before_the_softmax() {
    let fixture = fixture("snapkv_gqa_logits");
    let queries = rows(&fixture["inputs"]["q_per_head"]).concat();
    let mut keys = rows(&fixture["inputs"]["k"]).concat();
    keys.extend([9.0, 9.0]);
    let keys = Rows::Wide(keys);
    let window = Window {
        kernels: &Plain,
        queries,
        group: 2,
        keys: &keys,
        n: 5,
        d: 2,
        itself: false,
    };
    let wanted = &fixture["expected"];
    close(&Reduce::Mean.rows(&window.sums(), 4), &wanted["mean@weights"], 1e-6);
    close(&window.sums_reduced(Reduce::Max), &wanted["max@logits"], 1e-6);
    close(&window.sums_reduced(Reduce::Mean), &wanted["mean@logits"], 1e-6);
}

#[test]
fn a_group_of_equal_query_heads_scores_as_one_head() {
    let mut random = super::kv_trace::Random(4);
    let (w, n, d) = (3, 40, 8);
    let one = random.floats(w * d, 1.0);
    let keys = Rows::Wide(random.floats(n * d, 1.0));
    let over = |queries, group| Window {
        kernels: &Plain,
        queries,
        group,
        keys: &keys,
        n,
        d,
        itself: true,
    };
    let (one, four) = (over(one.clone(), 1), over(one.repeat(4), 4));
    for reduce in [Reduce::Mean, Reduce::Max] {
        assert_eq!(reduce.rows(&four.sums(), n - w), one.sums());
        assert_eq!(four.sums_reduced(reduce), one.sums());
    }
}

#[test]
fn pyramid_budgets_are_those_of_the_design() {
    for (name, rounding) in [
        ("pyramid_published", Rounding::Published),
        ("pyramid_exact", Rounding::Exact),
    ] {
        let fixture = fixture(name);
        let mut checked = 0;
        for row in fixture["expected"]["rows"].as_array().unwrap() {
            let field = |name: &str| row[name].as_u64().map(|x| x as usize);
            let pyramid = Pyramid {
                layers: 32,
                budget: field("C").unwrap(),
                window: 8,
                beta: 20,
                rounding,
            };
            let budgets: Vec<usize> = (0..32).map(|l| pyramid.layer(l, field("T").unwrap())).collect();
            match row["branch"].as_str().unwrap() {
                "pyramid" => {
                    assert_eq!(
                        (Some(budgets[0]), Some(budgets[31])),
                        (field("first"), field("last")),
                        "{row}"
                    );
                    assert_eq!(Some(budgets.iter().sum()), field("sum"), "{row}");
                    assert!(row["budgets"].is_null() || budgets == whole(&row["budgets"]), "{row}");
                }
                "uniform" => assert_eq!(budgets, vec![field("each").unwrap(); 32], "{row}"),
                // Nothing is due, so nobody asks.
                other => assert_eq!(other, "no-op"),
            }
            checked += 1;
        }
        assert_eq!(checked, 7);
    }
}

#[test]
fn exact_pyramids_sum_to_the_flat_budget_and_never_exceed_the_prompt() {
    for layers in [1, 2, 3, 30, 32] {
        for beta in [1, 2, 20, 1000] {
            for (budget, window, prompt) in [(9, 8, 10), (64, 8, 65), (64, 8, 120), (128, 32, 193), (1024, 8, 9000)] {
                let pyramid = Pyramid {
                    layers,
                    budget,
                    window,
                    beta,
                    rounding: Rounding::Exact,
                };
                let budgets: Vec<usize> = (0..layers).map(|l| pyramid.layer(l, prompt)).collect();
                assert_eq!(budgets.iter().sum::<usize>(), layers * (budget - window), "{pyramid:?}");
                assert!(budgets.iter().all(|b| *b <= prompt - window), "{pyramid:?} {budgets:?}");
            }
        }
    }
}

#[test]
fn ada_kv_shares_the_layer_out_by_its_best_scores() {
    let fixture = fixture("ada_small");
    let (scores, wanted) = (rows(&fixture["inputs"]["scores"]), &fixture["expected"]);
    let found = counts(&scores, 3);
    assert_eq!(found, whole(&wanted["counts"]));
    assert_eq!(
        capacities(&found, 3, 200, Rounding::Published),
        whole(&wanted["capacity_published"])
    );
    let exact = capacities(&found, 3, 200, Rounding::Exact);
    assert_eq!(exact, whole(&wanted["capacity_exact"]));
    for (head, keep) in exact.into_iter().enumerate() {
        assert_eq!(best(&scores[head], keep), whole(&wanted["kept_exact"][head]));
    }
}

#[test]
fn ada_kv_gives_missing_units_to_the_largest_remainders() {
    let fixture = fixture("ada_three_heads");
    let (scores, wanted) = (rows(&fixture["inputs"]["scores"]), &fixture["expected"]);
    let found = counts(&scores, 3);
    assert_eq!(found, whole(&wanted["counts"]));
    for (alpha, kept) in [200, 500].into_iter().zip(wanted["capacity_exact"].as_array().unwrap()) {
        assert_eq!(capacities(&found, 3, alpha, Rounding::Exact), whole(kept));
    }
    assert_eq!(
        capacities(&found, 3, 200, Rounding::Published),
        whole(&wanted["capacity_published_alpha_0_2"])
    );
}

#[test]
fn ada_kv_can_scale_heads_by_how_concentrated_they_are() {
    let fixture = fixture("ada_normalize");
    let scaled = normalised(&rows(&fixture["inputs"]["scores"]), 3);
    for (scaled, wanted) in scaled.iter().zip(fixture["expected"]["scaled"].as_array().unwrap()) {
        close(scaled, wanted, 1e-6);
    }
    assert_eq!(counts(&scaled, 3), whole(&fixture["expected"]["counts"]));
    assert_eq!(
        normalised(&[vec![0.0; 4]], 2),
        [[0.0; 4]],
        "a head without weight stays as it is"
    );
}

#[test]
fn exact_capacities_sum_to_the_layers_budget() {
    let mut random = super::kv_trace::Random(8);
    for _ in 0..200 {
        let (heads, base) = (1 + random.next() as usize % 8, random.next() as usize % 50);
        let scores: Vec<Vec<f32>> = (0..heads).map(|_| random.floats(60, 1.0)).collect();
        let alpha = random.next() as usize % 1001;
        let kept = capacities(&counts(&scores, base), base, alpha, Rounding::Exact);
        assert_eq!(kept.iter().sum::<usize>(), heads * base);
        assert!(kept.iter().all(|n| *n <= 60));
    }
}

#[test]
fn equal_scores_of_two_heads_go_to_the_later_token_then_the_lower_head() {
    let flat = vec![vec![-0.0, 0.0, 0.0], vec![0.0, -0.0, 0.0], vec![0.0, 0.0, 0.0]];
    assert_eq!(counts(&flat, 1), [1, 1, 1]);
    assert_eq!(counts(&[vec![1.0, 0.0, 0.0], vec![0.0; 3], vec![0.0; 3]], 1), [2, 1, 0]);
    assert_eq!(counts(&flat, 0), [0, 0, 0]);
}

#[test]
fn r_kv_counts_how_much_keys_resemble_each_other() {
    for name in ["rkv_redundancy", "rkv_redundancy_no_neighbour"] {
        let fixture = fixture(name);
        let keys = Rows::Wide(rows(&fixture["inputs"]["K"]).concat());
        let (means, neighbours) = redundancy::column_means(&Plain, &keys, 4, 2, 0.5);
        let wanted = &fixture["expected"];
        for (found, wanted) in neighbours.iter().zip(wanted["last_neighbour"].as_array().unwrap()) {
            assert_eq!(found.map(|(j, _)| j as u64), wanted.as_u64(), "{name}");
        }
        close(&means, &wanted["column_mean"], 1e-4);
        close(&softmax(&means), &wanted["softmax"], 1e-4);
    }
}

#[test]
fn r_kv_weighs_importance_against_redundancy() {
    let fixture = fixture("rkv_select");
    let wanted = &fixture["expected"];
    let keys = Rows::Wide(rows(&fixture["inputs"]["K"]).concat());
    let (means, neighbours) = redundancy::column_means(&Plain, &keys, 5, 2, 0.5);
    let found: Vec<usize> = neighbours.iter().map(|n| n.unwrap().0).collect();
    assert_eq!(found, whole(&wanted["last_neighbour"]));
    let redundancy = softmax(&means);
    close(&redundancy, &wanted["redundancy"], 1e-4);
    let z = r_kv::weigh(&floats(&fixture["inputs"]["importance_after_pool"]), &redundancy, 0.1);
    close(&z, &wanted["Z"], 1e-4);
    let mut kept = best(&z, 2);
    kept.push(4);
    assert_eq!(kept, whole(&wanted["kept"]));
}

/// Long enough for several tiles of columns and rows, with neighbours far back and rows without any.
#[test]
fn streamed_redundancy_equals_the_whole_matrix() {
    let mut random = super::kv_trace::Random(5);
    let (n, d) = (700, 16);
    let mut flat = random.floats(n * d, 1.0);
    flat[640 * d..641 * d].fill(0.0);
    let keys: Vec<Vec<f64>> = flat
        .chunks_exact(d)
        .map(|row| {
            let row: Vec<f64> = row.iter().map(|x| f64::from(*x)).collect();
            let norm = row.iter().map(|x| x * x).sum::<f64>().sqrt() + 1e-8;
            row.iter().map(|x| x / norm).collect()
        })
        .collect();
    for threshold in [-1.0f32, 0.3, 0.7, 0.95] {
        let (means, neighbours) = redundancy::column_means(&Plain, &Rows::Wide(flat.clone()), n, d, threshold);
        let mut columns = vec![0f64; n];
        for i in 0..n {
            let mut row: Vec<f64> = (0..n)
                .map(|j| {
                    if i == j {
                        0.0
                    } else {
                        keys[i].iter().zip(&keys[j]).map(|(a, b)| a * b).sum()
                    }
                })
                .collect();
            let last = (0..n).rev().find(|j| *j != i && row[*j] > f64::from(threshold));
            assert_eq!(neighbours[i].map(|(j, _)| j), last, "row {i} above {threshold}");
            if let Some(j) = last {
                row[j] = 0.0;
            }
            columns.iter_mut().zip(&row).for_each(|(c, x)| *c += x / n as f64);
        }
        for (a, b) in means.iter().zip(&columns) {
            assert!((f64::from(*a) - b).abs() < 1e-7, "{a}, not {b}");
        }
    }
}

#[test]
fn knorm_keeps_small_keys_and_the_later_of_equal_ones() {
    let fixture = fixture("knorm_tie");
    let keys = Rows::Wide(rows(&fixture["inputs"]["K"]).concat());
    let norms = unit::norms(&keys, 4, 2);
    close(&norms, &fixture["expected"]["norm"], 1e-6);
    let scores: Vec<f32> = norms.iter().map(|n| -n).collect();
    assert_eq!(best(&scores, 2), whole(&fixture["expected"]["kept"]));
}

#[test]
fn keydiff_keeps_keys_that_point_elsewhere() {
    let fixture = fixture("keydiff_small");
    let keys = Rows::Wide(rows(&fixture["inputs"]["K"]).concat());
    close(&unit::mean(&keys, 4, 2).1, &fixture["expected"]["anchor"], 1e-5);
    let scores = keydiff::scores(&Plain, &keys, 4, 2);
    close(&scores, &fixture["expected"]["score"], 1e-5);
    assert_eq!(best(&scores, 2), whole(&fixture["expected"]["kept"]));
    assert_eq!(
        keydiff::scores(&Plain, &Rows::Wide(vec![0.0; 6]), 3, 2),
        [0.0; 3],
        "zero keys have no direction"
    );
}

#[test]
fn random_scores_are_a_function_of_seeds_layer_head_and_position() {
    let fixture = fixture("random_scores");
    let input = |name: &str| fixture["inputs"][name].as_u64().unwrap();
    let at = |position: usize| {
        let (layer, head) = (input("layer") as usize, input("kv_head") as usize);
        random::score(input("seed"), input("sample_seed"), layer, head, position as u32)
    };
    let scores: Vec<f32> = whole(&fixture["inputs"]["positions"]).into_iter().map(at).collect();
    assert_eq!(scores, floats(&fixture["expected"]["score"]));
    assert_eq!(
        best(&scores, input("keep") as usize),
        whole(&fixture["expected"]["kept"])
    );
}

#[test]
fn tova_ranks_by_the_newest_querys_mean_weights() {
    let fixture = fixture("tova_small");
    let mean = Reduce::Mean.rows(&rows(&fixture["inputs"]["last_query_weights_per_head"]).concat(), 5);
    close(&mean, &fixture["expected"]["mean"], 1e-6);
    for (budget, kept) in [3, 4].into_iter().zip(fixture["expected"]["kept"].as_array().unwrap()) {
        assert_eq!(best(&mean, budget), whole(kept));
    }
    let fixture = super::fixtures::fixture("tova_drops_newest");
    let (mean, positions) = (
        floats(&fixture["inputs"]["mean"]),
        whole(&fixture["inputs"]["positions"]),
    );
    let kept: Vec<usize> = best(&mean, 3).into_iter().map(|i| positions[i]).collect();
    assert_eq!(kept, whole(&fixture["expected"]["kept"]));
}

#[test]
fn h2o_can_divide_by_how_many_queries_could_see_an_entry() {
    let fixture = fixture("h2o_visible");
    let positions: Vec<u32> = whole(&fixture["inputs"]["positions"])
        .into_iter()
        .map(|p| p as u32)
        .collect();
    let sums = floats(&fixture["inputs"]["score"]);
    let divided = h2o::visible(&sums, &positions, 10);
    close(&divided, &fixture["expected"]["divided"], 1e-6);
    // One recent entry, the last; one of the other two.
    for (name, scores) in [("kept_none", &sums), ("kept_visible", &divided)] {
        let kept = [positions[best(&scores[..2], 1)[0]] as usize, 9];
        assert_eq!(kept.to_vec(), whole(&fixture["expected"][name]));
    }
}
