//! Tokens of a tiny model, end to end: identity, first tokens, batches, orders and fresh engines.

use gpu_runner::compress::COMPRESSORS;
use serde_json::{json, Value};

use super::configs::{everything, method, smallest};
use crate::gguf_file::Temporary;
use crate::tiny::{generate, item, model_of, of, tokens, Engine, CONTEXT};

fn model() -> Temporary {
    model_of("llama", 4, 4, 2)
}

/// Ragged: shorter and longer than budgets, windows, groups and pages. Item 5 is the one that is compared.
fn items() -> Vec<Value> {
    let lengths = [1, 130, 39, 64, 41, 150, 97, 31];
    lengths.iter().map(|n| item(&format!("s{n}"), *n)).collect()
}

#[test]
fn t5_identity_settings_give_the_baselines_tokens() {
    let file = model();
    let mut engine = Engine::new(&file, 2);
    let prompts = [item("a", 30), item("b", 100), item("c", 200)];
    let none = tokens(&engine.run(generate(json!("none"), 3, "continuous", 64), &prompts));
    for method in COMPRESSORS {
        let (name, identity) = (method.spec().name, method.identity());
        let wanted = method.spec().identity_setting.is_some();
        assert_eq!(
            identity.is_some(),
            wanted,
            "{name}: identity() and the registry's identity_setting"
        );
        let Some(identity) = identity else { continue };
        let events = engine.run(generate(json!({name: identity}), 3, "continuous", 64), &prompts);
        assert_eq!(tokens(&events), none, "{name} at {identity}");
        assert_eq!(
            of(&events, "finished")[0]["inert"],
            name != "none",
            "{name} at {identity}"
        );
    }
}

#[test]
fn t6_a_sample_within_its_budget_is_the_baseline_and_says_that_nothing_was_due() {
    let file = model();
    let mut engine = Engine::new(&file, 2);
    let prompts = [item("a", 12), item("b", 20)];
    let none = tokens(&engine.run(generate(json!("none"), 2, "continuous", 21), &prompts));
    for config in everything() {
        let Some(method) = method(&config) else { continue };
        // 20 + 21 - 1 tokens: the budget of the matrix.
        let drops = method.spec().compose_role.is_some_and(|role| role.starts_with("evict"));
        if !drops
            || config["streaming_llm"]["positions"] == "slot"
            || config
                .get("streaming_llm")
                .is_some_and(|p| p.get("positions").is_none())
        {
            continue;
        }
        let events = engine.run(generate(config.clone(), 2, "continuous", 21), &prompts);
        assert_eq!(tokens(&events), none, "{config}");
        assert_eq!(of(&events, "finished")[0]["inert"], true, "{config}");
        for sample in of(&events, "sample") {
            let kv = &sample["kv"];
            assert_eq!(
                (&kv["dropped"], &kv["first_drop"]),
                (&json!(0), &Value::Null),
                "{config}"
            );
        }
    }
}

#[test]
fn t8_the_first_token_has_the_scores_of_the_baseline() {
    let file = model();
    let mut engine = Engine::new(&file, 2);
    let prompts: Vec<Value> = items()
        .into_iter()
        .map(|mut item| {
            item["continuation"] = json!([7]);
            item
        })
        .collect();
    let mut first = |config: &Value| -> Vec<(String, Value)> {
        let cell = json!({"compressor": config, "batch": 4, "workload": {"score": {}}});
        let events = engine.run(cell, &prompts);
        let mut rows: Vec<_> = of(&events, "scored")
            .iter()
            .map(|e| (e["sample"].to_string(), e["logprobs"][0].clone()))
            .collect();
        rows.sort_by(|a, b| a.0.cmp(&b.0));
        rows
    };
    let none = first(&json!("none"));
    for config in everything() {
        let found = first(&config);
        let exact = method(&config).is_none_or(|m| m.spec().first_token_equals_baseline == "exact");
        for (a, b) in found.iter().zip(&none) {
            let difference = (a.1.as_f64().unwrap() - b.1.as_f64().unwrap()).abs();
            assert!(
                difference <= if exact { 0.0 } else { 1e-2 },
                "{config} {}: {} {}",
                a.0,
                a.1,
                b.1
            );
        }
    }
}

#[test]
fn t10_t11_t12_tokens_do_not_depend_on_batch_order_slot_scheduler_failures_or_engine() {
    let file = model();
    let mut engines = [Engine::new(&file, 1), Engine::new(&file, 2)];
    let items = items();
    let mut shuffled = items.clone();
    shuffled.reverse();
    shuffled.swap(1, 6);
    // Too long for the context: an error of its own, in the middle of the others.
    shuffled.insert(3, item("failed", CONTEXT as usize + 1));
    let small = smallest();
    for config in everything() {
        let run = |engine: &mut Engine, batch: usize, scheduler: &str, items: &[Value]| {
            let mut cell = generate(config.clone(), batch, scheduler, 40);
            cell["workload"]["generate"]["truncate"] = json!("none");
            let mut all = tokens(&engine.run(cell, items));
            all.retain(|(name, _)| name != "failed");
            all
        };
        let alone = run(&mut engines[0], 1, "continuous", &items[5..6]);
        let batch = run(&mut engines[1], 8, "continuous", &items);
        assert!(
            batch.contains(&alone[0]),
            "{config}: alone and in slot 5 of a batch of 8"
        );
        assert_eq!(
            run(&mut engines[0], 3, "continuous", &shuffled),
            batch,
            "{config}: shuffled"
        );
        if small.contains(&config) {
            assert_eq!(run(&mut engines[0], 8, "static", &shuffled), batch, "{config}: static");
        }
    }
    for config in small {
        let cell = generate(config.clone(), 8, "continuous", 40);
        let again = tokens(&Engine::new(&file, 2).run(cell.clone(), &items));
        assert_eq!(again, tokens(&engines[1].run(cell, &items)), "{config}: another engine");
    }
}

#[test]
fn t13_a_cell_on_long_samples_is_not_inert() {
    let file = model();
    let mut engine = Engine::new(&file, 2);
    for config in everything() {
        let events = engine.run(
            generate(config.clone(), 2, "continuous", 8),
            &[item("a", 330), item("b", 270)],
        );
        assert_eq!(of(&events, "finished")[0]["inert"], false, "{config}");
        if config.get("none").is_none() {
            for sample in of(&events, "sample") {
                let kv = &sample["kv"];
                let acted = ["dropped", "sealed_k", "sealed_v"]
                    .iter()
                    .any(|c| kv[c].as_u64().unwrap() > 0);
                assert!(acted, "{config}: {kv}");
            }
        }
    }
}
