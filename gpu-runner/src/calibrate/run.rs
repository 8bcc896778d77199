//! The op `calibrate`: runs the loaded model over the calibration sequences and writes the artefact.

use half::f16;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{calibrate_layer, Artefact, Weighting};
use crate::compress::{find, refusal, Params};
use crate::engine::stats::hex;
use crate::engine::Loaded;
use crate::events::Event;
use crate::request::Calibrate;
use crate::{Error, Result};

/// What an artefact is made for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Bits per code.
    pub bits: u8,
    /// Share of outliers.
    pub sparsity: f64,
    /// First tokens of each sequence that are left out.
    pub sinks: usize,
}

/// Reads `{"kvquant": {bits, sparsity, ..}}`; `calibration` is what the op makes, so it must be absent.
///
/// # Errors
/// `compressor` for another method or a parameter out of range, `bad_request` for another form.
pub fn settings(compressor: &Value) -> Result<Settings> {
    let object = compressor.as_object().filter(|o| o.len() == 1);
    let Some((name, params)) = object.and_then(|o| o.iter().next()) else {
        return Err(Error::BadRequest(
            "calibrate takes a compressor of the form {\"kvquant\": {parameters}}".into(),
        ));
    };
    let (Some(method), "kvquant") = (find(name), name.as_str()) else {
        return Err(Error::Unsupported(format!(
            "compressor {name} needs no calibration; only kvquant does"
        )));
    };
    let Some(params) = params.as_object() else {
        return Err(Error::BadRequest("the parameters of kvquant must be an object".into()));
    };
    if params.contains_key("calibration") {
        let message = "kvquant: calibrate makes the artefact, so leave `calibration` out here and set it in cells";
        return Err(refusal("param_conflict", message.into()));
    }
    let params = Params::read(method.spec(), params)?.with_defaults(method.spec());
    Ok(Settings {
        bits: params.int("bits") as u8,
        sparsity: params.float("sparsity"),
        sinks: params.count("sinks_fp"),
    })
}

/// Answers a `calibrate`; `None` if `go_on` said to stop.
///
/// # Errors
/// Those of [`settings`]; `bad_request` for sequences that do not serve, or a file that cannot be written; `numeric`.
pub fn calibrate(loaded: &mut Loaded, request: &Calibrate, go_on: &dyn Fn() -> bool) -> Result<Option<Event>> {
    let settings = settings(&request.compressor)?;
    check_tokens(&request.tokens, &settings, loaded)?;
    let model = loaded.model.clone();
    let shape = loaded.config.shape;
    let Some(runner) = loaded.runner.as_mut() else {
        return Err(Error::BadRequest(
            "calibrate needs the weights; load the model without tokenizer_only".into(),
        ));
    };
    let lengths: Vec<usize> = request.tokens.iter().map(Vec::len).collect();
    let width = shape.kv_heads * shape.head_dim;
    let mut layers = Vec::with_capacity(shape.layers);
    let mut look = |k: &[f16], v: &[f16]| {
        let (k, v) = (
            behind_sinks(k, &lengths, settings.sinks, width),
            behind_sinks(v, &lengths, settings.sinks, width),
        );
        layers.push(calibrate_layer(
            &k,
            &v,
            shape.kv_heads,
            shape.head_dim,
            settings.bits,
            settings.sparsity,
        ));
    };
    if !runner.capture(&request.tokens, &mut look, go_on)? {
        return Ok(None);
    }
    let artefact = Artefact {
        compressor: "kvquant".into(),
        model,
        tokens: token_hash(&request.tokens),
        sequences: lengths.len(),
        counted: lengths.iter().map(|n| n.saturating_sub(settings.sinks)).sum(),
        bits: settings.bits,
        sparsity: settings.sparsity,
        sinks_fp: settings.sinks,
        weights: Weighting::Uniform,
        layers,
    };
    let bytes = artefact.bytes()?;
    std::fs::write(&request.out, &bytes).map_err(|e| {
        Error::BadRequest(format!(
            "the artefact cannot be written to {}: {e}; give another path in `out`",
            request.out.display()
        ))
    })?;
    Ok(Some(Event::Calibrated {
        id: request.id.clone(),
        sha256: hex(&Sha256::digest(&bytes)),
        path: request.out.display().to_string(),
        bytes: bytes.len() as u64,
    }))
}

fn check_tokens(tokens: &[Vec<u32>], settings: &Settings, loaded: &Loaded) -> Result<()> {
    let bad = |message: String| Err(Error::BadRequest(format!("calibrate: {message}")));
    for (i, ids) in tokens.iter().enumerate() {
        if ids.is_empty() {
            return bad(format!("sequence {i} is empty; leave it out"));
        }
        if ids.len() > loaded.config.context {
            return bad(format!(
                "sequence {i} has {} tokens and the context is {}; cut it",
                ids.len(),
                loaded.config.context
            ));
        }
    }
    if tokens.iter().all(|ids| ids.len() <= settings.sinks) {
        return bad(format!(
            "no sequence is longer than sinks_fp = {}; give sequences of some 2048 tokens",
            settings.sinks
        ));
    }
    Ok(())
}

/// Rows of x [tokens of all sequences, width] without the first `sinks` of each sequence.
fn behind_sinks(x: &[f16], lengths: &[usize], sinks: usize, width: usize) -> Vec<f16> {
    let mut rest = x;
    let mut kept = Vec::with_capacity(x.len());
    for length in lengths {
        let (own, others) = rest.split_at(length * width);
        kept.extend_from_slice(&own[sinks.min(*length) * width..]);
        rest = others;
    }
    kept
}

/// sha256 over each sequence's length and ids, as little-endian u32.
fn token_hash(tokens: &[Vec<u32>]) -> String {
    let mut hasher = Sha256::new();
    for ids in tokens {
        hasher.update((ids.len() as u32).to_le_bytes());
        ids.iter().for_each(|id| hasher.update(id.to_le_bytes()));
    }
    hex(&hasher.finalize())
}
