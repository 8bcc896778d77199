//! A model of a third of a megabyte with random weights, and cells run on it inside the test's own process.

use crate::calibrated::calibrate_for;
use crate::gguf_file::{GgufFile, Kv, Temporary, TensorSpec};
use gpu_runner::engine::cell::Host;
use gpu_runner::engine::{run_cell, Loaded};
use gpu_runner::events::Events;
use gpu_runner::plan::CellPlan;
use gpu_runner::random::{key, uniform};
use gpu_runner::request::{Load, Request};
use serde_json::{json, Value};
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// Tokens of prompt and answer.
pub const CONTEXT: u32 = 512;
/// 256 bytes, an end token, "th".
pub const VOCAB: u64 = 258;
pub const END: u32 = 256;

/// `arch` is `llama` or `qwen2`; weight types differ from tensor to tensor.
pub fn model(arch: &str) -> Temporary {
    model_of(arch, 2, 2, 1)
}

/// As [`model`], with so many layers, query heads and kv heads of 64 channels.
pub fn model_of(arch: &str, layers: u32, q_heads: u32, kv_heads: u32) -> Temporary {
    let (hidden, ffn) = (128u64, 256u64);
    let (q, kv) = (64 * u64::from(q_heads), 64 * u64::from(kv_heads));
    let mut tensors = vec![
        matrix("token_embd.weight", 1, VOCAB, hidden, 1.0),
        vector("output_norm.weight", hidden, 1.0),
        matrix("output.weight", 8, VOCAB, hidden, 0.6),
    ];
    for layer in 0..layers {
        let name = |part: &str| format!("blk.{layer}.{part}");
        tensors.push(vector(&name("attn_norm.weight"), hidden, 1.0));
        tensors.push(vector(&name("ffn_norm.weight"), hidden, 1.0));
        tensors.push(matrix(&name("attn_q.weight"), 3, q, hidden, 0.4));
        tensors.push(matrix(&name("attn_k.weight"), 3, kv, hidden, 0.4));
        tensors.push(matrix(&name("attn_v.weight"), 8, kv, hidden, 0.3));
        tensors.push(matrix(&name("attn_output.weight"), 2, hidden, q, 0.3));
        tensors.push(matrix(&name("ffn_gate.weight"), 3, ffn, hidden, 0.3));
        tensors.push(matrix(&name("ffn_up.weight"), 3, ffn, hidden, 0.3));
        tensors.push(matrix(&name("ffn_down.weight"), 1, hidden, ffn, 0.2));
        if arch == "qwen2" {
            for (part, len) in [("attn_q.bias", q), ("attn_k.bias", kv), ("attn_v.bias", kv)] {
                tensors.push(vector(&name(part), len, 0.1));
            }
        }
    }
    let mut kv: Vec<(String, Kv)> = [
        ("block_count", Kv::U32(layers)),
        ("context_length", Kv::U32(CONTEXT)),
        ("embedding_length", Kv::U32(hidden as u32)),
        ("feed_forward_length", Kv::U32(ffn as u32)),
        ("attention.head_count", Kv::U32(q_heads)),
        ("attention.head_count_kv", Kv::U32(kv_heads)),
        ("attention.key_length", Kv::U32(64)),
        ("attention.value_length", Kv::U32(64)),
        ("attention.layer_norm_rms_epsilon", Kv::F32(1e-5)),
        ("rope.freq_base", Kv::F32(10_000.0)),
    ]
    .into_iter()
    .map(|(name, value)| (format!("{arch}.{name}"), value))
    .collect();
    kv.push(("general.architecture".into(), Kv::Str(arch.into())));
    kv.extend(vocabulary());
    let file = GgufFile {
        version: 3,
        alignment: 32,
        kv,
        tensors,
    };
    Temporary::new(&file.bytes())
}

fn vocabulary() -> Vec<(String, Kv)> {
    let printable = |c: u32| matches!(c, 33..=126 | 161..=172 | 174..=255);
    let others = (0..256u32)
        .filter(|c| !printable(*c))
        .enumerate()
        .map(|(i, _)| 256 + i as u32);
    let bytes = (0..256).filter(|c| printable(*c)).chain(others);
    let mut tokens: Vec<String> = bytes.filter_map(char::from_u32).map(String::from).collect();
    tokens.extend(["<|end|>", "th"].map(String::from));
    let mut types = vec![1; tokens.len()];
    types[END as usize] = 3;
    let template = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<a>";
    [
        ("model", Kv::Str("gpt2".into())),
        ("pre", Kv::Str("gpt-2".into())),
        ("tokens", Kv::Strs(tokens)),
        ("token_type", Kv::I32s(types)),
        ("merges", Kv::Strs(vec!["t h".into()])),
        ("eos_token_id", Kv::U32(END)),
    ]
    .into_iter()
    .map(|(name, value)| (format!("tokenizer.ggml.{name}"), value))
    .chain([("tokenizer.chat_template".to_owned(), Kv::Str(template.into()))])
    .collect()
}

/// Uniform weights in [-a, a); `ty` is a number of the GGUF format: 1 F16, 2 Q4_0, 3 Q4_1, 8 Q8_0.
fn matrix(name: &str, ty: u32, rows: u64, cols: u64, a: f32) -> TensorSpec {
    let seed = name.bytes().fold(0u64, |h, b| h * 131 + u64::from(b));
    let draw = |i: u64| uniform(key(seed, [99, 0, 0, 0, 0]), i);
    let half = |x: f32| half::f16::from_f32(x).to_le_bytes();
    let n = rows * cols;
    let byte = |i: u64| (draw(i) * 256.0) as u8;
    let data: Vec<u8> = match ty {
        1 => (0..n).flat_map(|i| half((2.0 * draw(i) - 1.0) * a)).collect(),
        _ => (0..n / 32)
            .flat_map(|block| {
                let (head, codes) = match ty {
                    2 => (half(a / 8.0).to_vec(), 16),
                    3 => ([half(2.0 * a / 15.0), half(-a)].concat(), 16),
                    _ => (half(a / 127.0).to_vec(), 32),
                };
                head.into_iter()
                    .chain((0..codes).map(move |i| byte(block * 32 + i)))
                    .collect::<Vec<u8>>()
            })
            .collect(),
    };
    TensorSpec {
        name: name.into(),
        dims: vec![cols, rows],
        ty,
        data,
        offset: None,
    }
}

fn vector(name: &str, len: u64, value: f32) -> TensorSpec {
    let values = (0..len).map(|i| value * (1.0 + 0.01 * (i % 7) as f32));
    TensorSpec {
        name: name.into(),
        dims: vec![len],
        ty: 0,
        data: values.flat_map(f32::to_le_bytes).collect(),
        offset: None,
    }
}

/// A loaded model to run cells on.
pub struct Engine(pub Loaded);

impl Engine {
    pub fn new(file: &Temporary, threads: usize) -> Engine {
        Engine::with(json!({"id": "t", "model": {"path": file.0}, "threads": threads}))
    }

    pub fn with(load: Value) -> Engine {
        let load: Load = serde_json::from_value(load).unwrap();
        Engine(Loaded::load(&load).unwrap().0)
    }

    /// Runs a cell to its end and returns its events.
    pub fn try_run(&mut self, mut cell: Value, items: &[Value]) -> gpu_runner::Result<Vec<Value>> {
        cell["op"] = json!("cell");
        cell["cell"] = json!("c");
        calibrate_for(&mut self.0, &mut cell);
        let samples = json!({"op": "samples", "cell": "c", "items": items});
        let Ok(Request::Cell(cell)) = Request::parse(&cell.to_string()) else {
            panic!("not a cell: {:?}", Request::parse(&cell.to_string()));
        };
        let Ok(Request::Samples(samples)) = Request::parse(&samples.to_string()) else {
            panic!("not samples");
        };
        let lines = Lines::default();
        let events = Events::new(Box::new(lines.clone()), Instant::now());
        let plan = CellPlan::new(*cell, samples.items, &self.0)?;
        let host = Host {
            events: &events,
            go_on: &|| true,
        };
        run_cell(&mut self.0, &plan, &host)?;
        let bytes = lines.0.lock().unwrap();
        let lines = bytes.split(|b| *b == b'\n').filter(|line| !line.is_empty());
        Ok(lines.map(|line| serde_json::from_slice(line).unwrap()).collect())
    }

    pub fn run(&mut self, cell: Value, items: &[Value]) -> Vec<Value> {
        self.try_run(cell, items).unwrap()
    }
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The events of one kind.
pub fn of<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    events.iter().filter(|e| e["event"] == kind).collect()
}

/// Token ids by sample name, sorted.
pub fn tokens(events: &[Value]) -> Vec<(String, Value)> {
    let mut all: Vec<_> = of(events, "sample")
        .into_iter()
        .map(|e| (e["sample"].as_str().unwrap().to_owned(), e["token_ids"].clone()))
        .collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

/// A sample of `n` random ids.
pub fn item(name: &str, n: usize) -> Value {
    let seed = name.bytes().fold(7u64, |h, b| h * 31 + u64::from(b));
    let ids: Vec<u32> = (0..n as u64)
        .map(|i| (uniform(key(seed, [1; 5]), i) * 256.0) as u32)
        .collect();
    json!({"sample": name, "replicate": 0, "seed": seed, "tokens": ids})
}

/// A `generate` cell.
pub fn generate(compressor: Value, batch: usize, scheduler: &str, new: usize) -> Value {
    json!({
        "compressor": compressor, "batch": batch, "scheduler": scheduler,
        "workload": {"generate": {"max_new_tokens": new, "sampling": {"greedy": true}}},
    })
}
