//! Methods that drop entries, end to end on the cache. Names T… are those of the design's test list.

use gpu_runner::backend::cpu::{Isa, Pool};
use gpu_runner::compress::{resolve, COMPRESSORS};
use half::f16;
use serde_json::{json, Value};

use super::evict_oracle::Layer;
use super::evict_replay::Replay;
use super::fixtures::fixture;
use super::kv_trace::{self, cache, shape, Random};

/// Every method that drops entries by scores, with the schedules it offers.
fn evictors() -> Vec<(&'static str, &'static str)> {
    let scored = COMPRESSORS.iter().map(|c| c.spec());
    let scored = scored.filter(|s| s.family == "evict" && s.name != "streaming_llm");
    let choices = |spec: &gpu_runner::compress::Spec| -> Vec<Value> {
        match spec.param("evict_at") {
            Some(param) => param.choices().as_array().unwrap().clone(),
            None => vec![json!(spec.evict_at.unwrap())],
        }
    };
    let word = |v: Value| -> &'static str { v.as_str().unwrap().to_owned().leak() };
    scored
        .flat_map(|s| choices(s).into_iter().map(move |v| (s.name, word(v))))
        .collect()
}

/// A small budget for a method: `interval` 5, observation windows and lags of 4.
fn small(name: &str, evict_at: &str, budget: usize) -> Value {
    let spec = COMPRESSORS.iter().map(|c| c.spec()).find(|s| s.name == name).unwrap();
    let mut params = json!({ "budget": budget });
    for (param, value) in [
        ("evict_at", json!(evict_at)),
        ("obs_window", json!(4)),
        ("kernel", json!(3)),
        ("lag", json!(4)),
    ] {
        if spec.param(param).is_some() {
            params[param] = value;
        }
    }
    if evict_at == "interval" {
        params["interval"] = json!(5);
    }
    if name == "h2o" {
        params["recent"] = json!(3);
    }
    json!({ name: params })
}

fn entries(replay: &Replay, compressor: &Value, prompt: usize, steps: usize) -> Vec<usize> {
    let mut cache = replay.cache(compressor);
    let seq = replay.start(&mut cache, prompt, steps + 1, 1);
    let mut counts = vec![cache.store(seq, 0, 0).n];
    for token in prompt..prompt + steps {
        replay.step(&mut cache, seq, token, |_, _, _| ());
        counts.push(cache.store(seq, 0, 0).n);
    }
    cache.release(seq).unwrap();
    counts
}

#[test]
fn t2_stores_shrink_on_the_schedule_of_the_design() {
    let replay = Replay::new(shape(1, 1, 1, 64), 30, 2);
    let mut checked = 0;
    for name in [
        "evict_at_interval_long",
        "evict_at_interval_short",
        "evict_at_step_short",
        "evict_at_prefill_long",
    ] {
        let fixture = fixture(name);
        let input = &fixture["inputs"];
        let whole = |name: &str| input[name].as_u64().unwrap() as usize;
        let evict_at = input["evict_at"].as_str().unwrap();
        for (method, _) in evictors().into_iter().filter(|(_, at)| *at == evict_at) {
            let mut compressor = small(method, evict_at, whole("budget"));
            if evict_at == "interval" {
                compressor[method]["interval"] = json!(whole("interval"));
            }
            if method == "lagkv" {
                compressor[method]["lag"] = json!(1);
            }
            let found = entries(&replay, &compressor, whole("T"), whole("steps"));
            assert_eq!(json!(found), fixture["expected"]["entries_after_step"], "{compressor}");
            checked += 1;
        }
    }
    assert!(checked >= 6 + 6 + 5 + 6, "{checked} schedules");
}

/// Configurations for the oracle, budgets of 24 for prompts of 60.
fn oracle_configs() -> Vec<Value> {
    let mut all = Vec::new();
    for name in ["random", "knorm", "keydiff"] {
        for (evict_at, sinks, recent) in [("prefill", 0, 0), ("step", 2, 3), ("interval", 0, 5)] {
            let mut params = json!({"budget": 24, "sinks": sinks, "recent": recent, "evict_at": evict_at});
            if evict_at == "interval" {
                params["interval"] = json!(5);
            }
            all.push(json!({ name: params }));
        }
    }
    for evict_at in ["step", "prefill"] {
        for normalise in ["none", "visible"] {
            all.push(json!({"h2o": {"budget": 24, "evict_at": evict_at, "normalise": normalise}}));
        }
        for heads in ["layer", "kv"] {
            for protect_last in [false, true] {
                let params = json!({"budget": 24, "evict_at": evict_at, "heads": heads, "protect_last": protect_last});
                all.push(json!({ "tova": params }));
            }
        }
    }
    for (pool, kernel) in [("max", 3), ("avg", 5), ("none", 7)] {
        for gqa in ["mean", "max"] {
            for gqa_at in ["logits", "weights", "pooled"] {
                let params = json!({"budget": 24, "obs_window": 6, "kernel": kernel, "pool": pool, "gqa": gqa, "gqa_at": gqa_at});
                all.push(json!({ "snapkv": params }));
            }
        }
    }
    all.push(json!({"snapkv": {"budget": 24, "obs_window": 6, "kernel": 3, "evict_at": "interval", "interval": 5}}));
    for rounding in ["exact", "published"] {
        all.push(json!({"pyramidkv": {"budget": 24, "kernel": 3, "beta": 4, "rounding": rounding}}));
        for layers in ["uniform", "pyramid"] {
            for normalize in [false, true] {
                let params = json!({"budget": 24, "obs_window": 6, "kernel": 3, "alpha": 0.3, "normalize": normalize, "layers": layers, "rounding": rounding});
                all.push(json!({ "ada_kv": params }));
            }
        }
    }
    for (threshold, lambda, compress_prompt) in [(0.5, 0.1, true), (0.1, 0.6, true), (-1.0, 0.3, false)] {
        let params = json!({"budget": 24, "obs_window": 4, "kernel": 3, "threshold": threshold, "lambda": lambda, "compress_prompt": compress_prompt, "interval": 5});
        all.push(json!({ "r_kv": params }));
    }
    all
}

#[test]
fn t19_every_selection_equals_a_plain_f64_reading_of_the_design() {
    for group in [1, 3] {
        let replay = Replay::new(shape(3, group, 2, 64), 80, 11);
        for compressor in oracle_configs() {
            let mut cache = replay.cache(&compressor);
            let effective = resolve(&compressor, None).unwrap().effective;
            let seq = replay.start(&mut cache, 60, 21, 777);
            let mut layers: Vec<Layer> = (0..3).map(|l| Layer::new(&replay, l, &effective, 60, 777)).collect();
            for token in 60..80 {
                let wanted: Vec<_> = layers.iter().flat_map(|l| l.kept.clone()).collect();
                assert_eq!(
                    replay.kept(&cache, seq),
                    wanted,
                    "{compressor} group {group} before token {token}"
                );
                replay.step(&mut cache, seq, token, |_, _, _| ());
                layers.iter_mut().for_each(Layer::step);
            }
            let wanted: Vec<_> = layers.iter().flat_map(|l| l.kept.clone()).collect();
            assert_eq!(
                replay.kept(&cache, seq),
                wanted,
                "{compressor} group {group} at the end"
            );
            assert!(cache.release(seq).unwrap().acted());
        }
    }
}

#[test]
fn t4_pyramid_and_ada_budgets_are_kept_to_the_entry() {
    let replay = Replay::new(shape(5, 2, 3, 64), 200, 3);
    let sum = |compressor: Value| {
        let mut cache = replay.cache(&compressor);
        let seq = replay.start(&mut cache, 200, 1, 1);
        let counts: Vec<usize> = replay.kept(&cache, seq).iter().map(Vec::len).collect();
        let stats = cache.release(seq).unwrap();
        assert!(stats.budgets.is_some(), "budgets differ, so they are reported");
        assert_eq!(cache.live_pages(), 0);
        counts
    };
    let pyramid = sum(json!({"pyramidkv": {"budget": 40, "obs_window": 8}}));
    assert_eq!(pyramid.iter().sum::<usize>(), 5 * 3 * 40);
    assert!(pyramid[0] > 60 && pyramid[14] < 10, "{pyramid:?}");
    for layers in ["uniform", "pyramid"] {
        let ada = sum(json!({"ada_kv": {"budget": 40, "obs_window": 8, "layers": layers}}));
        for (layer, heads) in ada.chunks_exact(3).enumerate() {
            let each = if layers == "pyramid" { pyramid[layer * 3] } else { 40 };
            assert_eq!(heads.iter().sum::<usize>(), 3 * each, "layer {layer} of {layers}");
        }
    }
}

#[test]
fn t14_t18_long_runs_stay_in_bounds_and_keep_what_is_protected() {
    let steps = 2000;
    let replay = Replay::new(shape(1, 2, 2, 64), 40 + steps, 9);
    let keys = replay.keys(0, 0..40 + steps);
    for (method, evict_at) in evictors() {
        let mut compressor = small(method, evict_at, 30);
        let (mut sinks, mut recent) = (0, 0);
        if matches!(method, "random" | "knorm" | "keydiff") {
            (sinks, recent) = (3, 4);
            compressor[method]["sinks"] = json!(3);
            compressor[method]["recent"] = json!(4);
        }
        if matches!(method, "snapkv" | "r_kv") {
            recent = 4;
        }
        // Stores that only grow need no long run.
        let steps = if evict_at == "prefill" { 100 } else { steps };
        let bound = match evict_at {
            "prefill" => usize::MAX,
            "step" => 31,
            _ => 35,
        };
        let mut cache = replay.cache(&compressor);
        let seq = replay.start(&mut cache, 40, steps + 1, 5);
        for token in 40..40 + steps {
            replay.step(&mut cache, seq, token, |cache, _, _| {
                assert!(cache.store(seq, 0, 1).n <= bound, "{compressor}");
            });
            if token % 97 == 0 || token + 1 == 40 + steps {
                for kept in replay.kept(&cache, seq) {
                    assert!(kept.is_sorted_by(|a, b| a < b), "{compressor}: {kept:?}");
                    assert!((0..sinks).all(|p| kept[p] == p), "{compressor}: {kept:?}");
                    let due = evict_at == "step" || (evict_at == "interval" && (token - 39) % 5 == 0);
                    let last = (token + 1 - recent..=token).all(|p| kept.contains(&p));
                    assert!(last || !due, "{compressor}: {kept:?}");
                }
            }
        }
        // Every kept pair is bit for bit that of the full cache.
        let dump = cache.dump(seq, 0, 1);
        assert_eq!(dump.k_f16.len(), dump.positions.len() * 64);
        for (i, position) in dump.positions.iter().enumerate() {
            let at = (*position as usize * 2 + 1) * 64;
            let of = |x: &[f16]| -> Vec<u16> { x[at..at + 64].iter().map(|x| x.to_bits()).collect() };
            assert_eq!(dump.k_f16[i * 64..][..64], of(&keys), "{compressor}");
            assert_eq!(dump.v_f16[i * 64..][..64], of(&replay.trace.v[0]), "{compressor}");
        }
        let stats = cache.release(seq).unwrap();
        assert_eq!(stats.first_drop, Some(0), "{compressor}");
        assert_eq!(cache.live_pages(), 0, "{compressor}");
    }
}

#[test]
fn t3_equal_query_heads_select_as_one_head_would() {
    let one = Replay::new(shape(2, 1, 2, 64), 70, 21);
    let mut four = Replay::new(shape(2, 4, 2, 64), 70, 21);
    for (to, from) in four.queries.iter_mut().zip(&one.queries) {
        *to = from.chunks_exact(64).flat_map(|q| q.repeat(4)).collect();
    }
    for (method, evict_at) in evictors() {
        let compressor = small(method, evict_at, 30);
        let run = |replay: &Replay| {
            let mut cache = replay.cache(&compressor);
            let seq = replay.start(&mut cache, 50, 21, 4);
            (50..70).for_each(|token| replay.step(&mut cache, seq, token, |_, _, _| ()));
            replay.kept(&cache, seq)
        };
        assert_eq!(run(&one), run(&four), "{compressor}");
    }
}

/// Queries that ask for the same few directions all the time, as real heads do. Neighbours have nothing in common here,
/// so nothing is pooled.
#[test]
fn t20_methods_that_look_at_attention_lose_less_of_it_than_random() {
    let mut replay = Replay::new(shape(1, 2, 2, 64), 320, 31);
    let topic = Random(1).floats(4 * 64, 3.0);
    for row in replay.queries[0].chunks_exact_mut(4 * 64) {
        row.iter_mut()
            .zip(&topic)
            .for_each(|(q, t)| *q = f16::from_f32(0.4 * q.to_f32() + t));
    }
    let outputs = |compressor: Value| {
        let mut cache = replay.cache(&compressor);
        let seq = replay.start(&mut cache, 300, 21, 8);
        let mut all = Vec::new();
        (300..320).for_each(|token| replay.step(&mut cache, seq, token, |_, _, out| all.extend_from_slice(out)));
        all
    };
    let exact = outputs(json!("none"));
    let error = |compressor: Value| -> f64 {
        let found = outputs(compressor);
        found.iter().zip(&exact).map(|(a, b)| f64::from(a - b).powi(2)).sum()
    };
    let control = error(json!({"random": {"budget": 96, "recent": 32}}));
    for better in [
        json!({"snapkv": {"budget": 96, "pool": "none"}}),
        json!({"ada_kv": {"budget": 96, "pool": "none"}}),
        json!({"h2o": {"budget": 96, "evict_at": "prefill"}}),
        json!({"tova": {"budget": 96, "heads": "kv", "evict_at": "prefill"}}),
    ] {
        let error = error(better.clone());
        assert!(
            error > 0.0 && error < 0.5 * control,
            "{better}: {error} against {control}"
        );
    }
}

#[test]
fn t23_degenerate_traces_lose_nothing_but_entries() {
    for fill in [0.0, 1.0, 100.0] {
        let mut replay = Replay::new(shape(2, 2, 2, 64), 60, 1);
        for values in replay.trace.k.iter_mut().chain(&mut replay.trace.v) {
            values.fill(f16::from_f32(fill));
        }
        if fill == 0.0 {
            replay.queries.iter_mut().for_each(|q| q.fill(f16::ZERO));
        }
        for (method, evict_at) in evictors() {
            let compressor = small(method, evict_at, 30);
            for prompt in [1, 4, 29, 30, 31, 35] {
                for steps in [0, 1, 12] {
                    let mut cache = replay.cache(&compressor);
                    let seq = replay.start(&mut cache, prompt, steps + 1, 2);
                    for token in prompt..prompt + steps {
                        replay.step(&mut cache, seq, token, |_, _, out| {
                            assert!(out.iter().all(|x| x.is_finite()), "{compressor}");
                        });
                    }
                    // The release compares counts with what had to happen.
                    let stats = cache.release(seq).unwrap();
                    let due = match evict_at {
                        "prefill" => prompt > 30,
                        "step" => prompt + steps > 30,
                        _ => prompt > 30 || prompt + steps / 5 * 5 > 30,
                    };
                    assert_eq!(stats.acted(), due, "{compressor}, prompt {prompt}, {steps} steps");
                }
            }
        }
    }
}

#[test]
fn ties_of_constant_keys_go_to_the_later_token() {
    let mut replay = Replay::new(shape(1, 1, 1, 64), 40, 1);
    // Without rotation equal keys stay equal: the first pair of channels turns fastest, so use zeros.
    replay.trace.k[0].fill(f16::ZERO);
    for compressor in [
        json!({"knorm": {"budget": 8, "sinks": 1}}),
        json!({"keydiff": {"budget": 8, "sinks": 1}}),
    ] {
        let mut cache = replay.cache(&compressor);
        let seq = replay.start(&mut cache, 40, 1, 1);
        assert_eq!(replay.kept(&cache, seq), [vec![0, 33, 34, 35, 36, 37, 38, 39]]);
    }
}

/// On every instruction set, with any number of threads.
#[test]
fn selections_depend_neither_on_threads_nor_on_a_neighbour() {
    let replay = Replay::new(shape(2, 3, 2, 64), 400, 41);
    for (method, evict_at) in evictors() {
        let compressor = small(method, evict_at, 100);
        let run = |threads: usize| {
            let replay = Replay {
                pool: Pool::new(threads),
                trace: kv_trace::Trace::new(replay.shape(), 400, 41),
                queries: replay.queries.clone(),
                isa: Isa::detect(),
            };
            let mut cache = cache(replay.shape(), &compressor, replay.isa);
            let other = replay.start(&mut cache, 150, 1, 3);
            let seq = replay.start(&mut cache, 380, 21, 3);
            (380..400).for_each(|token| replay.step(&mut cache, seq, token, |_, _, _| ()));
            cache.release(other).unwrap();
            replay.kept(&cache, seq)
        };
        assert_eq!(run(1), run(3), "{compressor}");
    }
}

#[test]
fn refusals_say_which_value_and_what_to_do() {
    for (request, code, says) in [
        (json!({"snapkv": {"budget": 32}}), "budget_too_small", "at least 33"),
        (json!({"pyramidkv": {"budget": 8}}), "budget_too_small", "at least 9"),
        (
            json!({"ada_kv": {"budget": 16, "obs_window": 16}}),
            "budget_too_small",
            "at least 17",
        ),
        (json!({"r_kv": {"kernel": 8}}), "param_range", "odd"),
        (json!({"ada_kv": {"kernel": 2}}), "param_range", "odd"),
        (json!({"ada_kv": {"alpha": 0.2005}}), "param_range", "0.001"),
        (json!({"ada_kv": {"alpha": 1.5}}), "param_range", "alpha"),
        (
            json!({"h2o": {"budget": 8, "evict_at": "prefill"}}),
            "budget_too_small",
            "at least 9",
        ),
        (
            json!({"h2o": {"budget": 8, "recent": 8}}),
            "budget_too_small",
            "at least 9",
        ),
        (
            json!({"random": {"budget": 8, "sinks": 4, "recent": 4}}),
            "budget_too_small",
            "sinks and recent",
        ),
        (json!({"knorm": {"seed": 1}}), "unknown_param", "seed"),
        (
            json!({"tova": {"evict_at": "interval"}}),
            "param_range",
            "step, prefill",
        ),
        (json!({"r_kv": {"evict_at": "interval"}}), "unknown_param", "evict_at"),
    ] {
        match resolve(&request, None) {
            Err(gpu_runner::Error::Compressor { code: found, message }) => {
                assert_eq!(found, code, "{request}");
                assert!(message.contains(says) && !message.contains('\n'), "{message}");
            }
            other => panic!("{request}: {other:?}"),
        }
    }
}

#[test]
fn effective_configs_hold_what_is_read_and_nothing_else() {
    let text = |request: Value| resolve(&request, None).unwrap().effective.to_string();
    assert_eq!(
        text(json!({"random": {}})),
        r#"{"random":{"budget":1024,"evict_at":"prefill","recent":0,"seed":0,"sinks":0}}"#
    );
    assert!(text(json!({"knorm": {"evict_at": "interval"}})).contains(r#""interval":128"#));
    assert!(!text(json!({"ada_kv": {}})).contains("beta"));
    assert!(text(json!({"ada_kv": {"layers": "pyramid"}})).contains(r#""beta":20"#));
    assert_eq!(
        text(json!({"h2o": {"budget": 512, "recent": null}})),
        text(json!({"h2o": {"recent": 256, "budget": 512}}))
    );
}

/// An evictor in front of a quantiser: the survivors are the quantiser's prompt.
#[test]
fn composed_with_kivi_a_prompt_counts_as_its_survivors() {
    let fixture = fixture("compose_snapkv_kivi");
    let replay = Replay::new(shape(1, 1, 2, 64), 1100, 5);
    let compressor = json!({"compose": [{"snapkv": {"budget": 300}}, {"kivi": {"bits": 4}}]});
    let steps = fixture["inputs"]["steps"].as_array().unwrap();
    let mut cache = replay.cache(&compressor);
    let seq = replay.start(&mut cache, 1000, 90, 1);
    let mut checked = 0;
    for step in 0..=85 {
        if let Some(at) = steps.iter().position(|s| *s == step) {
            for head in 0..2 {
                let store = cache.store(seq, 0, head);
                let found = json!({
                    "entries": store.n,
                    "k_quant": store.k_paged,
                    "k_window": store.n - store.k_paged,
                    "v_quant": store.v_paged,
                    "v_window": store.n - store.v_paged,
                });
                assert_eq!(found, fixture["expected"]["rows"][at], "step {step}");
            }
            checked += 1;
        }
        replay.step(&mut cache, seq, 1000 + step, |_, _, _| ());
    }
    assert_eq!(checked, 4);
}
