//! Calibration artefacts for tests that run every method: kvquant cannot do without one.

use std::sync::{Arc, Mutex};

use gpu_runner::calibrate::{calibrate, calibrate_layer, Artefact, Weighting};
use gpu_runner::compress::Resolved;
use gpu_runner::engine::Loaded;
use gpu_runner::events::Event;
use gpu_runner::model::Shape;
use gpu_runner::request::Request;
use half::f16;
use serde_json::{json, Value};

use super::kv_trace::Random;
use super::tiny::item;

/// The hash of a configuration whose artefact a test makes on the way.
pub const UNMADE: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// With an artefact for numbers like those of the tests' traces, if the method reads one.
pub fn calibrated(mut resolved: Resolved, shape: Shape) -> Resolved {
    let params = &resolved.storer.params;
    if params.get("calibration").is_some() {
        let (bits, sparsity) = (params.int("bits") as u8, params.float("sparsity"));
        resolved.calibration = Some(Arc::new(artefact(shape, bits, sparsity)));
    }
    resolved
}

/// Of 200 tokens of uniform numbers, every sixteenth channel of K six times as large.
pub fn artefact(shape: Shape, bits: u8, sparsity: f64) -> Artefact {
    let (heads, d) = (shape.kv_heads, shape.head_dim);
    let layer = |layer: usize| {
        let mut random = Random(1000 + layer as u64);
        let mut k = random.floats(200 * heads * d, 1.0);
        k.iter_mut().step_by(16).for_each(|x| *x *= 6.0);
        let k: Vec<f16> = k.into_iter().map(f16::from_f32).collect();
        let v = random.halves(200 * heads * d, 1.0);
        calibrate_layer(&k, &v, heads, d, bits, sparsity)
    };
    Artefact {
        compressor: "kvquant".into(),
        model: "none".into(),
        tokens: "none".into(),
        sequences: 1,
        counted: 200,
        bits,
        sparsity,
        sinks_fp: 0,
        weights: Weighting::Uniform,
        layers: (0..shape.layers).map(layer).collect(),
    }
}

/// A file under the system's temporary folder that goes with its owner.
pub struct Scratch(pub std::path::PathBuf);

impl Scratch {
    pub fn new(name: &str) -> Scratch {
        static COUNT: Mutex<usize> = Mutex::new(0);
        let mut count = COUNT.lock().unwrap();
        *count += 1;
        let name = format!("gpu-runner-{}-{count}-{name}", std::process::id());
        Scratch(std::env::temp_dir().join(name))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Runs op `calibrate` with three sequences of 150 tokens; returns the artefact's hash.
pub fn run_calibrate(loaded: &mut Loaded, compressor: &Value, out: &Scratch) -> gpu_runner::Result<String> {
    let tokens: Vec<Value> = (0..3)
        .map(|i| item(&format!("calibration {i}"), 150)["tokens"].clone())
        .collect();
    let line = json!({"op": "calibrate", "id": "k", "compressor": compressor, "tokens": tokens, "out": out.0});
    let Ok(Request::Calibrate(request)) = Request::parse(&line.to_string()) else {
        panic!("not a calibrate");
    };
    match calibrate(loaded, &request, &|| true)? {
        Some(Event::Calibrated { sha256, .. }) => Ok(sha256),
        other => panic!("{other:?}"),
    }
}

/// Calibrates the loaded model for a cell whose artefact is unmade. The file is opened when the cell is planned; it stays
/// until the test's process ends.
pub fn calibrate_for(loaded: &mut Loaded, cell: &mut Value) {
    static MADE: Mutex<Vec<Scratch>> = Mutex::new(Vec::new());
    let config = &cell["compressor"]["kvquant"];
    if config["calibration"] != UNMADE {
        return;
    }
    let mut compressor = json!({"kvquant": config});
    compressor["kvquant"].as_object_mut().unwrap().remove("calibration");
    let out = Scratch::new("artefact.json");
    let sha256 = run_calibrate(loaded, &compressor, &out).unwrap();
    cell["compressor"]["kvquant"]["calibration"] = json!(sha256);
    cell["artefacts"] = json!({sha256: out.0});
    MADE.lock().unwrap().push(out);
}
