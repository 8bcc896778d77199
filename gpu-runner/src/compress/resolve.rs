//! From a request's compressor to the configuration that really runs.

use serde_json::{json, Map, Value};
use std::sync::Arc;

use super::{find, refusal, Bits, Compressor, Eviction, ParamValue, Params, When, COMPRESSORS};
use crate::cache::{Flush, Layout};
use crate::calibrate::Artefact;
use crate::model::Shape;
use crate::{Error, Result};

/// A method with its parameters.
#[derive(Clone)]
pub struct Chosen {
    /// The method.
    pub method: &'static dyn Compressor,
    /// Every parameter, defaults filled in.
    pub params: Params,
}

/// A resolved configuration: every parameter present, every rule checked.
#[derive(Clone)]
pub struct Resolved {
    /// What drops entries, if anything does.
    pub evictor: Option<Chosen>,
    /// What says how entries are stored: the quantiser, or else the one method.
    pub storer: Chosen,
    /// Canonical JSON, keys sorted. This object, not the request, is stored, hashed and compared.
    pub effective: Value,
    /// Values that follow from the parameters.
    pub derived: Value,
    /// Payload bits per element, for the shape's head dimension.
    pub bits: Bits,
    /// What the storer was calibrated to, if it reads that; a cell's plan sets it.
    pub calibration: Option<Arc<Artefact>>,
}

impl Resolved {
    /// Registry name of the method, or of both as `evictor+quantiser`.
    pub fn name(&self) -> String {
        let storer = self.storer.method.spec().name;
        match &self.evictor {
            Some(evictor) if evictor.method.spec().name != storer => {
                format!("{}+{storer}", evictor.method.spec().name)
            }
            _ => storer.to_owned(),
        }
    }

    /// Whether this is the baseline, which never has to act.
    pub fn is_baseline(&self) -> bool {
        self.storer.method.spec().family == "baseline"
    }

    /// How entries of a layer are stored.
    pub fn layout(&self, layer: usize, shape: Shape) -> Layout {
        self.storer.method.layout(&self.storer.params, layer, shape)
    }

    /// What is dropped and when.
    pub fn eviction(&self) -> Option<Eviction> {
        self.evictor.as_ref().and_then(|e| e.method.eviction(&e.params))
    }

    /// Checks rules between parameters, and against a model's shape where one is given.
    ///
    /// # Errors
    /// `param_conflict`, `head_dim_unsupported`, `budget_too_small`, `compose_unsupported`.
    pub fn check(&self, shape: Option<Shape>) -> Result<()> {
        self.storer.method.check(&self.storer.params, shape)?;
        match &self.evictor {
            Some(evictor) => evictor.method.check(&evictor.params, shape),
            None => Ok(()),
        }
    }
}

impl std::fmt::Debug for Resolved {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Resolved({})", self.effective)
    }
}

/// Resolves `none`, `{method: {params}}` or `{compose: [{evictor: {..}}, {quantiser: {..}}]}`. With a shape, rules that
/// need the head dimension are checked too.
///
/// # Errors
/// [`Error::Compressor`] with one of the registry's codes; [`Error::BadRequest`] if `request` has none of the forms.
pub fn resolve(request: &Value, shape: Option<Shape>) -> Result<Resolved> {
    let composed = request
        .as_object()
        .filter(|o| o.len() == 1)
        .and_then(|o| o.get("compose"));
    match composed {
        Some(parts) => compose(parts, shape),
        None => single(request, shape),
    }
}

fn single(request: &Value, shape: Option<Shape>) -> Result<Resolved> {
    let chosen = choose(request, shape)?;
    let evicts = chosen.method.eviction(&chosen.params).is_some();
    Ok(Resolved {
        effective: chosen.effective(),
        derived: chosen.derived(),
        bits: chosen.bits(shape),
        evictor: evicts.then(|| chosen.clone()),
        storer: chosen,
        calibration: None,
    })
}

fn choose(request: &Value, shape: Option<Shape>) -> Result<Chosen> {
    let empty = Map::new();
    let (name, object) = match request {
        Value::String(name) => (name.as_str(), &empty),
        Value::Object(object) if object.len() == 1 => {
            let (name, params) = object.iter().next().expect("it has one entry");
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
    let mut params = given.with_defaults(spec);
    method.settle(&mut params);
    method.check(&params, shape)?;
    Ok(Chosen { method, params })
}

impl Chosen {
    fn name(&self) -> &'static str {
        self.method.spec().name
    }

    fn effective(&self) -> Value {
        json!({self.name(): self.params.effective(self.method.spec()).json()})
    }

    fn derived(&self) -> Value {
        let derived = self.method.derived(&self.params).into_iter();
        Value::Object(derived.map(|(k, v)| (k.to_owned(), json!(v))).collect())
    }

    fn bits(&self, shape: Option<Shape>) -> Bits {
        // Without a model the bits are those of head dimension 128.
        self.method.bits(&self.params, shape.map_or(128, |s| s.head_dim))
    }
}

/// Resolves `[{evictor: {..}}, {quantiser: {..}}]`.
fn compose(parts: &Value, shape: Option<Shape>) -> Result<Resolved> {
    let refuse = |message: String| Err(refusal("compose_unsupported", message));
    let Some([first, second]) = parts.as_array().map(Vec::as_slice) else {
        return refuse(format!(
            "compose takes a list of two, an evictor and then a quantiser, as in [{{\"snapkv\": {{}}}}, {{\"kivi\": {{}}}}]; it \
             has {}",
            parts.as_array().map_or("no list".to_owned(), |list| format!("{} entries", list.len()))
        ));
    };
    let (evictor, quantiser) = (choose(first, shape)?, choose(second, shape)?);
    let (e, q) = (evictor.name(), quantiser.name());
    let Some(eviction) = evictor.method.eviction(&evictor.params) else {
        return refuse(format!(
            "compose: {e} drops nothing; the first of the two must be an evictor"
        ));
    };
    if !quantiser
        .method
        .spec()
        .compose_role
        .is_some_and(|role| role.starts_with("quant"))
    {
        return refuse(format!(
            "compose: {q} cannot be the second of the two; take one of {}",
            quantisers().join(", ")
        ));
    }
    if evictor.params.get("positions") == Some(ParamValue::Word("slot")) {
        return refuse(format!(
            "compose: {e} with positions slot rotates keys at read, which quantised keys do not allow; set positions to original"
        ));
    }
    // Any shape shows how entries are sealed.
    let some = shape.unwrap_or(Shape {
        layers: 1,
        q_heads: 1,
        kv_heads: 1,
        head_dim: 128,
    });
    let layout = quantiser.method.layout(&quantiser.params, some.layers / 2, some);
    let window = match (layout.k_flush, layout.v_flush) {
        (Flush::Token(k), Flush::Token(v)) => k.max(v),
        _ if eviction.when == When::Prefill => 0,
        _ => {
            return refuse(format!(
                "compose: {q} seals entries in groups that cannot lose a member, so {e} must drop at the prompt's end only; set \
                 evict_at to prefill, or take a quantiser that seals token by token"
            ))
        }
    };
    if eviction.when != When::Prefill && eviction.budget <= window {
        return refuse(format!(
            "compose: a budget of {} entries leaves nothing for {q} to seal behind its window of {window}; raise the budget \
             above {window} or lower the window",
            eviction.budget
        ));
    }
    let mut derived = evictor.derived();
    if let (Value::Object(all), Value::Object(more)) = (&mut derived, quantiser.derived()) {
        all.extend(more);
    }
    Ok(Resolved {
        effective: json!({"compose": [evictor.effective(), quantiser.effective()]}),
        derived,
        bits: quantiser.bits(shape),
        evictor: Some(evictor),
        storer: quantiser,
        calibration: None,
    })
}

fn quantisers() -> Vec<&'static str> {
    let specs = COMPRESSORS.iter().map(|c| c.spec());
    specs
        .filter(|s| s.compose_role.is_some_and(|role| role.starts_with("quant")))
        .map(|s| s.name)
        .collect()
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

fn bad_form(request: &Value) -> Error {
    let text: String = request.to_string().chars().take(80).collect();
    Error::BadRequest(format!(
        "compressor {text} is neither a name nor an object {{name: {{parameters}}}} or {{compose: [evictor, quantiser]}}"
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
