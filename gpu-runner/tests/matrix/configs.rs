//! Configurations that act on samples of some hundred tokens, from the schemas alone.

use gpu_runner::compress::{resolve, Compressor, Param, ParamKind, COMPRESSORS};
use gpu_runner::model::Shape;
use serde_json::{json, Map, Value};

use crate::calibrated::UNMADE;

/// The budget of every evictor: below most prompts of the matrix, above every protected part.
pub const BUDGET: usize = 40;

/// The shape of most tests.
pub const SHAPE: Shape = Shape {
    layers: 4,
    q_heads: 4,
    kv_heads: 2,
    head_dim: 64,
};

/// Larger heads and groups, for the formats that need them.
pub const WIDE: Shape = Shape {
    layers: 3,
    q_heads: 8,
    kv_heads: 2,
    head_dim: 128,
};

/// A value with which a method acts early, where the default would not.
fn small(method: &dyn Compressor, param: &Param) -> Option<Value> {
    let budgeted = method.spec().param("budget").is_some();
    match (param.name, param.kind) {
        ("budget", _) => Some(json!(BUDGET)),
        ("recent", _) if !budgeted => Some(json!(BUDGET - 4)),
        ("obs_window", _) => Some(json!(8)),
        ("interval", _) => Some(json!(6)),
        ("skip_first" | "skip_last", _) => Some(json!(1)),
        ("window", ParamKind::Range(lo, _)) => Some(json!(lo)),
        ("calibration", _) => Some(json!(UNMADE)),
        ("group" | "block", ParamKind::Sizes(all)) => Some(json!(all[0])),
        (name, ParamKind::Numbers(all)) if name.ends_with("bits") => Some(json!(all[0])),
        _ => None,
    }
}

/// Other values that deserve a run.
fn others(method: &dyn Compressor, param: &Param) -> Vec<Value> {
    let budgeted = method.spec().param("budget").is_some();
    match (param.name, param.kind) {
        ("recent", _) if budgeted => vec![json!(5)],
        ("sinks", _) => vec![json!(0), json!(3)],
        ("kernel", _) => vec![json!(1), json!(5)],
        ("window", ParamKind::Range(lo, _)) => vec![json!(lo + 32)],
        ("interval", _) => vec![json!(1)],
        ("skip_first" | "skip_last", _) => vec![json!(0)],
        ("rank_prefill" | "rank_decode", _) => vec![json!(0), json!(3)],
        ("sinks_fp", _) => vec![json!(0), json!(5)],
        (_, ParamKind::Between(lo, _)) => vec![json!(lo)],
        (_, ParamKind::Bool) => vec![json!(false), json!(true)],
        (_, ParamKind::Words(all)) => all.iter().map(|w| json!(w)).collect(),
        (_, ParamKind::Sizes(all) | ParamKind::Numbers(all)) => all.iter().map(|n| json!(n)).collect(),
        _ => Vec::new(),
    }
}

/// The smallest configuration of a method.
pub fn base(method: &dyn Compressor) -> Map<String, Value> {
    let params = method.spec().params.iter();
    params
        .filter_map(|p| Some((p.name.to_owned(), small(method, p)?)))
        .collect()
}

/// Whether this is an identity setting: it keeps and stores all as the baseline does.
fn is_identity(method: &dyn Compressor, params: &Map<String, Value>) -> bool {
    let request = |params: &Map<String, Value>| json!({method.spec().name: params});
    let Some(Value::Object(identity)) = method.identity() else {
        return false;
    };
    let mut set = params.clone();
    for name in method.spec().aliases.iter().flat_map(|a| a.stands_for) {
        set.remove(*name);
    }
    set.extend(identity);
    match (resolve(&request(&set), None), resolve(&request(params), None)) {
        (Ok(a), Ok(b)) => a.effective == b.effective,
        _ => false,
    }
}

/// The smallest configuration and, one at a time, every choice of every parameter, as requests.
pub fn of(method: &dyn Compressor, shape: Shape) -> Vec<Value> {
    let spec = method.spec();
    let base = base(method);
    let mut all = vec![base.clone()];
    for param in spec.params {
        for value in others(method, param) {
            let mut params = base.clone();
            params.insert(param.name.into(), value);
            // A choice may need a larger group partner, as a block that the group divides.
            let fits = resolve(&json!({spec.name: params}), Some(shape)).is_ok();
            if !fits {
                for larger in ["block", "window"] {
                    params.extend(spec.param(larger).map(|_| (larger.to_owned(), json!(128))));
                }
            }
            if resolve(&json!({spec.name: params}), Some(shape)).is_ok() && !is_identity(method, &params) {
                all.push(params);
            }
        }
    }
    let mut seen = Vec::new();
    all.retain(|params| {
        let effective = resolve(&json!({spec.name: params}), Some(shape)).map(|r| r.effective);
        match effective {
            Ok(effective) if !seen.contains(&effective) => {
                seen.push(effective);
                true
            }
            Ok(_) => false,
            Err(error) => panic!("{} refuses the matrix: {error}", json!({spec.name: params})),
        }
    });
    all.into_iter().map(|params| json!({spec.name: params})).collect()
}

/// The smallest configuration of every row.
pub fn smallest() -> Vec<Value> {
    COMPRESSORS.iter().map(|m| json!({m.spec().name: base(*m)})).collect()
}

/// Pairs that compose, each part at its smallest; an evictor once a schedule.
pub fn pairs() -> Vec<Value> {
    let mut all = Vec::new();
    for evictor in COMPRESSORS {
        for schedule in schedules(*evictor) {
            for quantiser in COMPRESSORS {
                let pair = json!({"compose": [schedule, {quantiser.spec().name: base(*quantiser)}]});
                if resolve(&pair, Some(SHAPE)).is_ok() {
                    all.push(pair);
                }
            }
        }
    }
    all
}

/// The smallest configuration of an evictor under each of its schedules, with original positions; none for others.
pub fn schedules(method: &dyn Compressor) -> Vec<Value> {
    let spec = method.spec();
    let mut base = base(method);
    match spec.compose_role {
        Some(role) if role.starts_with("evict") => {}
        _ => return Vec::new(),
    }
    if spec.param("positions").is_some() {
        base.insert("positions".into(), json!("original"));
    }
    let Some(param) = spec.param("evict_at") else {
        return vec![json!({spec.name: base})];
    };
    let choices = param.choices();
    let with = |choice: &Value| {
        let mut params = base.clone();
        params.insert("evict_at".into(), choice.clone());
        json!({spec.name: params})
    };
    choices.as_array().unwrap().iter().map(with).collect()
}

/// Every configuration of every row, and every pair.
pub fn everything() -> Vec<Value> {
    all_of(SHAPE).into_iter().chain(pairs()).collect()
}

/// Every configuration of every row that fits a shape.
pub fn all_of(shape: Shape) -> Vec<Value> {
    COMPRESSORS.iter().flat_map(|m| of(*m, shape)).collect()
}

/// The registry row of a single method's configuration.
pub fn method(config: &Value) -> Option<&'static dyn Compressor> {
    let name = config.as_object()?.keys().next()?;
    COMPRESSORS.iter().copied().find(|m| m.spec().name == name)
}
