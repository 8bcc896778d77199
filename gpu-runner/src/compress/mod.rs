//! Compressors: data and pure functions, one file a method.
//!
//! A compressor touches no memory. It declares where bytes lie ([`Compressor::layout`]), what is dropped and when
//! ([`Compressor::eviction`]), and scores what it is shown ([`Compressor::score`]); the cache executes that. Registry name =
//! module name = one algorithm for ever. Refused: methods as code that walks the cache, because every backend would
//! then carry its own copy of each method.

mod ada_kv;
mod fp8_e4m3;
mod gear;
pub mod h2o;
mod int2_token_head;
mod int4_token_head;
mod int8_token_head;
pub mod keydiff;
mod kivi;
mod knorm;
mod kvquant;
mod lagkv;
mod none;
mod params;
mod per_token;
mod policy;
mod pyramidkv;
mod q4_0;
mod q8_0;
pub mod r_kv;
pub mod random;
mod resolve;
pub mod score;
pub mod select;
mod snapkv;
mod spec;
mod streaming_llm;
mod tova;
mod turboquant_mse;
mod turboquant_vllm;
mod view;

pub use params::{Param, ParamKind, ParamValue, Params};
pub use policy::{Eviction, Kept, PromptEnd, Reads, When};
pub use resolve::{nearest, resolve, resolve_line, Chosen, Resolved};
pub use spec::{Alias, Bits, Spec};
pub use view::{HeadView, Kernels, Rows, View};

use serde_json::{json, Value};

use crate::cache::Layout;
use crate::model::Shape;
use crate::{Error, Result};

/// Every compressor of this engine, in the order of the registry.
pub const COMPRESSORS: &[&dyn Compressor] = &[
    &none::None,
    &fp8_e4m3::Fp8E4m3,
    &int8_token_head::Int8TokenHead,
    &int4_token_head::Int4TokenHead,
    &q8_0::Q8_0,
    &q4_0::Q4_0,
    &kivi::Kivi,
    &gear::Gear,
    &streaming_llm::StreamingLlm,
    &h2o::H2o,
    &snapkv::SnapKv,
    &pyramidkv::PyramidKv,
    &ada_kv::AdaKv,
    &tova::Tova,
    &r_kv::RKv,
    &turboquant_mse::TurboquantMse,
    &turboquant_vllm::TurboquantVllm,
    &kvquant::Kvquant,
    &random::Random,
    &knorm::Knorm,
    &keydiff::Keydiff,
    &lagkv::LagKv,
    &int2_token_head::Int2TokenHead,
];

/// One method: what it is called, which parameters it takes, and what it declares for given parameters.
pub trait Compressor: Sync {
    /// Name, parameters and origin: the registry row.
    fn spec(&self) -> &'static Spec;

    /// Replaces shorthands by the parameters they stand for. `given` holds the request's values, aliases included, defaults
    /// not.
    ///
    /// # Errors
    /// `param_conflict` for a shorthand next to what it replaces, `budget_too_small`.
    fn expand(&self, _given: &mut Params) -> Result<()> {
        Ok(())
    }

    /// Resolves what is null after the defaults were filled in.
    fn settle(&self, _params: &mut Params) {}

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

    /// What is dropped and when; `None` for methods that keep all.
    fn eviction(&self, _params: &Params) -> Option<Eviction> {
        None
    }

    /// Scores of the entries of every kv head [kv_heads][n], the higher stays; one row is enough for methods with one set
    /// a layer. Scores of protected entries are not read. A NaN fails the sample.
    fn score(&self, _params: &Params, view: &View<'_>) -> Vec<Vec<f32>> {
        view.heads.iter().map(|head| vec![0.0; head.positions.len()]).collect()
    }

    /// What a layer keeps of a prompt longer than the budget, as far as it follows without scores.
    fn kept(&self, params: &Params, _at: PromptEnd) -> Kept {
        Kept::Each(self.eviction(params).map_or(usize::MAX, |e| e.budget))
    }

    /// Entries that each kv head keeps of a prompt longer than the budget.
    fn share(&self, params: &Params, at: PromptEnd, _scores: &[Vec<f32>]) -> Vec<usize> {
        match self.kept(params, at) {
            Kept::Each(n) => vec![n; at.shape.kv_heads],
            Kept::Total { .. } => unreachable!("a method that shares a total out says how"),
        }
    }

    /// Parameters under which every answer equals the baseline's bit for bit, if there are any.
    fn identity(&self) -> Option<Value> {
        None
    }

    /// Adds to the registry row what only this method has to say.
    fn amend(&self, _row: &mut Value) {}

    /// Bits per element at the defaults, for head dimensions 64 and 128.
    fn bits_examples(&self, defaults: &Params) -> Value {
        json!({"d64": self.bits(defaults, 64).json(), "d128": self.bits(defaults, 128).json()})
    }
}

/// The compressor of this name.
pub fn find(name: &str) -> Option<&'static dyn Compressor> {
    COMPRESSORS.iter().copied().find(|c| c.spec().name == name)
}

/// The registry rows, as `list --json` prints them.
pub fn list_json() -> Vec<Value> {
    COMPRESSORS.iter().map(|c| c.spec().row(*c)).collect()
}

/// A refusal with one of the registry's fixed codes.
pub(crate) fn refusal(code: &'static str, message: String) -> Error {
    Error::Compressor { code, message }
}
