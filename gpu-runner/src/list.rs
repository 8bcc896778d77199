//! The command `list`: everything that a reader of the protocol validates against, and who this engine is.

use crate::backend::CPU_NUMERICS;
use crate::cache::Layout;
use crate::compress::{list_json, Params, COMPRESSORS};
use crate::engine::stats::hex;
use crate::events::PROTOCOL;
use crate::model::config::ARCHITECTURES;
use crate::model::Shape;
use crate::quant::WeightType;
use crate::{error, Result};
use serde_json::{json, Value};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// The first 12 hex digits of the binary's own sha256: what was built, whatever its version says. `unknown` if the
/// system does not let a process read its own file.
pub fn build() -> String {
    let own = std::env::current_exe().and_then(std::fs::read);
    own.map_or_else(|_| "unknown".into(), |bytes| hex(&Sha256::digest(bytes)[..6]))
}

/// Numerics version per backend.
pub fn numerics() -> BTreeMap<&'static str, &'static str> {
    BTreeMap::from([("cpu", CPU_NUMERICS)])
}

/// The object that `list --json` prints.
///
/// # Errors
/// `internal` if a compressor's own defaults do not resolve.
pub fn list() -> Result<Value> {
    Ok(json!({
        "protocol": PROTOCOL,
        "engine": env!("CARGO_PKG_VERSION"),
        "build": build(),
        "numerics": numerics(),
        "compressors": list_json(),
        "formats": formats(),
        "weights": WeightType::ALL.map(WeightType::name),
        "architectures": ARCHITECTURES.iter().map(|a| a.name).collect::<Vec<_>>(),
        "error_kinds": error::KINDS,
    }))
}

/// The page format of every compressor's default configuration at both usual head dimensions.
fn formats() -> Vec<Value> {
    let mut rows = Vec::new();
    for method in COMPRESSORS {
        for head_dim in [64, 128] {
            // A layer in the middle: some methods spare the outer ones.
            let shape = Shape {
                layers: 64,
                q_heads: 1,
                kv_heads: 1,
                head_dim,
            };
            let mut params = Params::default().with_defaults(method.spec());
            method.settle(&mut params);
            let layout: Layout = method.layout(&params, 32, shape);
            rows.push(json!({
                "compressor": method.spec().name,
                "head_dim": head_dim,
                "page_tokens": layout.page_tokens,
                "page_bytes": layout.page(head_dim).bytes,
                "bits": layout.bits(head_dim),
            }));
        }
    }
    rows
}

/// For people: one line a thing.
///
/// # Errors
/// As [`list`].
pub fn text() -> Result<String> {
    let mut out = format!(
        "protocol {PROTOCOL}, engine {}, numerics {CPU_NUMERICS}\n",
        env!("CARGO_PKG_VERSION")
    );
    for method in COMPRESSORS {
        let spec = method.spec();
        out += &format!("{:<16}{}\n", spec.name, spec.title);
        for param in spec.params {
            out += &format!("    {:<12}default {}\n", param.name, param.default.json());
        }
    }
    let weights: Vec<_> = WeightType::ALL.iter().map(|t| t.name()).collect();
    out += &format!("weights         {}\n", weights.join(", "));
    let architectures: Vec<_> = ARCHITECTURES.iter().map(|a| a.name).collect();
    out += &format!("architectures   {}\n", architectures.join(", "));
    Ok(out)
}
