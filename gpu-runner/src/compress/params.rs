//! Parameters: their schema, their values, and the checks that need no other parameter.

use std::collections::BTreeMap;

use serde_json::{json, Value};

use super::{nearest, refusal, Spec};
use crate::Result;

/// A value of a parameter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ParamValue {
    /// A whole number.
    Int(i64),
    /// A finite number.
    Float(f64),
    /// Yes or no.
    Bool(bool),
    /// One word of a list.
    Word(&'static str),
    /// The hash of an artefact.
    Sha([u8; 32]),
    /// Not given: the method resolves it, or refuses.
    Null,
}

impl ParamValue {
    /// As JSON.
    pub fn json(self) -> Value {
        match self {
            ParamValue::Int(i) => json!(i),
            // Whole numbers without a point, as JavaScript writes them: equal configurations must hash equal.
            ParamValue::Float(x) if x.fract() == 0.0 && x.abs() < 1e15 => json!(x as i64),
            ParamValue::Float(x) => json!(x),
            ParamValue::Bool(b) => json!(b),
            ParamValue::Word(w) => json!(w),
            ParamValue::Sha(bytes) => json!(hex(&bytes)),
            ParamValue::Null => Value::Null,
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let digits = text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    for (i, byte) in bytes.iter_mut().enumerate().filter(|_| digits) {
        *byte = u8::from_str_radix(&text[2 * i..2 * i + 2], 16).ok()?;
    }
    digits.then_some(bytes)
}

/// What a parameter may be.
#[derive(Debug, Clone, Copy)]
pub enum ParamKind {
    /// A whole number from `.0` to `.1`, both included.
    Range(i64, i64),
    /// A number from `.0` to `.1`, both included.
    Between(f64, f64),
    /// Yes or no.
    Bool,
    /// 64 hexadecimal digits in lower case.
    Sha256,
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
    /// The other parameter, and its value, with which alone this one is read; it is left out of the effective config
    /// otherwise.
    pub read_when: Option<(&'static str, &'static str)>,
    /// One line for the reader.
    pub meaning: &'static str,
}

impl Param {
    /// A parameter that is always read.
    pub const fn new(name: &'static str, kind: ParamKind, default: ParamValue, meaning: &'static str) -> Param {
        Param {
            name,
            kind,
            default,
            read_when: None,
            meaning,
        }
    }

    /// Read only if the parameter `name` is the word `value`.
    pub const fn read_when(self, name: &'static str, value: &'static str) -> Param {
        Param {
            read_when: Some((name, value)),
            ..self
        }
    }

    /// The schema as a registry row has it.
    pub fn json(&self) -> Value {
        let mut row = serde_json::Map::new();
        row.insert("name".into(), json!(self.name));
        let (kind, bound, limits) = match self.kind {
            ParamKind::Range(lo, hi) => ("int", "range", json!([lo, hi])),
            ParamKind::Between(lo, hi) => ("float", "range", json!([lo, hi])),
            ParamKind::Bool => ("bool", "", Value::Null),
            ParamKind::Sha256 => ("sha256", "", Value::Null),
            ParamKind::Sizes(choices) => ("int", "choices", json!(choices)),
            ParamKind::Numbers(choices) => ("enum", "choices", json!(choices)),
            ParamKind::Words(choices) => ("enum", "choices", json!(choices)),
        };
        row.insert("type".into(), json!(kind));
        row.insert("default".into(), self.default.json());
        if !bound.is_empty() {
            row.insert(bound.into(), limits);
        }
        if self.is_nullable() {
            row.insert("nullable".into(), json!(true));
        }
        if let Some((name, value)) = self.read_when {
            row.insert("read_when".into(), json!(format!("{name} == {value}")));
        }
        row.insert("meaning".into(), json!(self.meaning));
        Value::Object(row)
    }

    /// Whether the request may say null: the method resolves it. A hash without a default must be given instead.
    pub fn is_nullable(&self) -> bool {
        self.default == ParamValue::Null && !matches!(self.kind, ParamKind::Sha256)
    }

    /// The choices as JSON, empty for a range.
    pub fn choices(&self) -> Value {
        match self.kind {
            ParamKind::Range(..) | ParamKind::Between(..) | ParamKind::Bool | ParamKind::Sha256 => json!([]),
            ParamKind::Sizes(choices) | ParamKind::Numbers(choices) => json!(choices),
            ParamKind::Words(choices) => json!(choices),
        }
    }
}

/// Values by name, in the order of names: the canonical order.
#[derive(Debug, Clone, Default, PartialEq)]
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

    /// The value of a parameter that is any number.
    ///
    /// # Panics
    /// If the method has no such parameter: a slip in its own file.
    pub fn float(&self, name: &str) -> f64 {
        match self.0.get(name) {
            Some(ParamValue::Float(x)) => *x,
            other => panic!("parameter {name} is {other:?}, not a number"),
        }
    }

    /// The value of a yes-or-no parameter.
    ///
    /// # Panics
    /// If the method has no such parameter: a slip in its own file.
    pub fn flag(&self, name: &str) -> bool {
        match self.0.get(name) {
            Some(ParamValue::Bool(b)) => *b,
            other => panic!("parameter {name} is {other:?}, not true or false"),
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

    /// Only what this configuration reads.
    pub fn effective(&self, spec: &Spec) -> Params {
        let read = |name: &str| match spec.param(name).and_then(|p| p.read_when) {
            Some((other, value)) => self.get(other) == Some(ParamValue::Word(value)),
            None => true,
        };
        Params(
            self.0
                .iter()
                .filter(|(name, _)| read(name))
                .map(|(k, v)| (*k, *v))
                .collect(),
        )
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
        _ if value.is_null() && param.is_nullable() => Some(ParamValue::Null),
        (ParamKind::Range(lo, hi), Some(i), _) if (lo..=hi).contains(&i) => Some(ParamValue::Int(i)),
        (ParamKind::Between(lo, hi), ..) => {
            let x = value.as_f64().filter(|x| (lo..=hi).contains(x));
            x.map(ParamValue::Float)
        }
        (ParamKind::Bool, ..) => value.as_bool().map(ParamValue::Bool),
        (ParamKind::Sha256, _, Some(text)) => unhex(text).map(ParamValue::Sha),
        (ParamKind::Sizes(all) | ParamKind::Numbers(all), Some(i), _) if all.contains(&i) => Some(ParamValue::Int(i)),
        (ParamKind::Words(all), _, Some(word)) => all.iter().find(|w| **w == word).map(|w| ParamValue::Word(w)),
        _ => None,
    };
    found.ok_or_else(|| {
        let wanted = match param.kind {
            ParamKind::Range(lo, hi) => format!("a whole number from {lo} to {hi}"),
            ParamKind::Between(lo, hi) => format!("a number from {lo} to {hi}"),
            ParamKind::Bool => "true or false".to_owned(),
            ParamKind::Sha256 => "a sha256, 64 hexadecimal digits in lower case".to_owned(),
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
