//! The artefact of a cell: found by its hash, opened and checked before anything runs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::Artefact;
use crate::compress::{refusal, ParamValue, Resolved};
use crate::engine::stats::hex;
use crate::model::Shape;
use crate::Result;

/// Opens what `resolved` was calibrated to, `None` for a method that reads no artefact. `artefacts` are the cell's, by
/// sha256; `model` is the content hash of the loaded one.
///
/// # Errors
/// `calibration_missing` if the cell names no file for the hash, or one that cannot be read; `calibration_mismatch` if
/// the content has another hash, no sound form, or belongs to another model, other bits or another sparsity, and for
/// artefacts that nothing reads.
pub fn of_cell(
    resolved: &Resolved,
    artefacts: &BTreeMap<String, PathBuf>,
    model: &str,
    shape: Shape,
) -> Result<Option<Arc<Artefact>>> {
    let params = &resolved.storer.params;
    let wanted = match params.get("calibration") {
        Some(ParamValue::Sha(bytes)) => Some(hex(&bytes)),
        _ => None,
    };
    if let Some(other) = artefacts.keys().find(|sha| Some(*sha) != wanted.as_ref()) {
        let message = format!("artefact {other} is given, but the cell's compressor does not read it; leave it out");
        return Err(refusal("calibration_mismatch", message));
    }
    let Some(sha256) = wanted else {
        return Ok(None);
    };
    let Some(path) = artefacts.get(&sha256) else {
        let message = format!("the cell reads calibration {sha256}, but `artefacts` gives no path for it; add it");
        return Err(refusal("calibration_missing", message));
    };
    let artefact = Artefact::open(path, &sha256)?;
    artefact.fits(model, shape, params.int("bits"), params.float("sparsity"))?;
    Ok(Some(Arc::new(artefact)))
}
