//! Events of protocol 1 and the one writer of them. The writer alone holds `n`, so the numbers have no gaps and a lost
//! line is seen.

use crate::cache::KvStats;
use crate::Error;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// The protocol's version.
pub const PROTOCOL: u32 = 1;

/// One event. Readers must ignore fields that they do not know.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[allow(missing_docs)] // The protocol page describes each field.
pub enum Event {
    Hello {
        protocol: u32,
        engine: &'static str,
        build: String,
        numerics: BTreeMap<&'static str, &'static str>,
        pid: u32,
    },
    Loaded {
        id: String,
        backend: &'static str,
        device: Value,
        model: Value,
        #[serde(skip_serializing_if = "Option::is_none")]
        weights: Option<WeightsInfo>,
        t_load: f64,
        #[serde(skip_serializing_if = "Option::is_none")]
        measured: Option<Measured>,
    },
    Planned(Box<Planned>),
    Progress {
        cell: String,
        phase: &'static str,
        done: usize,
        total: usize,
        tokens: u64,
    },
    Sample(Box<Sample>),
    Throughput(Box<Throughput>),
    Probe {
        cell: String,
        batch: usize,
        fits: bool,
        kind: Option<&'static str>,
    },
    Scored(Box<Scored>),
    Kept {
        cell: String,
        sample: String,
        replicate: u32,
        seen: usize,
        layers: usize,
        kv_heads: usize,
        bitmap: String,
    },
    Finished {
        cell: String,
        samples: usize,
        tokens: u64,
        seconds: f64,
        peak_bytes: u64,
        inert: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        max_batch: Option<usize>,
    },
    Encoded {
        id: String,
        ids: Vec<Vec<u32>>,
    },
    Calibrated {
        id: String,
        sha256: String,
        path: String,
        bytes: u64,
    },
    Failed(Failed),
    Cancelled {
        cell: String,
        samples: usize,
    },
    Pong {
        id: String,
        state: &'static str,
    },
    Bye {
        code: i32,
    },
}

/// Bytes and type of the weights as they lie in memory.
#[derive(Debug, Clone, Serialize)]
pub struct WeightsInfo {
    /// Bytes of all matrices, the embedding table included.
    pub bytes: u64,
    /// The type of most of the bytes.
    pub dtype: String,
}

/// Rates of this machine, taken at load.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Measured {
    /// Bytes copied (read and written) per second, in TB/s.
    pub copy_tb_s: f64,
    /// Bytes read per second, in TB/s.
    pub read_tb_s: f64,
    /// Multiply-adds of the matrix kernel, two operations each, in TFLOP/s.
    pub gemm_tflop_s: f64,
}

/// What a cell will really run.
#[derive(Debug, Serialize)]
#[allow(missing_docs)]
pub struct Planned {
    pub cell: String,
    pub requested: Value,
    pub effective: Value,
    pub derived: Value,
    pub batch: Value,
    pub scheduler: crate::request::Scheduler,
    pub invariant: bool,
    pub invariant_rows: usize,
    pub numerics: &'static str,
    pub stop_ids: Vec<u32>,
    pub page: PageInfo,
    pub memory: MemoryInfo,
    pub samples: usize,
}

/// The page format of a cell.
#[derive(Debug, Clone, Copy, Serialize)]
#[allow(missing_docs)]
pub struct PageInfo {
    pub tokens: usize,
    pub bytes: usize,
    pub bits: f64,
}

/// Bytes: of pages at the worst case of one full batch, of scratch, and free when planned.
#[derive(Debug, Clone, Copy, Serialize)]
#[allow(missing_docs)]
pub struct MemoryInfo {
    pub pages: u64,
    pub workspace: u64,
    pub free: u64,
}

/// One generated answer, or why there is none.
#[derive(Debug, Serialize)]
#[allow(missing_docs)]
pub struct Sample {
    pub cell: String,
    pub sample: String,
    pub replicate: u32,
    pub seed: u64,
    pub n_prompt_raw: usize,
    pub n_prompt: usize,
    pub truncated: bool,
    pub prompt_sha: String,
    pub n_out: usize,
    pub finish_reason: &'static str,
    pub stop_id: Option<u32>,
    pub stop_string: Option<String>,
    pub text: String,
    pub token_ids: Vec<u32>,
    pub output_sha: String,
    pub t_submit: f64,
    pub t_admit: Option<f64>,
    pub t_first: Option<f64>,
    pub t_last: Option<f64>,
    pub kv: Option<KvStats>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub us_steps: Option<Vec<u32>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<SampleError>,
}

/// A failure that belongs to one sample.
#[derive(Debug, Clone, Serialize)]
#[allow(missing_docs)]
pub struct SampleError {
    pub kind: &'static str,
    pub message: String,
}

impl From<&Error> for SampleError {
    fn from(error: &Error) -> Self {
        SampleError {
            kind: error.kind(),
            message: error.to_string(),
        }
    }
}

/// Scores of one continuation, one entry per continuation token.
#[derive(Debug, Serialize)]
#[allow(missing_docs)]
pub struct Scored {
    pub cell: String,
    pub sample: String,
    pub replicate: u32,
    pub seed: u64,
    pub n_prompt: usize,
    pub n_scored: usize,
    pub logprobs: Vec<f32>,
    pub argmax: Vec<u32>,
    pub top_ids: Vec<Vec<u32>>,
    pub top_logprobs: Vec<Vec<f32>>,
    pub kv: Option<KvStats>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<SampleError>,
}

/// One timed phase of one repeat.
#[derive(Debug, Serialize)]
#[allow(missing_docs)]
pub struct Throughput {
    pub cell: String,
    pub repeat: usize,
    pub phase: &'static str,
    pub batch: usize,
    pub prompt_tokens: usize,
    pub steps: usize,
    pub tokens: usize,
    pub seconds: f64,
    pub tokens_s: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_step: Option<u64>,
    pub bound_s: f64,
    pub of_bound: f64,
    pub us_step: UsStep,
    pub peak_bytes: u64,
    pub kv: KvTotals,
}

/// Microseconds of one step (of the whole phase for prefill), by kind of work.
#[derive(Debug, Clone, Copy, Serialize)]
#[allow(missing_docs)]
pub struct UsStep {
    pub attention: f64,
    pub linear: f64,
    pub other: f64,
}

/// The cache at the end of a phase, bytes summed over the batch.
#[derive(Debug, Clone, Default, Serialize)]
#[allow(missing_docs)]
pub struct KvTotals {
    pub bytes_end: u64,
    pub bytes_peak: u64,
    pub bytes_f16: u64,
    pub bytes_ideal: u64,
    pub kept_mean: f64,
}

/// A failure of a cell or of a request.
#[derive(Debug, Serialize)]
#[allow(missing_docs)]
pub struct Failed {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cell: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    pub kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
    #[serde(rename = "where", skip_serializing_if = "Option::is_none")]
    pub at: Option<&'static str>,
    pub message: String,
    pub usable: bool,
}

impl Failed {
    /// The failure of `cell`, or else of request `id`.
    pub fn new(cell: Option<String>, id: Option<String>, error: &Error) -> Failed {
        let (code, at) = match error {
            Error::Compressor { code, .. } => (Some(*code), None),
            Error::OutOfMemory { at, .. } => (None, Some(*at)),
            _ => (None, None),
        };
        Failed {
            cell,
            id,
            kind: error.kind(),
            code,
            at,
            message: error.to_string(),
            usable: error.is_usable(),
        }
    }
}

#[derive(Serialize)]
struct Numbered<'a> {
    #[serde(flatten)]
    event: &'a Event,
    n: u64,
}

/// Writes events, each flushed, and keeps the one clock of `t_*`.
pub struct Events {
    out: Mutex<(u64, Box<dyn Write + Send>)>,
    start: Instant,
    broken: AtomicBool,
}

impl Events {
    /// `start` is when the process began.
    pub fn new(out: Box<dyn Write + Send>, start: Instant) -> Events {
        Events {
            out: Mutex::new((0, out)),
            start,
            broken: AtomicBool::new(false),
        }
    }

    /// Seconds since the process began.
    pub fn now(&self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }

    /// Writes one event.
    pub fn emit(&self, event: &Event) {
        let mut guard = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        let (n, out) = &mut *guard;
        let written = serde_json::to_vec(&Numbered { event, n: *n })
            .map_err(std::io::Error::from)
            .and_then(|mut line| {
                line.push(b'\n');
                out.write_all(&line)?;
                out.flush()
            });
        *n += 1;
        if written.is_err() {
            self.broken.store(true, Ordering::SeqCst);
        }
    }

    /// Whether the reader has gone: a write failed.
    pub fn is_broken(&self) -> bool {
        self.broken.load(Ordering::SeqCst)
    }
}
