//! Requests of protocol 1: one JSON object per line. Unknown fields are errors, so a misspelt parameter can never be
//! ignored. Over 500 lines because it is the protocol's one dictionary: half of them say what a field means.

use crate::tokenizer::Message;
use crate::{Error, Result};
use serde::de::DeserializeOwned;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The longest line that is read, in bytes.
pub const MAX_LINE: usize = 8 << 20;

/// One request line.
#[derive(Debug)]
pub enum Request {
    /// Loads a model, after unloading the one before.
    Load(Box<Load>),
    /// Defines a cell.
    Cell(Box<Cell>),
    /// Adds samples to a cell that has not started.
    Samples(Samples),
    /// Runs a cell.
    Start(CellName),
    /// Turns texts into token ids.
    Encode(Encode),
    /// Makes a compressor's artefact from calibration tokens.
    Calibrate(Calibrate),
    /// Ends a cell between two steps.
    Cancel(CellName),
    /// Asks for a `pong`.
    Ping(Ping),
    /// Frees the model.
    Unload,
    /// Ends the process.
    Shutdown,
}

/// `load`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Load {
    /// Named in `loaded` and in failures.
    pub id: String,
    /// What to load.
    pub model: ModelSource,
    /// `cpu`, `reference` or `cuda`.
    #[serde(default = "default_backend")]
    pub backend: String,
    /// CPU threads; the machine's count without it.
    pub threads: Option<usize>,
    /// Index of a GPU.
    pub device: Option<usize>,
    /// Only `encode` will be asked for.
    #[serde(default)]
    pub tokenizer_only: bool,
    /// Used instead of the file's chat template.
    pub chat_template: Option<String>,
    /// Bytes that KV pages and workspace may take; four fifths of the free memory without it.
    pub memory_limit: Option<u64>,
}

fn default_backend() -> String {
    "cpu".into()
}

/// A model file, or random weights of a known shape.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum ModelSource {
    /// A GGUF file.
    File(ModelFile),
    /// Random weights.
    Dummy(DummyModel),
}

/// A GGUF file and the hash that it must have.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelFile {
    /// Where it lies.
    pub path: PathBuf,
    /// Expected sha256, hex.
    pub sha256: Option<String>,
}

/// `{"dummy": {..}}`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DummyModel {
    /// The shape and the seed.
    pub dummy: Dummy,
}

/// Random weights of a known shape.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dummy {
    /// A name of the shape table.
    pub shape: String,
    /// Seed of the generator.
    pub seed: u64,
    /// Fewer layers than the shape has.
    pub layers: Option<usize>,
}

/// `cell`: what to run.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cell {
    /// The name in every event of this cell.
    pub cell: String,
    /// Compressor configuration, resolved by the registry.
    pub compressor: Value,
    /// Sequences that run together, or `max`.
    pub batch: Batch,
    /// `static` or `continuous`; the workload's default without it.
    pub scheduler: Option<Scheduler>,
    /// Whether tokens must not depend on the batch; the workload's default without it.
    pub invariant: Option<bool>,
    /// Rows of the padded decode shape on CUDA; only recorded on a CPU.
    pub invariant_rows: Option<usize>,
    /// What each sample does.
    pub workload: Workload,
    /// Calibration files by sha256.
    #[serde(default)]
    pub artefacts: BTreeMap<String, PathBuf>,
}

/// A batch size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Batch {
    /// So many sequences.
    Size(usize),
    /// The largest that fits (`throughput` only).
    Max,
}

impl<'de> Deserialize<'de> for Batch {
    fn deserialize<D: serde::Deserializer<'de>>(source: D) -> std::result::Result<Self, D::Error> {
        match Value::deserialize(source)? {
            Value::String(word) if word == "max" => Ok(Batch::Max),
            Value::Number(n) if n.as_u64().is_some_and(|n| (1..=4096).contains(&n)) => {
                Ok(Batch::Size(n.as_u64().unwrap_or(1) as usize))
            }
            other => Err(serde::de::Error::custom(format!(
                "batch is {other}; it must be 1 to 4096, or \"max\""
            ))),
        }
    }
}

/// Who decides which sequences run together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scheduler {
    /// A batch runs to its end before the next begins.
    Static,
    /// A freed seat is refilled at once.
    Continuous,
}

/// What a cell does with its samples.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Workload {
    /// Generates answers.
    Generate(Generate),
    /// Scores given continuations.
    Score(Score),
    /// Times prefill and decode at fixed lengths.
    Throughput(Throughput),
}

/// `generate`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Generate {
    /// Cap of new tokens, unless a sample overrides it.
    pub max_new_tokens: usize,
    /// No end before so many tokens.
    #[serde(default)]
    pub min_new_tokens: usize,
    /// Greedy without it.
    #[serde(default)]
    pub sampling: Sampling,
    /// Prompts become user messages of the chat template.
    #[serde(default)]
    pub chat: bool,
    /// What `strftime_now` says, `YYYY-MM-DD`.
    pub date: Option<String>,
    /// What happens to prompts that are too long.
    #[serde(default)]
    pub truncate: Truncate,
    /// Of `middle_retok`: a text of more ids keeps half of so many from either end, whatever its answer may take.
    /// Without it the context is the limit, and the answer's cap is taken off before halving.
    pub truncate_at: Option<usize>,
    /// End ids beside the model's.
    #[serde(default)]
    pub stop_ids: Vec<u32>,
    /// Texts that end an answer.
    #[serde(default)]
    pub stop_strings: Vec<String>,
    /// More to report.
    #[serde(default)]
    pub trace: Vec<Trace>,
}

/// More to report about each sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trace {
    /// An event `kept`.
    Kept,
    /// `us_steps` in `sample`.
    Times,
}

/// What happens to prompts that are too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Truncate {
    /// `prompt_too_long`.
    None,
    /// Ids are cut from the middle of the user text.
    #[default]
    Middle,
    /// The same on text, which is then encoded again.
    MiddleRetok,
}

/// How a token is chosen from logits; as sent, see [`Sampling::check`].
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sampling {
    /// The most probable token.
    pub greedy: Option<bool>,
    /// Divides the logits.
    pub temperature: Option<f32>,
    /// Keeps the k most probable; 0 = off.
    pub top_k: Option<usize>,
    /// Keeps the smallest set with this mass; 1 = off.
    pub top_p: Option<f32>,
    /// Drops what is less probable than this share of the best; 0 = off.
    pub min_p: Option<f32>,
}

/// `score`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Score {
    /// How many of the best tokens to report per position.
    #[serde(default)]
    pub top_k: usize,
    /// Prompts become user messages of the chat template.
    #[serde(default)]
    pub chat: bool,
    /// What `strftime_now` says, `YYYY-MM-DD`.
    pub date: Option<String>,
}

/// `throughput`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Throughput {
    /// Prompt length T of every sequence.
    pub prompt_tokens: usize,
    /// Decode steps N.
    pub new_tokens: usize,
    /// Runs that are not reported.
    #[serde(default = "one")]
    pub warmup: usize,
    /// Runs that are.
    #[serde(default = "five")]
    pub repeats: usize,
    /// Seed of the prompt ids.
    #[serde(default)]
    pub seed: u64,
}

fn one() -> usize {
    1
}

fn five() -> usize {
    5
}

/// `samples`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Samples {
    /// Whose.
    pub cell: String,
    /// In the order in which they are admitted.
    pub items: Vec<Item>,
}

/// One sample: exactly one of `prompt`, `messages`, `tokens`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// Its name.
    pub sample: String,
    /// Which repetition.
    #[serde(default)]
    pub replicate: u32,
    /// Seed of its draws.
    #[serde(default)]
    pub seed: u64,
    /// Text.
    pub prompt: Option<String>,
    /// Chat messages.
    pub messages: Option<Vec<Message>>,
    /// Ids, used as they are.
    pub tokens: Option<Vec<u32>>,
    /// What `score` scores.
    pub continuation: Option<Continuation>,
    /// Overrides the workload's cap.
    pub max_new_tokens: Option<usize>,
}

/// A continuation as text or ids.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Continuation {
    /// Encoded without special tokens.
    Text(String),
    /// As they are.
    Ids(Vec<u32>),
}

/// `start`, `cancel`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CellName {
    /// Which cell.
    pub cell: String,
}

/// `encode`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Encode {
    /// Named in `encoded`.
    pub id: String,
    /// What to encode.
    pub texts: Vec<String>,
    /// Each text becomes a user message of the chat template.
    #[serde(default)]
    pub chat: bool,
    /// What `strftime_now` says, `YYYY-MM-DD`.
    pub date: Option<String>,
}

/// `calibrate`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibrate {
    /// Named in `calibrated`.
    pub id: String,
    /// Whose artefact.
    pub compressor: Value,
    /// Calibration sequences.
    pub tokens: Vec<Vec<u32>>,
    /// Where the artefact goes.
    pub out: PathBuf,
}

/// `ping`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ping {
    /// Named in `pong`.
    pub id: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// A line that is no request: the error, and the op, cell or id that it names.
#[derive(Debug)]
pub struct Refused {
    /// `op` of the line, if it has one.
    pub op: Option<String>,
    /// `cell` of the line, if it has one.
    pub cell: Option<String>,
    /// `id` of the line, if it has one.
    pub id: Option<String>,
    /// Why.
    pub error: Error,
}

impl Request {
    /// Reads one line.
    ///
    /// # Errors
    /// [`Refused`] with `bad_request`: not JSON, no object, unknown op or field, a value of the wrong type.
    pub fn parse(line: &str) -> std::result::Result<Request, Box<Refused>> {
        let refused = |cell, id, message| {
            Box::new(Refused {
                op: None,
                cell,
                id,
                error: Error::BadRequest(message),
            })
        };
        let value: Value =
            serde_json::from_str(line).map_err(|e| refused(None, None, format!("the line is not JSON: {e}")))?;
        let Value::Object(mut fields) = value else {
            return Err(refused(
                None,
                None,
                "a request is a JSON object with a field \"op\"".into(),
            ));
        };
        let text = |name: &str| fields.get(name).and_then(Value::as_str).map(str::to_owned);
        let (cell, id, op) = (text("cell"), text("id"), text("op"));
        let Some(op) = op else {
            return Err(refused(
                cell,
                id,
                "the request has no \"op\" that is a string; send one of ".to_owned() + OPS,
            ));
        };
        fields.remove("op");
        let body = Value::Object(fields);
        Self::from_parts(&op, body).map_err(|error| {
            Box::new(Refused {
                op: Some(op),
                cell,
                id,
                error,
            })
        })
    }

    fn from_parts(op: &str, body: Value) -> Result<Request> {
        fn read<T: DeserializeOwned>(op: &str, body: Value) -> Result<T> {
            serde_json::from_value(body).map_err(|e| Error::BadRequest(format!("op \"{op}\": {e}")))
        }
        Ok(match op {
            "load" => {
                // An untagged enum would only say "did not match any variant".
                let model = body.get("model").cloned().unwrap_or(Value::Null);
                if model.get("dummy").is_some() {
                    read::<DummyModel>("load", model)?;
                } else {
                    read::<ModelFile>("load", model)?;
                }
                Request::Load(read(op, body)?)
            }
            "cell" => {
                let cell: Box<Cell> = read(op, body)?;
                cell.check()?;
                Request::Cell(cell)
            }
            "samples" => {
                let samples: Samples = read(op, body)?;
                samples.items.iter().try_for_each(Item::check)?;
                Request::Samples(samples)
            }
            "start" => Request::Start(read(op, body)?),
            "encode" => Request::Encode(read(op, body)?),
            "calibrate" => Request::Calibrate(read(op, body)?),
            "cancel" => Request::Cancel(read(op, body)?),
            "ping" => Request::Ping(read(op, body)?),
            "unload" => read::<Nothing>(op, body).map(|_| Request::Unload)?,
            "shutdown" => read::<Nothing>(op, body).map(|_| Request::Shutdown)?,
            _ => return Err(Error::BadRequest(format!("unknown op \"{op}\"; send one of {OPS}"))),
        })
    }
}

const OPS: &str = "load, cell, samples, start, encode, calibrate, cancel, ping, unload, shutdown";

impl Cell {
    fn check(&self) -> Result<()> {
        let bad = |message: String| Err(Error::BadRequest(format!("cell {}: {message}", self.cell)));
        match &self.workload {
            Workload::Generate(w) => {
                if w.max_new_tokens == 0 {
                    return bad("max_new_tokens is 0; ask for at least 1".into());
                }
                if w.min_new_tokens > w.max_new_tokens {
                    return bad(format!(
                        "min_new_tokens {} is above max_new_tokens {}; lower it",
                        w.min_new_tokens, w.max_new_tokens
                    ));
                }
                if w.stop_strings.iter().any(String::is_empty) {
                    return bad("a stop string is empty; leave it out".into());
                }
                if w.truncate_at.is_some() && w.truncate != Truncate::MiddleRetok {
                    return bad("truncate_at is a limit of truncate middle_retok alone; leave it out".into());
                }
                if w.truncate_at.is_some_and(|ids| ids < 2) {
                    return bad("truncate_at is below 2 ids; a text has to keep both ends".into());
                }
                w.sampling.check()?;
            }
            Workload::Score(_) => {}
            Workload::Throughput(w) => {
                if w.prompt_tokens == 0 || w.new_tokens == 0 || w.repeats == 0 {
                    return bad("prompt_tokens, new_tokens and repeats must be at least 1".into());
                }
                if self.scheduler == Some(Scheduler::Continuous) {
                    return bad("throughput is timed on static batches; leave scheduler out".into());
                }
            }
        }
        if self.batch == Batch::Max && !matches!(self.workload, Workload::Throughput(_)) {
            return bad("batch \"max\" belongs to throughput; give a number".into());
        }
        Ok(())
    }
}

impl Sampling {
    /// Refuses values out of range and `greedy` next to others.
    ///
    /// # Errors
    /// `bad_request`.
    pub fn check(&self) -> Result<()> {
        let bad = |message: String| Err(Error::BadRequest(format!("sampling: {message}")));
        let drawn = self.temperature.is_some() || self.top_k.is_some() || self.top_p.is_some() || self.min_p.is_some();
        match self.greedy {
            Some(true) if drawn => return bad("greedy takes no other parameter; leave one out".into()),
            Some(false) if !drawn => return bad("give a temperature or \"greedy\": true".into()),
            _ => {}
        }
        if let Some(t) = self.temperature {
            if !(t > 0.0 && t.is_finite()) {
                return bad(format!("temperature is {t}; it must be above 0 (greedy: true for 0)"));
            }
        } else if drawn {
            return bad("top_k, top_p and min_p need a temperature".into());
        }
        if let Some(p) = self.top_p.filter(|p| !(*p > 0.0 && *p <= 1.0)) {
            return bad(format!("top_p is {p}; it must be above 0 and at most 1"));
        }
        if let Some(p) = self.min_p.filter(|p| !(0.0..=1.0).contains(p)) {
            return bad(format!("min_p is {p}; it must be 0 to 1"));
        }
        Ok(())
    }
}

impl Item {
    fn check(&self) -> Result<()> {
        let bad = |message: &str| Err(Error::BadRequest(format!("sample {}: {message}", self.sample)));
        let given = [self.prompt.is_some(), self.messages.is_some(), self.tokens.is_some()];
        if given.iter().filter(|g| **g).count() != 1 {
            return bad("give exactly one of prompt, messages, tokens");
        }
        if self.tokens.as_ref().is_some_and(Vec::is_empty) {
            return bad("tokens is empty; give at least one id");
        }
        if self.max_new_tokens == Some(0) {
            return bad("max_new_tokens is 0; ask for at least 1");
        }
        Ok(())
    }
}
