//! The registry row of a compressor.

use serde_json::{json, Value};

use super::{Compressor, Param, Params};

/// Payload bits per element of sealed entries; windows and side state excluded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bits {
    /// Of K.
    pub k: f64,
    /// Of V.
    pub v: f64,
}

impl Bits {
    /// Mean of K and V.
    pub fn mean(self) -> f64 {
        (self.k + self.v) / 2.0
    }

    /// As JSON.
    pub fn json(self) -> Value {
        json!({"k": self.k, "v": self.v, "mean": self.mean()})
    }
}

/// A shorthand of requests that is replaced before anything is hashed.
#[derive(Debug)]
pub struct Alias {
    /// Its name and what it may be; the default is not used.
    pub param: Param,
    /// What it stands for: parameter names, or a formula.
    pub stands_for: &'static [&'static str],
    /// Whether `stands_for` is one formula.
    pub formula: bool,
}

/// Name, parameters, origin. Fields are named as in a registry row.
#[derive(Debug)]
#[allow(missing_docs)]
pub struct Spec {
    pub name: &'static str,
    pub title: &'static str,
    pub family: &'static str,
    pub section: u32,
    pub params: &'static [Param],
    pub aliases: &'static [Alias],
    /// The one choice of a method without a parameter of this name.
    pub evict_at: Option<&'static str>,
    pub key_form: &'static str,
    pub head_granularity: &'static str,
    pub first_token_equals_baseline: &'static str,
    pub bits_k: &'static str,
    pub bits_v: &'static str,
    pub compose_role: Option<&'static str>,
    pub rules: &'static [&'static str],
    pub derived: &'static [&'static str],
    pub identity_setting: Option<&'static str>,
    pub side_state: Option<&'static str>,
    pub paper: Option<&'static str>,
    pub source: &'static str,
    pub remarks: Option<&'static str>,
}

impl Spec {
    /// The schema of a parameter.
    pub fn param(&self, name: &str) -> Option<&'static Param> {
        self.params.iter().find(|p| p.name == name)
    }

    /// The row as `list --json` prints it.
    pub fn row(&self, compressor: &dyn Compressor) -> Value {
        let axis = |name: &str| {
            self.param(name)
                .map(|p| json!({"choices": p.choices(), "default": p.default.json()}))
        };
        let defaults = Params::default().with_defaults(self);
        let mut row = json!({
            "name": self.name,
            "title": self.title,
            "family": self.family,
            "section": self.section,
            "params": self.params.iter().map(Param::json).collect::<Vec<_>>(),
            "evict_at": axis("evict_at").or(self.evict_at.map(|only| json!({"choices": [only], "default": only}))),
            "positions": axis("positions").unwrap_or(json!({"choices": ["original"], "default": "original"})),
            "key_form": self.key_form,
            "head_granularity": self.head_granularity,
            "seeded": self.param("seed").is_some(),
            "first_token_equals_baseline": self.first_token_equals_baseline,
            "bits_per_element": {"k": self.bits_k, "v": self.bits_v},
            "bits_examples": compressor.bits_examples(&defaults),
            "compose_role": self.compose_role,
            "rules": self.rules,
            "derived": self.derived,
            "identity_setting": self.identity_setting,
            "side_state": self.side_state,
            "paper": self.paper,
            "source": self.source,
        });
        if !self.aliases.is_empty() {
            let of = |alias: &Alias| match alias.formula {
                true => json!(alias.stands_for[0]),
                false => json!(alias.stands_for),
            };
            let aliases: serde_json::Map<_, _> =
                self.aliases.iter().map(|a| (a.param.name.to_owned(), of(a))).collect();
            row["input_aliases"] = Value::Object(aliases);
        }
        if let Some(remarks) = self.remarks {
            row["remarks"] = json!(remarks);
        }
        compressor.amend(&mut row);
        row
    }
}
