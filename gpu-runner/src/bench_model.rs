//! The command `bench`: kernels by name, or `prefill` and `decode` of a whole model with time shares.
//!
//! A whole model is measured through the same cell that `serve` runs, so that a figure here is a figure of the
//! protocol.

use crate::bench;
use crate::engine::cell::Host;
use crate::engine::{run_cell, Loaded};
use crate::events::Events;
use crate::plan::CellPlan;
use crate::request::{Batch, Cell, Load, ModelSource, Throughput, Workload};
use crate::{Error, Result};
use serde_json::Value;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Arguments of `bench`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Kernels to time (all without one), or `prefill` or `decode` of a model.
    targets: Vec<String>,
    /// A GGUF file, or a shape of a dummy model, for `prefill` and `decode`.
    #[arg(long)]
    model: Option<String>,
    /// Sequences, or rows of a kernel; may be repeated.
    #[arg(long)]
    batch: Vec<usize>,
    /// Prompt tokens.
    #[arg(long, default_value_t = 512)]
    context: usize,
    /// Decode steps.
    #[arg(long, default_value_t = 64)]
    steps: usize,
    /// Timed runs, after one that is not counted.
    #[arg(long, default_value_t = 5)]
    repeats: usize,
    /// Compressor, a name or JSON.
    #[arg(long, default_value = "none")]
    compressor: String,
    /// `cpu` or `reference`.
    #[arg(long, default_value = "cpu")]
    backend: String,
    /// Threads; all cores without it.
    #[arg(long)]
    threads: Option<usize>,
    /// Weight types of the kernels, by name; all without one.
    #[arg(long)]
    weights: Vec<String>,
    /// JSON lines instead of a table.
    #[arg(long)]
    json: bool,
}

impl Args {
    /// Runs what was asked for.
    ///
    /// # Errors
    /// `bad_request` for names and sizes that do not exist, and what the cell says.
    pub fn run(&self, out: &mut dyn Write) -> Result<()> {
        let whole = |name: &String| name == "prefill" || name == "decode";
        if self.targets.iter().any(whole) {
            if let Some(kernel) = self.targets.iter().find(|name| !whole(name)) {
                return Err(Error::BadRequest(format!(
                    "{kernel} is a kernel and cannot be timed together with a whole model; run bench twice"
                )));
            }
            return self.model(out);
        }
        let options = bench::Options {
            kernels: self.targets.clone(),
            threads: self.threads.unwrap_or(0),
            weights: self.weights.clone(),
            batches: self.batch.clone(),
            json: self.json,
        };
        bench::run(&options, out)
    }

    fn model(&self, out: &mut dyn Write) -> Result<()> {
        let Some(name) = &self.model else {
            return Err(Error::BadRequest(
                "bench prefill and bench decode need --model FILE or --model SHAPE".into(),
            ));
        };
        let (mut loaded, _) = Loaded::load(&self.load(name)?)?;
        let batches = if self.batch.is_empty() {
            vec![1]
        } else {
            self.batch.clone()
        };
        for batch in batches {
            for event in self.cell(&mut loaded, batch)? {
                let phase = event["phase"].as_str().unwrap_or_default();
                if event["event"] != "throughput" || !self.targets.iter().any(|t| t == phase) {
                    continue;
                }
                let line = if self.json { event.to_string() } else { row(&event) };
                // A closed stdout is the reader's choice.
                let _ = writeln!(out, "{line}");
            }
        }
        Ok(())
    }

    fn load(&self, name: &str) -> Result<Load> {
        let known = crate::model::dummy::SHAPES.iter().any(|s| s.name() == name);
        let model = if known {
            serde_json::json!({"dummy": {"shape": name, "seed": 1}})
        } else {
            serde_json::json!({"path": name})
        };
        let model: ModelSource =
            serde_json::from_value(model).map_err(|e| Error::BadRequest(format!("--model {name}: {e}")))?;
        Ok(Load {
            id: "bench".into(),
            model,
            backend: self.backend.clone(),
            threads: self.threads,
            device: None,
            tokenizer_only: false,
            chat_template: None,
            memory_limit: None,
        })
    }

    fn cell(&self, loaded: &mut Loaded, batch: usize) -> Result<Vec<Value>> {
        let compressor = serde_json::from_str(&self.compressor).unwrap_or(Value::from(self.compressor.as_str()));
        let cell = Cell {
            cell: format!("bench-{batch}"),
            compressor,
            batch: Batch::Size(batch),
            scheduler: None,
            invariant: None,
            invariant_rows: None,
            workload: Workload::Throughput(Throughput {
                prompt_tokens: self.context,
                new_tokens: self.steps,
                warmup: 1,
                repeats: self.repeats,
                seed: 42,
            }),
            artefacts: Default::default(),
        };
        let lines = Lines::default();
        let events = Events::new(Box::new(lines.clone()), Instant::now());
        let plan = CellPlan::new(cell, Vec::new(), loaded)?;
        let host = Host {
            events: &events,
            go_on: &|| true,
        };
        run_cell(loaded, &plan, &host)?;
        let bytes = lines.0.lock().unwrap_or_else(PoisonError::into_inner);
        let parsed = bytes
            .split(|byte| *byte == b'\n')
            .filter_map(|line| serde_json::from_slice(line).ok());
        Ok(parsed.collect())
    }
}

/// Collects what the writer of events writes.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn row(event: &Value) -> String {
    let number = |value: &Value| value.as_f64().unwrap_or_default();
    let us = &event["us_step"];
    format!(
        "{:<8} batch {:>3} x {:>5}  {:>9.1} tok/s  {:>8.4} s  {:>5.1}% of bound  attention {:>9.0} us  linear {:>9.0} us  \
         other {:>7.0} us",
        event["phase"].as_str().unwrap_or_default(),
        event["batch"],
        event["prompt_tokens"],
        number(&event["tokens_s"]),
        number(&event["seconds"]),
        100.0 * number(&event["of_bound"]),
        number(&us["attention"]),
        number(&us["linear"]),
        number(&us["other"]),
    )
}
