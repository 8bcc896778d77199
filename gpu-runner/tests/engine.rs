use crate::tiny::{generate, item, model, of, tokens, Engine, CONTEXT, END, VOCAB};
use gpu_runner::Error;
use serde_json::{json, Value};

fn engine() -> (crate::gguf_file::Temporary, Engine) {
    let file = model("llama");
    let engine = Engine::new(&file, 2);
    (file, engine)
}

fn workload(change: Value) -> Value {
    let mut cell = generate(json!("none"), 2, "continuous", 24);
    for (key, value) in change.as_object().unwrap() {
        cell["workload"]["generate"][key] = value.clone();
    }
    cell
}

fn one(events: &[Value]) -> &Value {
    let samples = of(events, "sample");
    assert_eq!(samples.len(), 1);
    samples[0]
}

#[test]
fn an_answer_ends_at_a_stop_id_which_is_not_part_of_it() {
    let (_file, mut engine) = engine();
    let free = engine.run(workload(json!({})), &[item("a", 40)]);
    let free = one(&free)["token_ids"].as_array().unwrap().clone();
    assert_eq!(free.len(), 24);
    let stop = free[10].as_u64().unwrap();
    let at = free.iter().position(|id| id.as_u64() == Some(stop)).unwrap();
    let events = engine.run(workload(json!({"stop_ids": [stop]})), &[item("a", 40)]);
    let sample = one(&events);
    assert_eq!(sample["finish_reason"], "stop");
    assert_eq!(sample["stop_id"], stop);
    assert_eq!(sample["token_ids"].as_array().unwrap()[..], free[..at]);
    assert_eq!(sample["n_out"], at);
    assert_eq!(sample["kv"]["seen"], 40 + at, "the stop token is never fed");
    let planned = of(&events, "planned")[0];
    let mut ids = vec![END as u64, stop];
    ids.sort_unstable();
    assert_eq!(planned["stop_ids"], json!(ids));
}

#[test]
fn no_answer_ends_before_its_least_length() {
    let (_file, mut engine) = engine();
    let free = engine.run(workload(json!({})), &[item("a", 40)]);
    let ids: Vec<u64> = serde_json::from_value(one(&free)["token_ids"].clone()).unwrap();
    let change = json!({"stop_ids": ids, "min_new_tokens": 7});
    let events = engine.run(workload(change), &[item("a", 40)]);
    assert!(one(&events)["n_out"].as_u64().unwrap() >= 7);
    for id in one(&events)["token_ids"].as_array().unwrap().iter().take(7) {
        assert!(!ids.contains(&id.as_u64().unwrap()), "{id} was masked");
    }
}

#[test]
fn a_stop_string_cuts_the_text_but_its_tokens_count() {
    let (_file, mut engine) = engine();
    let free = engine.run(workload(json!({})), &[item("a", 40)]);
    let free = one(&free);
    let text = free["text"].as_str().unwrap();
    // Two characters from the middle: a match over two tokens.
    let chars: Vec<(usize, char)> = text.char_indices().collect();
    let whole = |w: &&[(usize, char)]| w.iter().all(|(_, c)| *c != '\u{fffd}');
    let pair = chars
        .windows(2)
        .skip(3)
        .find(whole)
        .expect("the answer has two whole characters in a row");
    let stop: String = pair.iter().map(|(_, c)| *c).collect();
    let at = text.find(&stop).unwrap();
    let events = engine.run(
        workload(json!({"stop_strings": ["never in it", stop]})),
        &[item("a", 40)],
    );
    let sample = one(&events);
    assert_eq!(sample["finish_reason"], "stop");
    assert_eq!(sample["stop_id"], Value::Null);
    assert_eq!(sample["stop_string"], json!(stop));
    assert_eq!(sample["text"], json!(text[..at]));
    let n = sample["n_out"].as_u64().unwrap() as usize;
    assert_eq!(
        sample["token_ids"].as_array().unwrap()[..],
        free["token_ids"].as_array().unwrap()[..n]
    );
    assert_eq!(sample["kv"]["seen"], 40 + n - 1);
}

#[test]
fn an_answer_that_fills_the_context_says_so_and_a_prompt_that_does_is_an_error_of_its_sample() {
    let (_file, mut engine) = engine();
    let context = CONTEXT as usize;
    let items = [item("full", context), item("almost", context - 3), item("short", 9)];
    let events = engine.run(workload(json!({"truncate": "none"})), &items);
    let by = |name: &str| {
        of(&events, "sample")
            .into_iter()
            .find(|e| e["sample"] == name)
            .unwrap()
            .clone()
    };
    assert_eq!(by("full")["finish_reason"], "error");
    assert_eq!(by("full")["error"]["kind"], "prompt_too_long");
    assert_eq!(by("full")["kv"], Value::Null);
    assert_eq!(
        (by("almost")["finish_reason"].clone(), by("almost")["n_out"].clone()),
        (json!("context"), json!(3))
    );
    assert_eq!(by("short")["finish_reason"], "length");
    assert_eq!(of(&events, "finished")[0]["samples"], 3);
}

#[test]
fn a_long_text_is_cut_in_its_middle_and_keeps_both_ends() {
    let (_file, mut engine) = engine();
    let text: String = ('a'..='z').cycle().take(700).collect::<String>().replace("th", "ht");
    let sample = json!({"sample": "long", "prompt": text});
    let events = engine.run(
        workload(json!({"chat": true, "truncate": "middle"})),
        std::slice::from_ref(&sample),
    );
    let cut = one(&events);
    assert_eq!(cut["truncated"], true);
    assert_eq!(cut["n_prompt"], CONTEXT - 24);
    // "<user>" 6, "<a>" 3.
    assert_eq!(cut["n_prompt_raw"], 700 + 9);
    let events = engine.run(
        workload(json!({"chat": true, "truncate": "none"})),
        std::slice::from_ref(&sample),
    );
    assert_eq!(one(&events)["error"]["kind"], "prompt_too_long");
    let retok = |more: Value| {
        let mut cell = json!({"truncate": "middle_retok"});
        cell.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        workload(cell)
    };
    let events = engine.run(retok(json!({})), std::slice::from_ref(&sample));
    // Without a template: 512 - 24 = 488, half of it from either end.
    assert_eq!(one(&events)["n_prompt"], 488);
    // With a limit of its own the answer's cap is not taken off: 300 ids, half of them from either end.
    let events = engine.run(retok(json!({"truncate_at": 300})), std::slice::from_ref(&sample));
    assert_eq!(one(&events)["n_prompt"], 300);
    assert_eq!(one(&events)["truncated"], true);
    // An odd limit is halved downwards, and a text within the limit stays whole.
    let events = engine.run(retok(json!({"truncate_at": 301})), std::slice::from_ref(&sample));
    assert_eq!(one(&events)["n_prompt"], 300);
    let short = json!({"sample": "short", "prompt": &text[..300]});
    let events = engine.run(retok(json!({"truncate_at": 300})), &[short]);
    assert_eq!(
        (one(&events)["n_prompt"].clone(), one(&events)["truncated"].clone()),
        (json!(300), json!(false))
    );
}

#[test]
fn sampling_repeats_with_its_seed_and_differs_with_another() {
    let (_file, mut engine) = engine();
    let drawn = workload(json!({"sampling": {"temperature": 1.0, "top_k": 50, "top_p": 0.95, "min_p": 0.01}}));
    let mut with = |seed: u64, batch: usize| {
        let mut cell = drawn.clone();
        cell["batch"] = json!(batch);
        let mut a = item("a", 30);
        a["seed"] = json!(seed);
        tokens(&engine.run(cell, &[item("b", 50), a]))[0].clone()
    };
    let first = with(1, 1);
    assert_eq!(with(1, 2), first);
    assert_ne!(with(2, 1), first);
}

#[test]
fn traces_tell_what_is_kept_and_how_long_each_step_took() {
    let (_file, mut engine) = engine();
    let mut cell = workload(json!({"trace": ["kept", "times"]}));
    cell["compressor"] = json!({"streaming_llm": {"sinks": 4, "recent": 28}});
    let events = engine.run(cell, &[item("a", 60)]);
    let sample = one(&events);
    let steps = sample["us_steps"].as_array().unwrap().len();
    assert_eq!(
        steps as u64,
        sample["n_out"].as_u64().unwrap() - 1 + u64::from(!sample["stop_id"].is_null())
    );
    let kept = of(&events, "kept")[0];
    let seen = sample["kv"]["seen"].as_u64().unwrap() as usize;
    assert_eq!((kept["layers"].clone(), kept["kv_heads"].clone()), (json!(2), json!(1)));
    use base64::Engine as _;
    let bitmap = base64::engine::general_purpose::STANDARD
        .decode(kept["bitmap"].as_str().unwrap())
        .unwrap();
    let width = seen.div_ceil(8);
    assert_eq!(bitmap.len(), 2 * width);
    let held = |p: usize| p < 4 || p >= seen - 28;
    for map in bitmap.chunks(width) {
        for p in 0..seen {
            assert_eq!(map[p / 8] >> (p % 8) & 1 == 1, held(p), "token {p} of {seen}");
        }
    }
}

#[test]
fn compressors_change_what_is_held_and_the_bytes_of_it() {
    let (_file, mut engine) = engine();
    let mut kv = |compressor: Value| {
        let events = engine.run(generate(compressor, 1, "continuous", 40), &[item("a", 300)]);
        let kv = one(&events)["kv"].clone();
        assert_eq!(of(&events, "finished")[0]["inert"], false);
        kv
    };
    let none = kv(json!("none"));
    // 2 layers, 1 head, d 64, K and V, f16.
    let seen = none["seen"].as_u64().unwrap();
    assert_eq!(none["bytes_f16"], seen * 2 * 64 * 2 * 2);
    assert_eq!(
        (none["dropped"].clone(), none["sealed_k"].clone()),
        (json!(0), json!(0))
    );
    let stream = kv(json!({"streaming_llm": {"sinks": 4, "recent": 60}}));
    assert_eq!(
        (stream["kept_min"].clone(), stream["kept_max"].clone()),
        (json!(64), json!(64))
    );
    assert_eq!(stream["dropped"], 2 * (stream["seen"].as_u64().unwrap() - 64));
    assert_eq!(stream["first_drop"], 0);
    let (four, two) = (kv(json!({"kivi": {"bits": 4}})), kv(json!({"kivi": {"bits": 2}})));
    assert!(two["sealed_v"].as_u64().unwrap() > 0 && two["kept_mean"] == two["seen"].as_f64().unwrap());
    let bytes = |kv: &Value| kv["bytes_end"].as_u64().unwrap();
    assert!(bytes(&two) < bytes(&four) && bytes(&four) < bytes(&none) && bytes(&stream) < bytes(&none));
}

#[test]
fn a_continuation_is_scored_position_by_position() {
    let (_file, mut engine) = engine();
    let answer = engine.run(workload(json!({})), &[item("a", 40)]);
    let ids = one(&answer)["token_ids"].clone();
    let cell = json!({"compressor": "none", "batch": 1, "workload": {"score": {"top_k": 3}}});
    let score = |engine: &mut Engine, continuation: &Value| {
        let mut a = item("a", 40);
        a["continuation"] = continuation.clone();
        of(&engine.run(cell.clone(), &[a]), "scored")[0].clone()
    };
    let own = score(&mut engine, &ids);
    assert_eq!(own["argmax"], ids, "greedy tokens are the most probable ones");
    assert_eq!(own["n_scored"], 24);
    assert_eq!(own["kv"]["seen"], 40 + 23, "the last token is scored, not fed");
    for i in 0..24 {
        let (top, logprob) = (&own["top_logprobs"][i], own["logprobs"][i].as_f64().unwrap());
        assert_eq!(own["top_ids"][i][0], ids[i]);
        assert_eq!(top[0].as_f64().unwrap(), logprob);
        assert!(logprob <= 0.0 && top[0].as_f64() >= top[1].as_f64() && top[1].as_f64() >= top[2].as_f64());
    }
    let other: Vec<u32> = (0..24).map(|i| (i * 37 + 11) % 256).collect();
    let sum = |e: &Value| -> f64 {
        e["logprobs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|l| l.as_f64().unwrap())
            .sum()
    };
    let other = score(&mut engine, &json!(other));
    assert!(
        sum(&own) > sum(&other),
        "the model's own answer has the lower perplexity"
    );
}

#[test]
fn throughput_times_every_repeat_and_phase() {
    let (_file, mut engine) = engine();
    let cell = json!({"compressor": {"kivi": {"bits": 4, "window": 32}}, "batch": 3, "workload": {"throughput":
        {"prompt_tokens": 100, "new_tokens": 6, "warmup": 1, "repeats": 2, "seed": 42}}});
    let events = engine.run(cell, &[]);
    let rows = of(&events, "throughput");
    let phases: Vec<_> = rows
        .iter()
        .map(|e| (e["repeat"].as_u64().unwrap(), e["phase"].as_str().unwrap()))
        .collect();
    assert_eq!(phases, [(0, "prefill"), (0, "decode"), (1, "prefill"), (1, "decode")]);
    for row in rows {
        let decode = row["phase"] == "decode";
        assert_eq!(row["tokens"], if decode { 18 } else { 300 });
        let (seconds, rate) = (row["seconds"].as_f64().unwrap(), row["tokens_s"].as_f64().unwrap());
        assert!((rate * seconds / row["tokens"].as_f64().unwrap() - 1.0).abs() < 1e-9);
        let us = ["attention", "linear", "other"]
            .iter()
            .map(|k| row["us_step"][k].as_f64().unwrap())
            .sum::<f64>();
        let steps = if decode { 6.0 } else { 1.0 };
        assert!(
            (us * steps / 1e6 / seconds - 1.0).abs() < 0.01,
            "the shares add up to the time"
        );
        assert_eq!(row["kv"]["kept_mean"], if decode { 106.0 } else { 100.0 });
    }
    let planned = of(&events, "planned")[0];
    assert_eq!(
        (planned["scheduler"].clone(), planned["invariant"].clone()),
        (json!("static"), json!(false))
    );
    assert_eq!(of(&events, "finished")[0]["inert"], false);
}

#[test]
fn the_largest_batch_is_found_by_probes_and_a_compressor_fits_a_larger_one() {
    let file = model("llama");
    let limit = 6 << 20;
    let mut engine = Engine::with(json!({"id": "t", "model": {"path": file.0}, "threads": 2, "memory_limit": limit}));
    let mut largest = |compressor: Value| {
        let cell = json!({"compressor": compressor, "batch": "max", "workload": {"throughput":
            {"prompt_tokens": 400, "new_tokens": 2, "warmup": 0, "repeats": 1, "seed": 1}}});
        let events = engine.run(cell, &[]);
        let most = of(&events, "finished")[0]["max_batch"].as_u64().unwrap();
        let probes = of(&events, "probe");
        assert!(probes.iter().any(|p| p["batch"] == most && p["fits"] == true));
        assert!(probes
            .iter()
            .any(|p| p["batch"] == most + 1 && p["fits"] == false && p["kind"] == "out_of_memory"));
        assert_eq!(of(&events, "throughput")[0]["batch"], most);
        most
    };
    let (none, stream) = (
        largest(json!("none")),
        largest(json!({"streaming_llm": {"sinks": 4, "recent": 60}})),
    );
    assert!(stream > none, "{stream} sequences with a compressor, {none} without");
}

#[test]
fn what_does_not_fit_is_out_of_memory_with_the_batch_that_does() {
    let file = model("llama");
    let mut engine = Engine::with(json!({"id": "t", "model": {"path": file.0}, "threads": 1, "memory_limit": 6 << 20}));
    let items: Vec<Value> = (0..40).map(|i| item(&format!("s{i}"), 300)).collect();
    let refused = engine.try_run(generate(json!("none"), 40, "static", 100), &items);
    let Err(Error::OutOfMemory { at, message }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(at, "host");
    assert!(message.contains("lower the batch to "), "{message}");
    // The continuous scheduler seats as many as fit, with the tokens of any other batch.
    let crowd = tokens(&engine.run(generate(json!("none"), 40, "continuous", 10), &items));
    assert_eq!(
        crowd,
        tokens(&engine.run(generate(json!("none"), 1, "continuous", 10), &items))
    );
}

#[test]
fn the_reference_backend_agrees_within_the_tolerance_of_int8_activations() {
    let file = model("qwen2");
    let mut cpu = Engine::new(&file, 2);
    let mut reference =
        Engine::with(json!({"id": "t", "model": {"path": file.0}, "threads": 2, "backend": "reference"}));
    let mut a = item("a", 70);
    a["continuation"] = json!([9, 50, 130, 201, 77, 31, 8, 64]);
    let cell = json!({"compressor": "none", "batch": 1, "workload": {"score": {"top_k": VOCAB}}});
    // All log-probabilities, by token id: they differ from the logits by one number a position.
    let scores = |engine: &mut Engine| -> Vec<Vec<f64>> {
        let events = engine.run(cell.clone(), std::slice::from_ref(&a));
        let scored = of(&events, "scored")[0].clone();
        let row = |i: usize| {
            let mut row = vec![f64::NAN; VOCAB as usize];
            for (id, logprob) in scored["top_ids"][i]
                .as_array()
                .unwrap()
                .iter()
                .zip(scored["top_logprobs"][i].as_array().unwrap())
            {
                row[id.as_u64().unwrap() as usize] = logprob.as_f64().unwrap();
            }
            row
        };
        (0..8).map(row).collect()
    };
    let (fast, exact) = (scores(&mut cpu), scores(&mut reference));
    assert_ne!(fast, exact, "the oracle has no int8 activations");
    for (fast, exact) in fast.iter().zip(&exact) {
        let n = exact.len() as f64;
        let mean = exact.iter().sum::<f64>() / n;
        let deviation = (exact.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt();
        for (fast, exact) in fast.iter().zip(exact) {
            assert!(
                (fast - exact).abs() <= 0.25 * deviation,
                "{fast} {exact}, deviation {deviation}"
            );
        }
    }
}

#[test]
fn dummy_models_run_cells_on_ids_and_refuse_text() {
    let dummy = json!({"id": "t", "model": {"dummy": {"shape": "smollm2-135m", "seed": 1, "layers": 1}}, "threads": 2});
    let mut engine = Engine::with(dummy);
    let cell = json!({"compressor": "none", "batch": 2, "workload": {"throughput":
        {"prompt_tokens": 16, "new_tokens": 2, "warmup": 0, "repeats": 1, "seed": 3}}});
    assert_eq!(of(&engine.run(cell, &[]), "throughput").len(), 2);
    let text = json!({"sample": "a", "prompt": "hello"});
    assert!(matches!(
        engine.try_run(workload(json!({})), &[text]),
        Err(Error::BadRequest(_))
    ));
}
