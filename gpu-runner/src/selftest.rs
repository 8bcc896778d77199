//! The command `selftest`: every kernel of this machine against the plain reference, on shapes with ragged ends.
//!
//! Two kinds of check: equal bits between instruction sets (what invariance rests on), and agreement with f64 within a
//! bound that follows from the number formats (what correctness rests on).

use crate::backend::cpu::attention::{decode, CHUNK};
use crate::backend::cpu::{linear, Activations, Isa, PackedMatrix, Pool, Rows};
use crate::backend::reference;
use crate::cache::{KvCache, Observed, Watched};
use crate::compress::resolve;
use crate::model::rope::{Rope, RopeScaling};
use crate::model::Shape;
use crate::quant::WeightType;
use crate::random::{key, uniform};
use crate::serve::exit;
use crate::Result;
use half::f16;
use serde::Serialize;
use serde_json::Value;
use std::io::Write;
use std::sync::Arc;

/// One check.
#[derive(Debug, Serialize)]
pub struct Check {
    /// What was compared, on which instruction set.
    pub name: String,
    /// The largest difference, relative to the output's scale; 0 for equal bits.
    pub difference: f64,
    /// The most that is allowed.
    pub allowed: f64,
    /// Whether it is within.
    pub passed: bool,
}

/// Runs all checks on every instruction set of this machine.
///
/// # Errors
/// `internal` if a cache refuses what it was made for.
pub fn run() -> Result<Vec<Check>> {
    let pool = Pool::new(2);
    let mut checks = Vec::new();
    linear_checks(&pool, &mut checks);
    cache_checks(&pool, &mut checks)?;
    Ok(checks)
}

/// Configurations whose pages differ.
const COMPRESSORS: &[&str] = &[
    r#"{"none":{}}"#,
    r#"{"kivi":{"bits":2,"window":32}}"#,
    r#"{"kivi":{"bits":4,"window":64,"group":64}}"#,
    r#"{"kivi":{"bits":8,"window":64,"v_flush":"block"}}"#,
    r#"{"streaming_llm":{"sinks":4,"recent":60}}"#,
    r#"{"streaming_llm":{"sinks":4,"recent":60,"positions":"original"}}"#,
];

/// Seal and attention over pages and window: prompts of one token, at and past page edges, then decode steps; every
/// group size and head dimension that has kernels.
fn cache_checks(pool: &Pool, checks: &mut Vec<Check>) -> Result<()> {
    for compressor in COMPRESSORS {
        let compressor: Value = serde_json::from_str(compressor).unwrap_or_default();
        for (head_dim, group) in [(64, 1), (64, 3), (64, 8), (128, 4), (128, 7)] {
            let shape = Shape {
                layers: 1,
                q_heads: 2 * group,
                kv_heads: 2,
                head_dim,
            };
            let mut scalar = None;
            for isa in Isa::available() {
                let (difference, bits) = attention(pool, isa, shape, &compressor)?;
                let name = format!("attention {compressor} d {head_dim} g {group} on {}", isa.name());
                checks.push(check(format!("{name} against f64"), difference, 2e-5));
                match &scalar {
                    None => scalar = Some(bits),
                    Some(first) => {
                        let differ = first.iter().zip(&bits).filter(|(a, b)| a != b).count();
                        checks.push(check(format!("{name}: bits of scalar"), differ as f64, 0.0));
                    }
                }
            }
        }
    }
    Ok(())
}

/// The largest difference between the kernel and f64 over the dequantised pages, and the kernel's bits.
fn attention(pool: &Pool, isa: Isa, shape: Shape, compressor: &Value) -> Result<(f64, Vec<u32>)> {
    let resolved = resolve(compressor, Some(shape))?;
    let rope = Arc::new(Rope::new(shape.head_dim, 10_000.0, &RopeScaling::None, 512)?);
    let (width, q_width) = (shape.kv_heads * shape.head_dim, shape.q_heads * shape.head_dim);
    let draws = key(13, [0; 5]);
    let value = |i: usize| 2.0 * uniform(draws, i as u64) - 1.0;
    let halves = |first: usize, n: usize| -> Vec<f16> { (first..first + n).map(|i| f16::from_f32(value(i))).collect() };
    let (mut most, mut bits) = (0f64, Vec::new());
    for prompt in [1, 63, 64, 65, 150] {
        let mut cache = KvCache::new(shape, &resolved, Arc::clone(&rope), isa, 64 << 20)?;
        let seq = cache.admit(prompt, 8, 0)?;
        cache.prefill_layer(
            pool,
            seq,
            0,
            &halves(0, prompt * width),
            &halves(1 << 20, prompt * width),
            &Observed::default(),
        )?;
        for step in 0..4 {
            let token = prompt + step;
            cache.append(
                seq,
                0,
                &halves(token * width, width),
                &halves((1 << 20) + token * width, width),
            )?;
            let q: Vec<f32> = (0..q_width)
                .map(|i| 2.0 * value((2 << 20) + token * q_width + i))
                .collect();
            let (mut out, mut exact) = (vec![f32::NAN; q_width], vec![f32::NAN; q_width]);
            decode(pool, isa, &cache, &[seq], 0, &q, CHUNK, &mut out, None);
            reference::attend(&cache, seq, 0, &q, &mut exact);
            for (got, want) in out.iter().zip(&exact) {
                // A NaN must fail: `max` would hide it.
                let difference = f64::from((got - want).abs());
                most = if difference <= most { most } else { difference };
                bits.push(got.to_bits());
            }
            cache.after_step(pool, 0, &[seq], &Watched::default())?;
        }
        cache.release(seq)?;
    }
    Ok((most, bits))
}

fn linear_checks(pool: &Pool, checks: &mut Vec<Check>) {
    for ty in WeightType::ALL {
        let mut scalar = None;
        for isa in Isa::available() {
            let (out, exact) = product(ty, isa, pool);
            let scale = exact.iter().fold(0f64, |most, y| most.max(y.abs()));
            let difference = out.iter().zip(&exact).fold(0f64, |most, (got, want)| {
                most.max((f64::from(*got) - want).abs() / scale)
            });
            // int8 activations round to 1/254 of a block's largest value; sums of 64 such errors stay below this.
            let allowed = if is_float(ty) { 1e-5 } else { 2e-2 };
            checks.push(check(
                format!("linear {ty} on {} against f64", isa.name()),
                difference,
                allowed,
            ));
            let bits: Vec<u32> = out.iter().map(|y| y.to_bits()).collect();
            match &scalar {
                None => scalar = Some(bits),
                Some(first) => {
                    let differ = first.iter().zip(&bits).filter(|(a, b)| a != b).count();
                    checks.push(check(
                        format!("linear {ty} on {}: bits of scalar", isa.name()),
                        differ as f64,
                        0.0,
                    ));
                }
            }
        }
    }
}

fn is_float(ty: WeightType) -> bool {
    matches!(ty, WeightType::F32 | WeightType::F16 | WeightType::BF16)
}

fn check(name: String, difference: f64, allowed: f64) -> Check {
    Check {
        passed: difference <= allowed,
        name,
        difference,
        allowed,
    }
}

/// W x for 37 rows, 512 columns and 5 tokens: the kernel's result and f64's over the dequantised weights.
fn product(ty: WeightType, isa: Isa, pool: &Pool) -> (Vec<f32>, Vec<f64>) {
    let (rows, cols, n) = (37, 512, 5);
    let bytes = random_weights(ty, rows * cols / ty.block_len() * ty.block_bytes());
    let draws = key(7, [0; 5]);
    let x: Vec<f32> = (0..n * cols).map(|i| 2.0 * uniform(draws, i as u64) - 1.0).collect();
    let part = Rows {
        ty,
        rows,
        bytes: &bytes,
        order: None,
    };
    let matrix = PackedMatrix::pack(cols, &[part], pool);
    let mut input = Activations::new();
    input.set(isa, pool, &x, cols, matrix.inputs());
    let mut out = vec![f32::NAN; n * rows];
    linear(isa, pool, &matrix, &input, &mut out, false);
    let mut weights = vec![0f32; rows * cols];
    ty.dequantize_row(&bytes, &mut weights);
    let exact = x
        .chunks(cols)
        .flat_map(|x| weights.chunks(cols).map(move |w| dot(w, x)))
        .collect();
    (out, exact)
}

fn dot(w: &[f32], x: &[f32]) -> f64 {
    w.iter().zip(x).map(|(w, x)| f64::from(*w) * f64::from(*x)).sum()
}

/// Random blocks whose 16-bit scales are ordinary numbers.
fn random_weights(ty: WeightType, len: usize) -> Vec<u8> {
    let draws = key(11, [0; 5]);
    let byte = |i: usize| (uniform(draws, i as u64) * 256.0) as u8;
    match ty {
        WeightType::F32 => (0..len / 4)
            .flat_map(|i| (uniform(draws, i as u64) - 0.5).to_le_bytes())
            .collect(),
        WeightType::F16 => (0..len / 2)
            .flat_map(|i| half::f16::from_f32(uniform(draws, i as u64) - 0.5).to_le_bytes())
            .collect(),
        WeightType::BF16 => (0..len / 2)
            .flat_map(|i| half::bf16::from_f32(uniform(draws, i as u64) - 0.5).to_le_bytes())
            .collect(),
        _ => {
            let mut bytes: Vec<u8> = (0..len).map(byte).collect();
            let at: &[usize] = match ty {
                WeightType::Q4_1 | WeightType::Q4K => &[0, 2],
                WeightType::Q6K => &[208],
                _ => &[0],
            };
            for block in bytes.chunks_mut(ty.block_bytes()) {
                for at in at {
                    block[*at..at + 2].copy_from_slice(&half::f16::from_f32(0.0173).to_le_bytes());
                }
            }
            bytes
        }
    }
}

/// Prints the checks and says how to exit.
///
/// # Errors
/// As [`run`]; writing to a closed stdout is the reader's choice.
pub fn print(json: bool, out: &mut dyn Write) -> Result<i32> {
    let checks = run()?;
    let failed = checks.iter().filter(|c| !c.passed).count();
    if json {
        let _ = writeln!(out, "{}", serde_json::json!({"checks": checks, "failed": failed}));
    } else {
        for c in &checks {
            let word = if c.passed { "ok" } else { "DIFFERS" };
            let _ = writeln!(
                out,
                "{word:<8}{:<48} {:.2e} (allowed {:.0e})",
                c.name, c.difference, c.allowed
            );
        }
    }
    Ok(if failed == 0 { exit::DONE } else { exit::CELL_FAILED })
}
