//! From a request's compressor to the configuration that really runs.

use serde_json::{json, Map, Value};

use super::{find, refusal, Bits, Compressor, Params, COMPRESSORS};
use crate::model::Shape;
use crate::{Error, Result};

/// A resolved configuration: every parameter present, every rule checked.
#[derive(Clone)]
pub struct Resolved {
    /// The method.
    pub method: &'static dyn Compressor,
    /// Its parameters, defaults filled in.
    pub params: Params,
    /// Canonical JSON `{method: {params}}`, keys sorted. This object, not the request, is stored, hashed and compared.
    pub effective: Value,
    /// Values that follow from the parameters.
    pub derived: Value,
    /// Payload bits per element, for the shape's head dimension.
    pub bits: Bits,
}

impl Resolved {
    /// Registry name of the method.
    pub fn name(&self) -> &'static str {
        self.method.spec().name
    }

    /// Whether this is the baseline, which never has to act.
    pub fn is_baseline(&self) -> bool {
        self.method.spec().family == "baseline"
    }
}

impl std::fmt::Debug for Resolved {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Resolved({})", self.effective)
    }
}

/// Resolves `none` or `{method: {params}}`. With a shape, rules that need the head dimension are checked too.
///
/// # Errors
/// [`Error::Compressor`] with one of the registry's codes; [`Error::BadRequest`] if `request` has none of the forms.
pub fn resolve(request: &Value, shape: Option<Shape>) -> Result<Resolved> {
    let empty = Map::new();
    let (name, object) = match request {
        Value::String(name) => (name.as_str(), &empty),
        Value::Object(object) if object.len() == 1 => {
            let (name, params) = object.iter().next().expect("it has one entry");
            if name == "compose" {
                return Err(refuse_compose());
            }
            match params {
                Value::Object(params) => (name.as_str(), params),
                _ => return Err(bad_form(request)),
            }
        }
        _ => return Err(bad_form(request)),
    };
    let Some(method) = find(name) else {
        return Err(unknown_compressor(name));
    };
    let spec = method.spec();
    let mut given = Params::read(spec, object)?;
    method.expand(&mut given)?;
    let params = given.with_defaults(spec);
    method.check(&params, shape)?;
    let derived: Map<_, _> = method
        .derived(&params)
        .into_iter()
        .map(|(k, v)| (k.to_owned(), json!(v)))
        .collect();
    // No method of the registry has bits that depend on the head dimension at a default other than 128's.
    let bits = method.bits(&params, shape.map_or(128, |s| s.head_dim));
    Ok(Resolved {
        method,
        effective: json!({name: params.json()}),
        derived: Value::Object(derived),
        bits,
        params,
    })
}

/// Answers one line of the `resolve` command: `{compressor, shape?}` -> `{effective, derived, bits}` or
/// `{error: {kind, code, message}}`.
pub fn resolve_line(line: &Value) -> Value {
    match read_line(line).and_then(|(compressor, shape)| resolve(compressor, shape)) {
        Ok(resolved) => {
            json!({"effective": resolved.effective, "derived": resolved.derived, "bits": resolved.bits.json()})
        }
        Err(error) => {
            let code = match &error {
                Error::Compressor { code, .. } => code,
                other => other.kind(),
            };
            json!({"error": {"kind": error.kind(), "code": code, "message": error.to_string()}})
        }
    }
}

fn read_line(line: &Value) -> Result<(&Value, Option<Shape>)> {
    let bad = |text: &str| Err(Error::BadRequest(text.to_owned()));
    let Some(object) = line.as_object() else {
        return bad("a line of `resolve` is an object {compressor, shape?}");
    };
    if let Some(key) = object.keys().find(|k| !matches!(k.as_str(), "compressor" | "shape")) {
        return bad(&format!(
            "unknown field `{key}`; a line of `resolve` has `compressor` and perhaps `shape`"
        ));
    }
    let Some(compressor) = object.get("compressor") else {
        return bad("the line has no `compressor`");
    };
    let shape = match object.get("shape") {
        None | Some(Value::Null) => None,
        Some(shape) => Some(read_shape(shape)?),
    };
    Ok((compressor, shape))
}

fn read_shape(value: &Value) -> Result<Shape> {
    let field = |name: &str| {
        let n = value
            .get(name)
            .and_then(Value::as_u64)
            .filter(|n| (1..=1 << 20).contains(n));
        n.map(|n| n as usize).ok_or_else(|| {
            Error::BadRequest(format!(
                "`shape` needs a positive whole number `{name}` (of layers, q_heads, kv_heads, head_dim)"
            ))
        })
    };
    Ok(Shape {
        layers: field("layers")?,
        q_heads: field("q_heads")?,
        kv_heads: field("kv_heads")?,
        head_dim: field("head_dim")?,
    })
}

fn names() -> Vec<&'static str> {
    COMPRESSORS.iter().map(|c| c.spec().name).collect()
}

fn unknown_compressor(name: &str) -> Error {
    let hint = nearest(name, names()).map_or(String::new(), |n| format!(" (did you mean `{n}`?)"));
    let message = format!(
        "there is no compressor `{name}`{hint}; this engine has {}",
        names().join(", ")
    );
    refusal("unknown_compressor", message)
}

fn refuse_compose() -> Error {
    let message = format!(
        "this engine runs one compressor at a time; replace `compose` by one of {}",
        names().join(", ")
    );
    refusal("compose_unsupported", message)
}

fn bad_form(request: &Value) -> Error {
    let text: String = request.to_string().chars().take(80).collect();
    Error::BadRequest(format!(
        "compressor {text} is neither a name nor an object {{name: {{parameters}}}}"
    ))
}

/// The candidate within a third of the word's length in edits, if there is one: for "did you mean".
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let near = candidates.into_iter().map(|c| (edits(word, c), c));
    let (distance, best) = near.min_by_key(|(distance, _)| *distance)?;
    (distance <= word.chars().count().max(best.len()) / 3).then_some(best)
}

/// Levenshtein distance over characters.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().take(64).enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, cb) in b.iter().enumerate() {
            let substitute = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = substitute.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}
