//! The command `selftest`: every kernel of this machine against the plain reference, on shapes with ragged ends.
//!
//! Two kinds of check: equal bits between instruction sets (what invariance rests on), and agreement with f64 within a
//! bound that follows from the number formats (what correctness rests on).

use crate::backend::cpu::{linear, Activations, Isa, PackedMatrix, Pool, Rows};
use crate::quant::WeightType;
use crate::random::{key, uniform};
use crate::serve::exit;
use crate::Result;
use serde::Serialize;
use std::io::Write;

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
pub fn run() -> Vec<Check> {
    let pool = Pool::new(2);
    let mut checks = Vec::new();
    for ty in WeightType::ALL {
        let mut scalar = None;
        for isa in Isa::available() {
            let (out, exact) = product(ty, isa, &pool);
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
    checks
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
/// None of its own: writing to a closed stdout is the reader's choice.
pub fn print(json: bool, out: &mut dyn Write) -> Result<i32> {
    let checks = run();
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
