//! Calibration: its numbers, its artefact, and cells that use one.

use gpu_runner::calibrate::{calibrate_layer, lloyd, norm, percentile, Artefact};
use gpu_runner::Error;
use half::f16;
use serde_json::{json, Value};
use sha2::{Digest, Sha256};

use super::calibrated::{artefact, run_calibrate, Scratch, UNMADE};
use super::fixtures::fixture;
use super::kv_trace::{shape, Random};
use super::tiny::{generate, item, model, of, tokens, Engine};

#[test]
fn percentiles_lie_between_their_neighbours() {
    let values = [0.0, 1.0, 2.0, 4.0, 8.0];
    for (share, wanted) in [(0.0, 0.0), (0.25, 1.0), (0.375, 1.5), (0.9, 6.4), (1.0, 8.0)] {
        assert!((percentile(&values, share) - wanted).abs() < 1e-6, "{share}");
    }
    assert_eq!(percentile(&[3.0], 0.7), 3.0);
}

/// Standard normal numbers by Box and Muller, sorted.
fn normals(n: usize) -> Vec<f32> {
    let mut random = Random(99);
    let mut uniform = move || (f64::from(random.float(0.5)) + 0.5).max(1e-9);
    let mut values: Vec<f32> = (0..n)
        .map(|_| ((-2.0 * uniform().ln()).sqrt() * (std::f64::consts::TAU * uniform()).cos()) as f32)
        .collect();
    values.sort_unstable_by(f32::total_cmp);
    values
}

#[test]
fn lloyd_finds_the_centroids_of_the_normal_distribution() {
    let values = normals(200_000);
    let f = fixture("lloyd_max_n01");
    // The page's table: 2 bits .452780 1.510418; 3 bits .245094 .756005 1.343909 2.151946.
    assert!(f["expected"].is_object());
    for (bits, positive) in [
        (2, vec![0.452780, 1.510418]),
        (3, vec![0.245094, 0.756005, 1.343909, 2.151946]),
    ] {
        let found = lloyd(&values, bits);
        let half = positive.len();
        for (i, wanted) in positive.into_iter().enumerate() {
            assert!((found[half + i] - wanted).abs() < 0.03, "{found:?}");
            assert!((found[half - 1 - i] + wanted).abs() < 0.03, "{found:?}");
        }
    }
}

#[test]
fn lloyd_keeps_clusters_and_survives_constants() {
    let mut values = [vec![-1.0f32; 10], vec![-0.25; 20], vec![0.5; 20], vec![1.0; 10]].concat();
    values.sort_unstable_by(f32::total_cmp);
    assert_eq!(lloyd(&values, 2), [-1.0, -0.25, 0.5, 1.0]);
    let constant = lloyd(&[0.0; 7], 3);
    assert_eq!(constant, [0.0; 8]);
    let norm = norm(&[0.0; 7], &constant);
    assert_eq!((norm.scale, norm.shift), (1.0, 0.0));
}

#[test]
fn q_norm_gives_coded_values_the_mean_and_deviation_of_the_originals() {
    let values = normals(10_000);
    let book = lloyd(&values, 2);
    let norm = norm(&values, &book);
    let coded: Vec<f64> = values
        .iter()
        .map(|x| {
            let near = book
                .iter()
                .min_by(|a, b| (**a - x).abs().total_cmp(&(**b - x).abs()))
                .unwrap();
            f64::from(near * norm.scale + norm.shift)
        })
        .collect();
    let moments = |x: &[f64]| {
        let mean = x.iter().sum::<f64>() / x.len() as f64;
        (
            mean,
            (x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / x.len() as f64).sqrt(),
        )
    };
    let wide: Vec<f64> = values.iter().map(|x| f64::from(*x)).collect();
    let ((m, s), (cm, cs)) = (moments(&wide), moments(&coded));
    assert!((m - cm).abs() < 1e-5 && (s - cs).abs() < 1e-5, "{m} {cm} {s} {cs}");
    assert!(norm.scale > 1.0, "coding shrinks the deviation, so the norm widens it");
}

#[test]
fn a_channel_is_bounded_by_its_percentiles() {
    // One head of 64 channels, 101 tokens: channel c runs from c to c + 100.
    let k: Vec<f16> = (0..101 * 64).map(|i| f16::from_f32((i % 64 + i / 64) as f32)).collect();
    let tables = calibrate_layer(&k, &k, 1, 64, 4, 0.1);
    for c in 0..64 {
        assert_eq!(
            (tables.k.lo[0][c], tables.k.hi[0][c]),
            (c as f32 + 5.0, c as f32 + 95.0)
        );
    }
    // All channels are alike after normalising, and their values lie evenly in [-1, 1].
    assert!(
        tables
            .k
            .codebook
            .windows(2)
            .all(|pair| (pair[1] - pair[0] - 0.125).abs() < 0.03),
        "{:?}",
        tables.k.codebook
    );
}

fn code(result: gpu_runner::Result<impl std::fmt::Debug>) -> (&'static str, String) {
    match result {
        Err(Error::Compressor { code, message }) => (code, message),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_artefact_comes_back_from_its_file_and_no_other_content_does() {
    let shape = shape(2, 1, 2, 64);
    let made = artefact(shape, 3, 0.05);
    let file = Scratch::new("artefact.json");
    let write = |bytes: &[u8]| {
        std::fs::write(&file.0, bytes).unwrap();
        let sha: String = Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect();
        sha
    };
    let bytes = made.bytes().unwrap();
    let sha = write(&bytes);
    assert_eq!(Artefact::open(&file.0, &sha).unwrap(), made);
    assert!(made.fits("none", shape, 3, 0.05).is_ok());
    for (result, word) in [
        (made.fits("other", shape, 3, 0.05), "model"),
        (made.fits("none", shape, 4, 0.05), "bits"),
        (made.fits("none", shape, 3, 0.01), "sparsity"),
        (
            made.fits("none", super::kv_trace::shape(3, 1, 2, 64), 3, 0.05),
            "layers",
        ),
        (made.fits("none", super::kv_trace::shape(2, 1, 1, 64), 3, 0.05), "heads"),
        (
            made.fits("none", super::kv_trace::shape(2, 1, 2, 128), 3, 0.05),
            "channels",
        ),
    ] {
        let (code, message) = code(result);
        assert!(code == "calibration_mismatch" && message.contains(word), "{message}");
    }
    // One byte changed: the hash tells.
    let mut tampered = bytes.clone();
    let at = tampered.iter().rposition(u8::is_ascii_digit).unwrap();
    tampered[at] = if tampered[at] == b'1' { b'2' } else { b'1' };
    write(&tampered);
    assert_eq!(code(Artefact::open(&file.0, &sha)).0, "calibration_mismatch");
    assert_eq!(
        code(Artefact::open(std::path::Path::new("nowhere.json"), &sha)).0,
        "calibration_missing"
    );
    // Unsound content under its own hash: the reason is said.
    let value: Value = serde_json::from_slice(&bytes).unwrap();
    let broken = |change: &dyn Fn(&mut Value), word: &str| {
        let mut value = value.clone();
        change(&mut value);
        let sha = write(value.to_string().as_bytes());
        let (code, message) = code(Artefact::open(&file.0, &sha));
        assert!(
            code == "calibration_mismatch" && message.contains(word),
            "{word}: {message}"
        );
    };
    broken(
        &|v| v["layers"][1]["k"]["codebook"] = json!([0.1, 0.0, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]),
        "ascend",
    );
    broken(&|v| v["layers"][0]["v"]["codebook"] = json!([0.1]), "not 8");
    broken(&|v| v["layers"][0]["v"]["codebook"][7] = json!(1.5), "leaves");
    broken(&|v| v["layers"][0]["k"]["lo"][1][3] = json!(1e39), "bounds a channel");
    broken(&|v| v["layers"][0]["v"]["norm"]["scale"] = json!(1e39), "Q-Norm");
    broken(&|v| v["bits"] = json!(5), "bits");
    broken(&|v| v["compressor"] = json!("kivi"), "kivi");
    broken(&|v| v["more"] = json!(1), "unknown field");
    broken(&|v| v["layers"] = json!("none"), "no calibration artefact");
}

#[test]
fn a_model_is_calibrated_and_a_cell_runs_on_the_artefact() {
    let file = model("llama");
    let mut engine = Engine::new(&file, 2);
    let out = Scratch::new("kvquant.json");
    let compressor = json!({"kvquant": {"bits": 4, "sparsity": 0.02}});
    let sha = run_calibrate(&mut engine.0, &compressor, &out).unwrap();
    let made: Artefact = serde_json::from_slice(&std::fs::read(&out.0).unwrap()).unwrap();
    assert_eq!((made.sequences, made.counted, made.layers.len()), (3, 3 * 149, 2));
    assert_eq!(made.model, engine.0.model);
    // Calibrating again, with other threads, gives the same bytes.
    let again = Scratch::new("again.json");
    let mut other = Engine::new(&file, 1);
    assert_eq!(run_calibrate(&mut other.0, &compressor, &again).unwrap(), sha);

    let config = json!({"kvquant": {"bits": 4, "sparsity": 0.02, "calibration": sha}});
    let cell = |batch| {
        let mut cell = generate(config.clone(), batch, "continuous", 40);
        cell["artefacts"] = json!({sha.clone(): out.0});
        cell
    };
    let prompts = [item("a", 30), item("b", 100), item("c", 200)];
    let events = engine.run(cell(3), &prompts);
    assert_eq!(of(&events, "finished")[0]["inert"], false);
    assert_eq!(
        of(&events, "planned")[0]["effective"]["kvquant"]["calibration"],
        json!(sha)
    );
    for sample in of(&events, "sample") {
        assert!(sample.get("error").is_none(), "{sample}");
        let kv = &sample["kv"];
        let sealed = kv["seen"].as_u64().unwrap() - 1;
        assert_eq!(
            (&kv["sealed_k"], &kv["sealed_v"]),
            (&json!(2 * sealed), &json!(2 * sealed))
        );
        assert!(kv["bytes_ideal"].as_u64() < kv["bytes_f16"].as_u64());
    }
    assert_eq!(
        tokens(&events),
        tokens(&engine.run(cell(1), &prompts)),
        "whatever the batch"
    );
    // Keys before RoPE round elsewhere than keys behind it: the first scores agree within that.
    let first = |events: &[Value]| -> Vec<f64> {
        let scored = of(events, "scored");
        scored.iter().map(|e| e["logprobs"][0].as_f64().unwrap()).collect()
    };
    let items: Vec<Value> = prompts
        .iter()
        .map(|p| {
            let mut p = p.clone();
            p["continuation"] = json!([5, 6]);
            p
        })
        .collect();
    let score = |compressor: Value| json!({"compressor": compressor, "batch": 1, "workload": {"score": {}}});
    let mut ours = score(config.clone());
    ours["artefacts"] = json!({sha.clone(): out.0});
    let (ours, none) = (
        first(&engine.run(ours, &items)),
        first(&engine.run(score(json!("none")), &items)),
    );
    for (a, b) in ours.iter().zip(&none) {
        assert!((a - b).abs() < 1e-3, "{ours:?} {none:?}");
    }

    // What does not belong to the cell is refused before anything runs.
    let refused = |engine: &mut Engine, config: &Value, artefacts: Value| {
        let mut cell = generate(config.clone(), 1, "continuous", 4);
        cell["artefacts"] = artefacts;
        code(engine.try_run(cell, &[item("a", 30)])).0
    };
    let right = json!({sha.clone(): out.0});
    assert_eq!(refused(&mut engine, &config, json!({})), "calibration_missing");
    assert_eq!(
        refused(&mut engine, &json!("none"), right.clone()),
        "calibration_mismatch"
    );
    let mut bits = config.clone();
    bits["kvquant"]["bits"] = json!(3);
    assert_eq!(refused(&mut engine, &bits, right.clone()), "calibration_mismatch");
    let mut sparsity = config.clone();
    sparsity["kvquant"]["sparsity"] = json!(0.01);
    assert_eq!(refused(&mut engine, &sparsity, right.clone()), "calibration_mismatch");
    let another = model("qwen2");
    let mut another = Engine::new(&another, 1);
    assert_eq!(refused(&mut another, &config, right), "calibration_mismatch");
}

#[test]
fn a_dummy_model_is_calibrated_under_its_name() {
    let mut engine = Engine::with(json!({
        "id": "d", "model": {"dummy": {"shape": "smollm2-135m", "seed": 3, "layers": 1}}, "threads": 2,
    }));
    let out = Scratch::new("dummy.json");
    let sha = run_calibrate(&mut engine.0, &json!({"kvquant": {"bits": 2}}), &out).unwrap();
    let made = Artefact::open(&out.0, &sha).unwrap();
    assert_eq!(made.model, "dummy:smollm2-135m:seed=3:layers=1");
    assert_eq!(
        (
            made.layers.len(),
            made.layers[0].k.lo.len(),
            made.layers[0].k.lo[0].len()
        ),
        (1, 3, 64)
    );
}

#[test]
fn calibrations_that_cannot_be_meant_are_refused() {
    let file = model("llama");
    let mut engine = Engine::new(&file, 1);
    let out = Scratch::new("never.json");
    let mut refuse = |compressor: Value| run_calibrate(&mut engine.0, &compressor, &out).unwrap_err().kind();
    assert_eq!(refuse(json!({"kivi": {}})), "unsupported");
    assert_eq!(refuse(json!("kvquant")), "bad_request");
    assert_eq!(refuse(json!({"kvquant": {"bits": 5}})), "compressor");
    assert_eq!(refuse(json!({"kvquant": {"calibration": UNMADE}})), "compressor");
    assert!(!out.0.exists());
}

#[test]
fn the_command_answers_a_calibrate_with_the_hash_of_the_file() {
    let file = model("llama");
    let (script, out) = (Scratch::new("lines.jsonl"), Scratch::new("made.json"));
    let ids: Vec<u32> = (0..64).map(|i| i * 3 % 250).collect();
    let long: Vec<u32> = (0..600).map(|i| i % 250).collect();
    let lines = [
        json!({"op": "load", "id": "l", "model": {"path": file.0}, "threads": 1}),
        json!({"op": "calibrate", "id": "k", "compressor": {"kvquant": {}}, "tokens": [ids], "out": out.0}),
        json!({"op": "calibrate", "id": "empty", "compressor": {"kvquant": {}}, "tokens": [], "out": out.0}),
        json!({"op": "calibrate", "id": "long", "compressor": {"kvquant": {}}, "tokens": [long], "out": out.0}),
    ];
    let text: Vec<String> = lines.iter().map(Value::to_string).collect();
    std::fs::write(&script.0, text.join("\n")).unwrap();
    let run = std::process::Command::new(env!("CARGO_BIN_EXE_gpu-runner"))
        .arg("run")
        .arg(&script.0)
        .output()
        .unwrap();
    let events: Vec<Value> = String::from_utf8(run.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let made = of(&events, "calibrated")[0];
    let bytes = std::fs::read(&out.0).unwrap();
    let sha: String = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(
        (&made["id"], &made["sha256"], &made["bytes"]),
        (&json!("k"), &json!(sha), &json!(bytes.len()))
    );
    let failed: Vec<_> = of(&events, "failed")
        .iter()
        .map(|e| (e["id"].clone(), e["kind"].clone()))
        .collect();
    let bad = json!("bad_request");
    assert_eq!(failed, [(json!("empty"), bad.clone()), (json!("long"), bad)]);
}
