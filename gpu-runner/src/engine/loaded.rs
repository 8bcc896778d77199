//! A loaded model with its tokenizer, and what `loaded` says of it.

use crate::backend::cpu::{peak, Cpu, Isa};
use crate::backend::reference::Reference;
use crate::backend::{host, thread_count};
use crate::devices;
use crate::events::{Event, Measured, WeightsInfo};
use crate::gguf::Gguf;
use crate::model::dummy::DummySource;
use crate::model::file::FileSource;
use crate::model::weights::TensorSource;
use crate::model::{Config, Llama, Runner};
use crate::request::{Load, ModelSource};
use crate::tokenizer::Tokenizer;
use crate::{Error, Result};
use serde_json::{json, Value};
use std::time::Instant;

/// A model that cells can run on.
pub struct Loaded {
    /// `None` after `tokenizer_only`.
    pub runner: Option<Box<dyn Runner>>,
    /// Content hash of the model: the file's sha256, or a dummy's shape, seed and layers. Calibration artefacts name it.
    pub model: String,
    /// Its shape.
    pub config: Config,
    /// `None` for dummy models.
    pub tokenizer: Option<Tokenizer>,
    /// From the request, instead of the file's.
    pub chat_template: Option<String>,
    /// Ids that end an answer.
    pub end_ids: Vec<u32>,
    /// Bytes that pages and workspace may take.
    pub memory_limit: u64,
    /// Rates of this machine; `None` after `tokenizer_only`.
    pub measured: Option<Measured>,
}

impl Loaded {
    /// Loads what a request names; the event is its answer.
    ///
    /// # Errors
    /// `model_file`, `unsupported`, `bad_request`.
    pub fn load(request: &Load) -> Result<(Loaded, Event)> {
        let started = Instant::now();
        if request.device.is_some_and(|device| device != 0) {
            return Err(Error::BadRequest(format!(
                "device {} is a GPU index and backend {} has one device; leave device out",
                request.device.unwrap_or(0),
                request.backend
            )));
        }
        if !BACKENDS.contains(&request.backend.as_str()) {
            return Err(Error::Unsupported(format!(
                "backend \"{}\" is not in this build; it has {}",
                request.backend,
                BACKENDS.join(", ")
            )));
        }
        let threads = thread_count(request.threads)?;
        let (mut loaded, sha256) = match &request.model {
            ModelSource::Dummy(model) => {
                let source = DummySource::new(&model.dummy)?;
                let name = dummy_name(&model.dummy.shape, model.dummy.seed, source.config());
                (Loaded::from_source(&source, None, name, request, threads)?, None)
            }
            ModelSource::File(model) => {
                let file = Gguf::open(&model.path)?;
                let sha256 = file.sha256()?.to_owned();
                if let Some(wanted) = model.sha256.as_ref().filter(|w| !w.eq_ignore_ascii_case(&sha256)) {
                    return Err(file.error(format!(
                        "has sha256 {sha256}, the request wants {wanted}; fetch the file that was asked for"
                    )));
                }
                let tokenizer = Tokenizer::from_gguf(&file)?;
                let source = FileSource::new(&file)?;
                if tokenizer.vocab_len() > source.config().vocab {
                    return Err(file.error(format!(
                        "the tokenizer has {} ids and the embedding table {} rows",
                        tokenizer.vocab_len(),
                        source.config().vocab
                    )));
                }
                (
                    Loaded::from_source(&source, Some(tokenizer), sha256.clone(), request, threads)?,
                    Some(sha256),
                )
            }
        };
        loaded.chat_template = request.chat_template.clone();
        let event = loaded.event(request, threads, sha256, started);
        Ok((loaded, event))
    }

    fn from_source(
        source: &dyn TensorSource,
        tokenizer: Option<Tokenizer>,
        model: String,
        request: &Load,
        threads: usize,
    ) -> Result<Loaded> {
        // Measured before the weights are placed, so that they do not share the caches.
        let (runner, measured) = if request.tokenizer_only {
            (None, None)
        } else {
            let cpu = Cpu::new(threads)?;
            let peaks = peak::measure(cpu.isa(), cpu.pool());
            let runner: Box<dyn Runner> = match request.backend.as_str() {
                "reference" => Box::new(Llama::load(source, Reference::new(cpu))?),
                _ => Box::new(Llama::load(source, cpu)?),
            };
            let measured = measured(&peaks, runner.weight_bytes().2);
            (Some(runner), Some(measured))
        };
        let free = host::free_memory().unwrap_or(4 << 30);
        Ok(Loaded {
            runner,
            model,
            config: source.config().clone(),
            end_ids: tokenizer.as_ref().map(|t| t.end_ids().to_vec()).unwrap_or_default(),
            tokenizer,
            chat_template: None,
            memory_limit: request.memory_limit.unwrap_or(free / 5 * 4),
            measured,
        })
    }

    fn event(&self, request: &Load, threads: usize, sha256: Option<String>, started: Instant) -> Event {
        let c = &self.config;
        let mut model = json!({
            "sha256": sha256,
            "arch": c.arch.name,
            "layers": c.shape.layers,
            "q_heads": c.shape.q_heads,
            "kv_heads": c.shape.kv_heads,
            "head_dim": c.shape.head_dim,
            "hidden": c.hidden,
            "ffn": c.ffn,
            "vocab": c.vocab,
            "context": c.context,
            "end_ids": self.end_ids,
            "chat_template": self.template().is_some(),
        });
        if let ModelSource::Dummy(dummy) = &request.model {
            model["dummy"] = json!({"shape": dummy.dummy.shape, "seed": dummy.dummy.seed});
        }
        Event::Loaded {
            id: request.id.clone(),
            backend: if request.backend == "reference" {
                "reference"
            } else {
                "cpu"
            },
            device: device(threads),
            model,
            weights: self.runner.as_ref().map(|runner| {
                let (bytes, _, dtype) = runner.weight_bytes();
                WeightsInfo {
                    bytes,
                    dtype: dtype.to_owned(),
                }
            }),
            t_load: started.elapsed().as_secs_f64(),
            measured: self.measured,
        }
    }

    /// The chat template in use.
    pub fn template(&self) -> Option<&str> {
        self.chat_template
            .as_deref()
            .or_else(|| self.tokenizer.as_ref()?.chat_template())
    }
}

/// What stands for the content hash of a model that has no file.
fn dummy_name(shape: &str, seed: u64, config: &Config) -> String {
    format!("dummy:{shape}:seed={seed}:layers={}", config.shape.layers)
}

/// The rates in the protocol's units. The matrix rate is that of the kernels which the weights run on.
fn measured(peaks: &peak::Peaks, dtype: &str) -> Measured {
    let float = matches!(dtype, "F32" | "F16" | "BF16");
    Measured {
        copy_tb_s: peaks.copy_gb_s / 1e3,
        read_tb_s: peaks.read_gb_s / 1e3,
        gemm_tflop_s: if float { peaks.f32_gflop_s } else { peaks.int8_gop_s } / 1e3,
    }
}

fn device(threads: usize) -> Value {
    json!({
        "name": devices::cpu_name(),
        "arch": std::env::consts::ARCH,
        "isa": Isa::from_env().map(Isa::name).unwrap_or("unknown"),
        "cores": devices::cores(),
        "threads": threads,
    })
}

/// The backends of this build.
pub const BACKENDS: &[&str] = &["cpu", "reference"];
