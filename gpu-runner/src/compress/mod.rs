//! Compressors: data and pure functions, one file a method.
//!
//! A compressor touches no memory. It declares where bytes lie ([`Compressor::layout`]), how much may stay
//! ([`Compressor::budget`]) and when something is dropped; the cache executes those declarations. Registry name =
//! module name = one algorithm for ever. Refused: methods as code that walks the cache, because every backend would
//! then carry its own copy of each method.

mod kivi;
mod none;
mod params;
mod policy;
mod resolve;
mod spec;
mod streaming_llm;

pub use params::{Param, ParamKind, ParamValue, Params};
pub use policy::{Budget, Selection, StepRule};
pub use resolve::{nearest, resolve, resolve_line, Resolved};
pub use spec::{Alias, Bits, Spec};

use crate::cache::Layout;
use crate::model::Shape;
use crate::{Error, Result};

/// Every compressor of this engine, in the order of the registry.
pub const COMPRESSORS: &[&dyn Compressor] = &[&none::None, &kivi::Kivi, &streaming_llm::StreamingLlm];

/// One method: what it is called, which parameters it takes, and what it declares for given parameters.
pub trait Compressor: Sync {
    /// Name, parameters and origin: the registry row.
    fn spec(&self) -> &'static Spec;

    /// Replaces shorthands by the parameters they stand for. `given` holds the request's values, aliases included.
    ///
    /// # Errors
    /// `param_conflict` for a shorthand next to what it replaces, `budget_too_small`.
    fn expand(&self, _given: &mut Params) -> Result<()> {
        Ok(())
    }

    /// Checks rules between parameters, and against the model's shape where one is given.
    ///
    /// # Errors
    /// `param_conflict`, `head_dim_unsupported`, `budget_too_small`.
    fn check(&self, _params: &Params, _shape: Option<Shape>) -> Result<()> {
        Ok(())
    }

    /// Values that follow from the parameters, such as a budget, for the reader.
    fn derived(&self, _params: &Params) -> Vec<(&'static str, i64)> {
        Vec::new()
    }

    /// Payload bits per element of a sealed entry (of any entry, for evictors).
    fn bits(&self, _params: &Params, _head_dim: usize) -> Bits {
        Bits { k: 16.0, v: 16.0 }
    }

    /// How entries of a layer are stored.
    fn layout(&self, _params: &Params, _layer: usize, _shape: Shape) -> Layout {
        Layout::f16()
    }

    /// How many entries a store of a layer may hold after a selection.
    fn budget(&self, _params: &Params, _layer: usize) -> Budget {
        Budget::Unlimited
    }

    /// What is dropped after the last prompt chunk.
    fn after_prefill(&self, _params: &Params) -> Selection {
        Selection::KeepAll
    }

    /// What is dropped after a decode forward.
    fn after_step(&self, _params: &Params) -> StepRule {
        StepRule::Nothing
    }
}

/// The compressor of this name.
pub fn find(name: &str) -> Option<&'static dyn Compressor> {
    COMPRESSORS.iter().copied().find(|c| c.spec().name == name)
}

/// The registry rows, as `list --json` prints them.
pub fn list_json() -> Vec<serde_json::Value> {
    COMPRESSORS.iter().map(|c| c.spec().row(*c)).collect()
}

/// A refusal with one of the registry's fixed codes.
pub(crate) fn refusal(code: &'static str, message: String) -> Error {
    Error::Compressor { code, message }
}
