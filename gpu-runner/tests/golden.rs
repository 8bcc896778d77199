use crate::gguf_file::demo_model;
use crate::tiny::{generate, of, Engine};
use serde_json::{json, Value};

/// Greedy answers and their log-probabilities by llama.cpp; made by tools/goldens-engine.py.
fn goldens() -> Vec<Value> {
    let all: Value = serde_json::from_str(include_str!("fixtures/engine.json")).unwrap();
    all["samples"].as_array().unwrap().clone()
}

/// Agreement of teacher-forced scores: (share of equal top-1 tokens, mean difference of log-probabilities).
#[test]
fn scores_of_the_demo_model_agree_with_llama_cpp() {
    let Some(path) = demo_model("scores_of_the_demo_model_agree_with_llama_cpp") else {
        return;
    };
    let mut engine = Engine::with(json!({"id": "t", "model": {"path": path}}));
    let items: Vec<Value> = goldens()
        .iter()
        .map(|g| json!({"sample": g["sample"], "tokens": g["tokens"], "continuation": g["continuation"]}))
        .collect();
    let events = engine.run(
        json!({"compressor": "none", "batch": 6, "workload": {"score": {}}}),
        &items,
    );
    let (mut n, mut same, mut difference) = (0, 0, 0.0);
    for golden in goldens() {
        let scored = of(&events, "scored")
            .into_iter()
            .find(|e| e["sample"] == golden["sample"])
            .unwrap();
        for (i, want) in golden["logprobs"].as_array().unwrap().iter().enumerate() {
            n += 1;
            same += i32::from(scored["argmax"][i] == golden["continuation"][i]);
            difference += (scored["logprobs"][i].as_f64().unwrap() - want.as_f64().unwrap()).abs();
        }
    }
    let (share, mean) = (f64::from(same) / f64::from(n), difference / f64::from(n));
    // Both sides round activations to int8, each in its own way. A wrong weight, rotation or norm is far outside.
    assert!(
        share >= 0.9 && mean <= 0.06,
        "top-1 {share}, mean difference {mean} over {n}"
    );
}

/// The same file under a compressor that keeps all, at batch 1 and 3.
#[test]
fn the_demo_model_gives_the_same_answers_at_identity_settings_and_any_batch() {
    let Some(path) = demo_model("the_demo_model_gives_the_same_answers_at_identity_settings_and_any_batch") else {
        return;
    };
    let mut engine = Engine::with(json!({"id": "t", "model": {"path": path}}));
    let items = [
        json!({"sample": "a", "prompt": "Why is the sky blue?"}),
        json!({"sample": "b", "prompt": "List five fruits."}),
        json!({"sample": "c", "prompt": "Write a haiku about the sea, and then explain it line by line."}),
    ];
    let mut answers = |compressor: Value, batch: usize| {
        let mut cell = generate(compressor, batch, "continuous", 64);
        cell["workload"]["generate"]["chat"] = json!(true);
        crate::tiny::tokens(&engine.run(cell, &items))
    };
    let alone = answers(json!("none"), 1);
    assert_eq!(answers(json!("none"), 3), alone);
    assert_eq!(answers(json!({"kivi": {"bits": 16}}), 3), alone);
    let budget = json!({"streaming_llm": {"sinks": 4, "recent": 1020, "positions": "original"}});
    assert_eq!(answers(budget, 2), alone);
}
