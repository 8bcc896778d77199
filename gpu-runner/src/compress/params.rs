//! Parameters: their schema, their values, and the checks that need no other parameter.

use std::collections::BTreeMap;

use serde_json::{json, Value};

use super::{nearest, refusal, Spec};
use crate::Result;

/// A value of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParamValue {
    /// A whole number.
    Int(i64),
    /// One word of a list.
    Word(&'static str),
}

impl ParamValue {
    /// As JSON.
    pub fn json(self) -> Value {
        match self {
            ParamValue::Int(i) => json!(i),
            ParamValue::Word(w) => json!(w),
        }
    }
}

/// What a parameter may be.
#[derive(Debug, Clone, Copy)]
pub enum ParamKind {
    /// A whole number from `.0` to `.1`, both included.
    Range(i64, i64),
    /// One of these whole numbers, as a quantity.
    Sizes(&'static [i64]),
    /// One of these whole numbers, as a name.
    Numbers(&'static [i64]),
    /// One of these words.
    Words(&'static [&'static str]),
}

/// The schema of one parameter.
#[derive(Debug)]
pub struct Param {
    /// Its name in requests, specs and reports.
    pub name: &'static str,
    /// What it may be.
    pub kind: ParamKind,
    /// What it is when the request does not say.
    pub default: ParamValue,
    /// One line for the reader.
    pub meaning: &'static str,
}

impl Param {
    /// The schema as a registry row has it.
    pub fn json(&self) -> Value {
        let mut row = serde_json::Map::new();
        row.insert("name".into(), json!(self.name));
        let (kind, bound, limits) = match self.kind {
            ParamKind::Range(lo, hi) => ("int", "range", json!([lo, hi])),
            ParamKind::Sizes(choices) => ("int", "choices", json!(choices)),
            ParamKind::Numbers(choices) => ("enum", "choices", json!(choices)),
            ParamKind::Words(choices) => ("enum", "choices", json!(choices)),
        };
        row.insert("type".into(), json!(kind));
        row.insert("default".into(), self.default.json());
        row.insert(bound.into(), limits);
        row.insert("meaning".into(), json!(self.meaning));
        Value::Object(row)
    }

    /// The choices as JSON, empty for a range.
    pub fn choices(&self) -> Value {
        match self.kind {
            ParamKind::Range(..) => json!([]),
            ParamKind::Sizes(choices) | ParamKind::Numbers(choices) => json!(choices),
            ParamKind::Words(choices) => json!(choices),
        }
    }
}

/// Values by name, in the order of names: the canonical order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Params(BTreeMap<&'static str, ParamValue>);

impl Params {
    /// The value of a whole-number parameter.
    ///
    /// # Panics
    /// If the method has no such parameter: a slip in its own file.
    pub fn int(&self, name: &str) -> i64 {
        match self.0.get(name) {
            Some(ParamValue::Int(i)) => *i,
            other => panic!("parameter {name} is {other:?}, not a whole number"),
        }
    }

    /// The value of a whole-number parameter that counts something.
    ///
    /// # Panics
    /// As [`Params::int`]; ranges keep counts from being negative.
    pub fn count(&self, name: &str) -> usize {
        usize::try_from(self.int(name)).expect("a count is not negative: its range says so")
    }

    /// The value of a word parameter.
    ///
    /// # Panics
    /// If the method has no such parameter: a slip in its own file.
    pub fn word(&self, name: &str) -> &'static str {
        match self.0.get(name) {
            Some(ParamValue::Word(w)) => w,
            other => panic!("parameter {name} is {other:?}, not a word"),
        }
    }

    /// The value, if one was given.
    pub fn get(&self, name: &str) -> Option<ParamValue> {
        self.0.get(name).copied()
    }

    /// Takes a value out.
    pub fn remove(&mut self, name: &str) -> Option<ParamValue> {
        self.0.remove(name)
    }

    /// Sets a value.
    pub fn set(&mut self, name: &'static str, value: ParamValue) {
        self.0.insert(name, value);
    }

    /// As JSON, keys sorted.
    pub fn json(&self) -> Value {
        Value::Object(self.0.iter().map(|(k, v)| ((*k).to_owned(), v.json())).collect())
    }

    /// Reads the request's object against the schema: aliases too, defaults not yet.
    ///
    /// # Errors
    /// `unknown_param`, `param_range`.
    pub fn read(spec: &Spec, object: &serde_json::Map<String, Value>) -> Result<Params> {
        let mut params = Params::default();
        for (key, value) in object {
            let schemas = spec.params.iter().chain(spec.aliases.iter().map(|alias| &alias.param));
            let Some(param) = schemas.clone().find(|p| p.name == key) else {
                return Err(unknown(spec, key, schemas.map(|p| p.name)));
            };
            params.set(param.name, read_value(spec.name, param, value)?);
        }
        Ok(params)
    }

    /// Fills in the defaults of what is missing.
    pub fn with_defaults(mut self, spec: &Spec) -> Params {
        for param in spec.params {
            self.0.entry(param.name).or_insert(param.default);
        }
        self
    }
}

fn unknown<'a>(spec: &Spec, key: &str, names: impl Iterator<Item = &'a str>) -> crate::Error {
    let names: Vec<&str> = names.collect();
    let message = if names.is_empty() {
        format!("{} takes no parameters, so leave out `{key}`", spec.name)
    } else {
        let hint = nearest(key, names.iter().copied()).map_or(String::new(), |n| format!(" (did you mean `{n}`?)"));
        format!(
            "{} has no parameter `{key}`{hint}; it takes {}",
            spec.name,
            names.join(", ")
        )
    };
    refusal("unknown_param", message)
}

fn read_value(method: &str, param: &Param, value: &Value) -> Result<ParamValue> {
    let found = match (param.kind, value.as_i64(), value.as_str()) {
        (ParamKind::Range(lo, hi), Some(i), _) if (lo..=hi).contains(&i) => Some(ParamValue::Int(i)),
        (ParamKind::Sizes(all) | ParamKind::Numbers(all), Some(i), _) if all.contains(&i) => Some(ParamValue::Int(i)),
        (ParamKind::Words(all), _, Some(word)) => all.iter().find(|w| **w == word).map(|w| ParamValue::Word(w)),
        _ => None,
    };
    found.ok_or_else(|| {
        let wanted = match param.kind {
            ParamKind::Range(lo, hi) => format!("a whole number from {lo} to {hi}"),
            ParamKind::Sizes(all) | ParamKind::Numbers(all) => {
                format!(
                    "one of {}",
                    all.iter().map(i64::to_string).collect::<Vec<_>>().join(", ")
                )
            }
            ParamKind::Words(all) => format!("one of {}", all.join(", ")),
        };
        refusal(
            "param_range",
            format!("{method}: `{}` is {value}; it must be {wanted}", param.name),
        )
    })
}
