//! The command `dump-kv`: what one prompt leaves in the cache, beside the exact K, V and queries it came from.
//!
//! For people who want to check a compressor, or to try one outside the engine: the folder holds plain arrays and one
//! `header.json`. The model runs as in a cell; [`recorder`] copies what passes between it and the cache.
//!
//! ```text
//! header.json                      tokens, shape, configurations, the greedy tokens of the steps
//! exact/layer-00.q.npy             f32 [T, q_heads, d], after RoPE     (written by the first configuration)
//! exact/layer-00.k.npy, .v.npy     f16 [T, kv_heads, d], K after RoPE
//! 0/prompt/layer-00.counts.npy     u32 [kv_heads], entries of each store; "0" is the first configuration
//! 0/prompt/layer-00.positions.npy  u32 [sum of counts], ascending in each store
//! 0/prompt/layer-00.k.npy, .v.npy  f32 [sum of counts, d], dequantised; K in the header's key form
//! 0/steps/layer-00.q.npy ...       q, k, v of the fed tokens, as in exact/, with --steps
//! 0/end/...                        as prompt/, after the steps
//! ```

mod recorder;

use crate::backend::cpu::forward::LayerKv;
use crate::backend::cpu::Cpu;
use crate::backend::reference::Reference;
use crate::backend::{thread_count, Backend};
use crate::cache::{KeyForm, KvCache, SeqId};
use crate::compress::{resolve, Resolved};
use crate::engine::sampler::argmax;
use crate::gguf::Gguf;
use crate::model::file::FileSource;
use crate::model::{Llama, Runner};
use crate::{npy, Error, Result};
use recorder::{Recorder, Tape};
use serde_json::{json, Value};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Attention parts of a step, as in an invariant cell.
const CHUNK: usize = 1024;

/// Arguments of `dump-kv`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A GGUF file.
    model: PathBuf,
    /// A JSON array of token ids: the prompt.
    #[arg(long)]
    tokens: PathBuf,
    /// Compressor, a name or JSON; may be repeated.
    #[arg(long, required = true)]
    compressor: Vec<String>,
    /// A folder that does not exist yet.
    #[arg(long)]
    out: PathBuf,
    /// Greedy decode steps after the prompt.
    #[arg(long, default_value_t = 0)]
    steps: usize,
    /// The sample's seed.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Leaves out the exact K, V and queries.
    #[arg(long)]
    cache_only: bool,
    /// `cpu` or `reference`.
    #[arg(long, default_value = "cpu")]
    backend: String,
    /// Threads; all cores without it.
    #[arg(long)]
    threads: Option<usize>,
}

impl Args {
    /// Writes the folder and prints its name.
    ///
    /// # Errors
    /// The model's, the compressor's, and `bad_request` for ids or a folder that cannot be used.
    pub fn run(&self, out: &mut dyn Write) -> Result<()> {
        let cpu = Cpu::new(thread_count(self.threads)?)?;
        match self.backend.as_str() {
            "cpu" => self.dump(cpu)?,
            "reference" => self.dump(Reference::new(cpu))?,
            other => {
                return Err(Error::BadRequest(format!(
                    "backend \"{other}\" cannot be recorded; choose cpu or reference"
                )))
            }
        }
        // A closed stdout is the reader's choice.
        let _ = writeln!(out, "{}", self.out.join("header.json").display());
        Ok(())
    }

    fn dump<B: Backend<Buffer = Vec<f32>, LayerKv = LayerKv>>(&self, backend: B) -> Result<()> {
        let ids = self.ids()?;
        let file = Gguf::open(&self.model)?;
        let tape = Arc::<Tape>::default();
        let source = FileSource::new(&file)?;
        let mut model = Llama::load(&source, Recorder::new(backend, Arc::clone(&tape)))?;
        let shape = model.config().shape;
        let requests = self.compressor.iter().map(|text| {
            let request = serde_json::from_str(text).unwrap_or_else(|_| Value::from(text.as_str()));
            resolve(&request, Some(shape))
        });
        let configurations = requests.collect::<Result<Vec<_>>>()?;
        folder(&self.out)?;
        let mut rows = Vec::new();
        for (i, resolved) in configurations.iter().enumerate() {
            let exact = self.out.join("exact");
            tape.prompt_to(
                (i == 0 && !self.cache_only)
                    .then(|| folder(&exact).map(|()| exact))
                    .transpose()?,
            );
            rows.push(self.one(&mut model, &tape, resolved, &ids, &self.out.join(i.to_string()))?);
        }
        let c = model.config();
        let header = json!({
            "format": 1,
            "model": {"sha256": file.sha256()?, "layers": shape.layers, "q_heads": shape.q_heads,
                "kv_heads": shape.kv_heads, "head_dim": shape.head_dim, "rope_base": c.rope.base},
            "backend": self.backend,
            "seed": self.seed,
            "tokens": ids,
            "configurations": rows,
        });
        write_text(&self.out.join("header.json"), &format!("{header:#}\n"))
    }

    /// Runs one configuration and writes its folder; the answer is its row of the header.
    fn one(&self, model: &mut dyn Runner, tape: &Tape, resolved: &Resolved, ids: &[u32], to: &Path) -> Result<Value> {
        model.open(resolved, u64::MAX >> 1)?;
        let seq = model.cache()?.admit(ids.len(), self.steps + 1, self.seed)?;
        model.prefill(seq, ids, &|| true)?;
        let mut next = argmax(model.logits(0)?);
        let mut fed = Vec::new();
        write_cache(model.cache()?, seq, &to.join("prompt"))?;
        tape.clear_steps();
        for _ in 0..self.steps {
            fed.push(next);
            model.step(&[seq], &[next], CHUNK)?;
            next = argmax(model.logits(0)?);
        }
        if self.steps > 0 {
            write_cache(model.cache()?, seq, &to.join("end"))?;
            if !self.cache_only {
                tape.write_steps(model.cache()?.shape(), &created(to.join("steps"))?)?;
            }
        }
        let form = match model.cache()?.key_form() {
            KeyForm::PostRope => "post_rope",
            KeyForm::PreRope => "pre_rope",
        };
        let kv = model.cache()?.release(seq)?;
        Ok(
            json!({"effective": resolved.effective, "derived": resolved.derived, "key_form": form, "fed": fed, "next": next,
            "kv": kv}),
        )
    }

    fn ids(&self) -> Result<Vec<u32>> {
        let bad = |text: String| Error::BadRequest(format!("{}: {text}", self.tokens.display()));
        let text = std::fs::read_to_string(&self.tokens).map_err(|e| bad(format!("{e}; name a JSON file")))?;
        let ids: Vec<u32> =
            serde_json::from_str(&text).map_err(|e| bad(format!("{e}; it must be a JSON array of token ids")))?;
        if ids.is_empty() {
            return Err(bad("holds no token; give at least one".into()));
        }
        Ok(ids)
    }
}

/// Positions and dequantised K and V of every store.
fn write_cache(cache: &KvCache, seq: SeqId, to: &Path) -> Result<()> {
    let shape = cache.shape();
    folder(to)?;
    for layer in 0..shape.layers {
        let (mut counts, mut positions, mut k, mut v) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for head in 0..shape.kv_heads {
            let held = cache.positions(seq, layer, head);
            counts.push(held.len() as u32);
            positions.extend(held);
            let (keys, values) = cache.dequantised(seq, layer, head);
            k.extend(keys.into_iter().map(|x| x as f32));
            v.extend(values.into_iter().map(|x| x as f32));
        }
        let path = |what: &str| to.join(format!("layer-{layer:02}.{what}.npy"));
        let rows = [positions.len(), shape.head_dim];
        npy::write(&path("counts"), &[counts.len()], &counts)?;
        npy::write(&path("positions"), &[positions.len()], &positions)?;
        npy::write(&path("k"), &rows, &k)?;
        npy::write(&path("v"), &rows, &v)?;
    }
    Ok(())
}

fn folder(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path)
        .map_err(|e| Error::BadRequest(format!("{}: {e}; choose a folder that can be written", path.display())))
}

fn created(path: PathBuf) -> Result<PathBuf> {
    folder(&path).map(|()| path)
}

fn write_text(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text)
        .map_err(|e| Error::BadRequest(format!("{}: {e}; choose a folder that can be written", path.display())))
}
