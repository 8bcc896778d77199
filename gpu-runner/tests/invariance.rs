use crate::calibrated::calibrate_for;
use crate::matrix::configs::smallest;
use crate::tiny::{generate, item, model, of, tokens, Engine};
use serde_json::{json, Value};
use std::process::Command;

/// Every row of the registry, and settings of its own kind, such that they act on these samples.
fn matrix() -> Vec<Value> {
    let more = [
        json!({"fp8_e4m3": {"scale": "token_head"}}),
        json!({"int8_token_head": {"window": 5}}),
        json!({"int4_token_head": {"rotate": "hadamard"}}),
        json!({"q8_0": {"window": 70}}),
        json!({"q4_0": {"rotate": "hadamard", "window": 3}}),
        json!({"turboquant_mse": {"k_bits": 3, "v_bits": 2, "renorm": true, "seed": 11}}),
        json!({"turboquant_vllm": {"skip_first": 0, "skip_last": 0}}),
        json!({"compose": [{"keydiff": {"budget": 32, "evict_at": "step"}}, {"turboquant_mse": {"window": 4}}]}),
        json!({"kivi": {"bits": 4, "group": 64, "window": 64}}),
        json!({"kivi": {"k_bits": 8, "v_bits": 4, "window": 32, "v_flush": "block"}}),
        json!({"streaming_llm": {"sinks": 2, "recent": 40, "positions": "original"}}),
        json!({"streaming_llm": {"sinks": 4, "recent": 20, "positions": "original", "evict_at": "prefill"}}),
        json!({"h2o": {"budget": 32, "evict_at": "prefill", "normalise": "visible"}}),
        json!({"snapkv": {"budget": 32, "obs_window": 8, "evict_at": "interval", "interval": 5, "gqa_at": "logits"}}),
        json!({"ada_kv": {"budget": 32, "obs_window": 8, "layers": "pyramid"}}),
        json!({"tova": {"budget": 32, "heads": "kv", "protect_last": true}}),
        json!({"random": {"budget": 32, "evict_at": "step", "seed": 9}}),
        json!({"keydiff": {"budget": 32, "evict_at": "step"}}),
    ];
    smallest().into_iter().chain(more).collect()
}

/// Ragged: shorter and longer than windows, pages and budgets.
fn items() -> Vec<Value> {
    let lengths = [1, 3, 31, 64, 65, 90, 128, 150];
    lengths.iter().map(|n| item(&format!("s{n}"), *n)).collect()
}

#[test]
fn tokens_do_not_depend_on_batch_order_scheduler_or_threads() {
    let file = model("llama");
    let mut engines = [1, 2, 3].map(|threads| Engine::new(&file, threads));
    let items = items();
    let mut shuffled = items.clone();
    shuffled.reverse();
    shuffled.swap(1, 5);
    for compressor in matrix() {
        let alone = tokens(&engines[0].run(generate(compressor.clone(), 1, "continuous", 24), &items));
        assert_eq!(alone.len(), items.len());
        let runs = [
            (0, 8, "continuous", &items),
            (1, 8, "static", &items),
            (2, 3, "continuous", &shuffled),
            (1, 5, "static", &shuffled),
        ];
        for (engine, batch, scheduler, items) in runs {
            let got = tokens(&engines[engine].run(generate(compressor.clone(), batch, scheduler, 24), items));
            assert_eq!(
                got,
                alone,
                "{compressor} at batch {batch}, {scheduler}, {} threads",
                engine + 1
            );
        }
    }
}

#[test]
fn scores_have_the_same_bits_at_every_batch_if_invariant_and_others_if_not() {
    let file = model("llama");
    let mut engine = Engine::new(&file, 2);
    let items: Vec<Value> = (0..8)
        .map(|i| {
            let mut item = item(&format!("s{i}"), 200 + i);
            item["continuation"] = json!([5, 77, 200, 13, 99, 41]);
            item
        })
        .collect();
    let mut scores = |batch: usize, invariant: bool| {
        let cell = json!({"compressor": "none", "batch": batch, "invariant": invariant, "workload": {"score": {}}});
        let events = engine.run(cell, &items);
        let mut rows: Vec<_> = of(&events, "scored")
            .iter()
            .map(|e| (e["sample"].to_string(), e["logprobs"].clone()))
            .collect();
        rows.sort_by(|a, b| a.0.cmp(&b.0));
        rows
    };
    let alone = scores(1, true);
    assert_eq!(scores(8, true), alone);
    assert_eq!(scores(1, false), alone, "at batch 1 the parts are the same");
    let other = scores(8, false);
    assert_ne!(other, alone, "parts of 128 tokens add in another order");
    for ((_, a), (_, b)) in alone.iter().zip(&other) {
        for (a, b) in a.as_array().unwrap().iter().zip(b.as_array().unwrap()) {
            assert!((a.as_f64().unwrap() - b.as_f64().unwrap()).abs() < 0.05, "{a} {b}");
        }
    }
}

#[test]
fn settings_that_keep_all_give_the_tokens_of_none() {
    let file = model("llama");
    let mut engine = Engine::new(&file, 2);
    let none = tokens(&engine.run(generate(json!("none"), 4, "continuous", 32), &items()));
    for compressor in [
        json!({"kivi": {"bits": 16}}),
        json!({"streaming_llm": {"sinks": 4, "recent": 508, "positions": "original"}}),
        json!({"streaming_llm": {"sinks": 4, "recent": 508, "positions": "original", "evict_at": "prefill"}}),
    ] {
        let events = engine.run(generate(compressor.clone(), 4, "continuous", 32), &items());
        assert_eq!(tokens(&events), none, "{compressor}");
        assert_eq!(
            of(&events, "finished")[0]["inert"],
            true,
            "{compressor} acted in no sample"
        );
    }
}

#[test]
fn the_first_token_of_every_post_rope_compressor_is_that_of_none() {
    let file = model("llama");
    let mut engine = Engine::new(&file, 2);
    let first =
        |events: &[Value]| -> Vec<Value> { tokens(events).into_iter().map(|(_, ids)| ids[0].clone()).collect() };
    let none = first(&engine.run(generate(json!("none"), 4, "static", 1), &items()));
    for compressor in matrix() {
        let events = engine.run(generate(compressor.clone(), 4, "static", 1), &items());
        assert_eq!(first(&events), none, "{compressor}");
    }
}

#[test]
fn a_sample_gives_the_same_tokens_after_any_other_sample_and_on_a_new_engine() {
    let file = model("qwen2");
    for compressor in matrix() {
        let mut engine = Engine::new(&file, 2);
        let cell = generate(compressor.clone(), 1, "continuous", 24);
        let fresh = tokens(&engine.run(cell.clone(), &[item("s90", 90)]));
        engine.run(generate(compressor.clone(), 3, "static", 8), &items());
        let again = tokens(&engine.run(cell, &[item("s150", 150), item("s90", 90)]));
        assert_eq!(again[1], fresh[0], "{compressor}");
    }
}

#[test]
fn tokens_do_not_depend_on_the_instruction_set() {
    let file = model("llama");
    let mut engine = Engine::new(&file, 2);
    let mut lines = vec![json!({"op": "load", "id": "l", "model": {"path": file.0}, "threads": 2}).to_string()];
    for (i, compressor) in matrix().into_iter().enumerate() {
        let mut cell = generate(compressor, 4, "continuous", 12);
        calibrate_for(&mut engine.0, &mut cell);
        cell["op"] = json!("cell");
        cell["cell"] = json!(format!("c{i}"));
        lines.push(cell.to_string());
        lines.push(json!({"op": "samples", "cell": cell["cell"], "items": items()}).to_string());
        lines.push(json!({"op": "start", "cell": cell["cell"]}).to_string());
    }
    let requests = crate::gguf_file::Temporary::new(lines.join("\n").as_bytes());
    let run = |isa: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_gpu-runner"))
            .arg("run")
            .arg(&requests.0)
            .env("KVSWEEP_ISA", isa)
            .output()
            .unwrap();
        assert_eq!(
            output.status.code(),
            Some(0),
            "{isa}: {}",
            String::from_utf8_lossy(&output.stdout)
        );
        let text = String::from_utf8(output.stdout).unwrap();
        let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let mut rows: Vec<_> = of(&events, "sample")
            .iter()
            .map(|e| {
                (
                    e["cell"].to_string(),
                    e["sample"].to_string(),
                    e["token_ids"].to_string(),
                )
            })
            .collect();
        rows.sort();
        rows
    };
    let available = gpu_runner::backend::cpu::Isa::available();
    let scalar = run("scalar");
    assert_eq!(scalar.len(), matrix().len() * items().len());
    for isa in available {
        assert_eq!(run(isa.name()), scalar, "{}", isa.name());
    }
}
