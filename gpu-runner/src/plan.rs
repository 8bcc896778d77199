//! From a request to what runs: the compressor resolved, defaults filled in, memory counted before any work.

use crate::backend::{host, CPU_NUMERICS};
use crate::calibrate;
use crate::compress::{resolve, Resolved};
use crate::engine::Loaded;
use crate::events::{Event, Events, MemoryInfo, PageInfo, Planned};
use crate::model::Runner;
use crate::request::{Batch, Cell, Item, Scheduler, Workload};
use crate::{Error, Result};
use serde_json::{json, Value};

/// Tokens per part of decode attention, merged in order, when tokens must not depend on the batch.
const INVARIANT_CHUNK: usize = 1024;

/// Shortest part otherwise.
const LEAST_CHUNK: usize = 64;

/// Rows of the padded decode shape where a request does not say; it only matters on CUDA.
const INVARIANT_ROWS: usize = 64;

/// A cell that is ready to run.
pub struct CellPlan {
    /// As requested.
    pub request: Cell,
    /// Its samples, in order.
    pub items: Vec<Item>,
    /// The compressor that really runs.
    pub resolved: Resolved,
    /// Who decides what runs together.
    pub scheduler: Scheduler,
    /// Whether tokens must not depend on the batch.
    pub invariant: bool,
    /// Recorded.
    pub invariant_rows: usize,
    /// All end ids, ascending.
    pub stop_ids: Vec<u32>,
    /// Bytes that pages and workspace may take.
    pub limit: u64,
}

impl CellPlan {
    /// Resolves a request on a loaded model.
    ///
    /// # Errors
    /// `compressor`, `bad_request`.
    pub fn new(request: Cell, items: Vec<Item>, loaded: &Loaded) -> Result<CellPlan> {
        let mut resolved = resolve(&request.compressor, Some(loaded.config.shape))?;
        resolved.calibration = calibrate::of_cell(&resolved, &request.artefacts, &loaded.model, loaded.config.shape)?;
        let timed = matches!(request.workload, Workload::Throughput(_));
        let default = if timed {
            Scheduler::Static
        } else {
            Scheduler::Continuous
        };
        let mut stop_ids = loaded.end_ids.clone();
        match &request.workload {
            Workload::Generate(w) => stop_ids.extend(&w.stop_ids),
            _ => stop_ids.clear(),
        }
        stop_ids.sort_unstable();
        stop_ids.dedup();
        Ok(CellPlan {
            scheduler: request.scheduler.unwrap_or(default),
            invariant: request.invariant.unwrap_or(!timed),
            invariant_rows: request.invariant_rows.unwrap_or(INVARIANT_ROWS),
            limit: loaded.memory_limit,
            stop_ids,
            resolved,
            items,
            request,
        })
    }

    /// Tokens per part of decode attention at a batch size.
    pub fn chunk(&self, batch: usize) -> usize {
        if self.invariant {
            INVARIANT_CHUNK
        } else {
            LEAST_CHUNK.max(INVARIANT_CHUNK / batch)
        }
    }

    /// Checks the worst case of a full batch against the memory and emits `planned`. `lengths` has (prompt tokens, most
    /// new tokens) of every sample; the cache must be open.
    ///
    /// # Errors
    /// `out_of_memory` if it can never fit, with the largest batch that does.
    pub fn announce(
        &self,
        runner: &mut dyn Runner,
        lengths: impl Iterator<Item = (usize, usize)>,
        batch: usize,
        workspace: u64,
        events: &Events,
    ) -> Result<()> {
        let head_dim = runner.config().shape.head_dim;
        let cache = runner.cache()?;
        let mut worst: Vec<u64> = lengths
            .map(|(prompt, new)| cache.worst_case_bytes(prompt, new) as u64)
            .collect();
        worst.sort_unstable_by(|a, b| b.cmp(a));
        worst.truncate(batch);
        let pages: u64 = worst.iter().sum();
        let (limit, _) = cache.limit_and_free_bytes();
        let limit = limit as u64;
        let must = match self.scheduler {
            Scheduler::Static => pages,
            Scheduler::Continuous => worst.first().copied().unwrap_or(0),
        };
        if must > limit {
            let mut sum = 0;
            let fit = worst
                .iter()
                .take_while(|bytes| {
                    sum += **bytes;
                    sum <= limit
                })
                .count();
            let remedy = match fit {
                0 => "shorten the prompt, lower max_new_tokens or choose a smaller page format".to_owned(),
                n => format!("lower the batch to {n} or choose a smaller page format"),
            };
            return Err(Error::OutOfMemory {
                at: "host",
                message: format!(
                    "cell {} needs {:.3} GB of KV pages, {:.3} GB are free; {remedy}",
                    self.request.cell,
                    must as f64 / 1e9,
                    limit as f64 / 1e9
                ),
            });
        }
        let plan = cache.plan(0);
        let page = PageInfo {
            tokens: plan.layout.page_tokens,
            bytes: plan.page.bytes,
            bits: plan.layout.bits(head_dim),
        };
        events.emit(&Event::Planned(Box::new(Planned {
            cell: self.request.cell.clone(),
            requested: self.request.compressor.clone(),
            effective: self.resolved.effective.clone(),
            derived: self.resolved.derived.clone(),
            batch: match self.request.batch {
                Batch::Size(n) => json!(n),
                Batch::Max => Value::from("max"),
            },
            scheduler: self.scheduler,
            invariant: self.invariant,
            invariant_rows: self.invariant_rows,
            numerics: CPU_NUMERICS,
            stop_ids: self.stop_ids.clone(),
            page,
            memory: MemoryInfo {
                pages,
                workspace,
                free: host::free_memory().unwrap_or(self.limit),
            },
            samples: self.items.len(),
        })));
        Ok(())
    }
}
