//! The design's numeric examples for gear and kvquant, on the encoders alone.

use gpu_runner::backend::cpu::sparse::factors::{factors, Seed};
use gpu_runner::backend::cpu::sparse::gear::Setting;
use gpu_runner::backend::cpu::sparse::kvquant::{encode_value, Bounds, Codebook};
use gpu_runner::backend::cpu::sparse::outliers::{choose, per_tail};
use gpu_runner::cache::Axis;
use half::f16;
use serde_json::Value;

use super::fixtures::fixture;
use super::kv_trace::Random;

fn floats(value: &Value) -> Vec<f32> {
    let list = value.as_array().unwrap();
    list.iter().map(|x| x.as_f64().unwrap() as f32).collect()
}

fn halves(value: &Value) -> Vec<f16> {
    floats(value).into_iter().map(f16::from_f32).collect()
}

fn close(found: &[f32], wanted: &Value, tolerance: f32) {
    let wanted = floats(wanted);
    assert_eq!(found.len(), wanted.len());
    for (a, b) in found.iter().zip(&wanted) {
        assert!((a - b).abs() <= tolerance, "{found:?} is not {wanted:?}");
    }
}

const SEED: Seed = Seed {
    seed: 0,
    layer: 0,
    head: 0,
    tensor: 0,
    block: 0,
};

#[test]
fn a_line_of_gear_has_the_outliers_codes_and_backbone_of_the_design() {
    let f = fixture("gear_outliers_row");
    let x = halves(&f["inputs"]["x"]);
    // One token of eight channels as V, and one channel of eight tokens as K, are the same line.
    for (axis, d) in [(Axis::Token, 8), (Axis::Channel, 1)] {
        let setting = Setting {
            bits: 2,
            axis,
            group: Some(8),
            sparsity: 0.25,
            rank: 0,
            loops: 3,
        };
        let block = setting.seal(&x, d, SEED);
        let expected = &f["expected"];
        let codes: Vec<u64> = block.codes.iter().map(|c| u64::from(*c)).collect();
        assert_eq!(serde_json::json!(codes), expected["codes"]);
        let places: Vec<u64> = block
            .outliers
            .iter()
            .map(|o| u64::from(o.token) * d as u64 + u64::from(o.channel))
            .collect();
        assert_eq!(serde_json::json!(places), expected["outliers"]);
        let (s, m) = (block.params[0].to_f32(), block.params[1].to_f32());
        close(&[s], &serde_json::json!([expected["scale"]]), 1e-4);
        close(&[m], &serde_json::json!([expected["min"]]), 1e-4);
        let mut backbone: Vec<f32> = block.codes.iter().map(|c| f32::from(*c) * s + m).collect();
        for o in &block.outliers {
            backbone[o.token as usize * d + o.channel as usize] += o.difference.to_f32();
        }
        close(&backbone, &expected["backbone"], 4e-3);
    }
}

#[test]
fn outliers_per_tail_are_those_of_the_design() {
    let f = fixture("gear_per_tail");
    let found: Vec<usize> = f["inputs"]["cases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|case| per_tail(case[0].as_u64().unwrap() as usize, case[1].as_f64().unwrap()))
        .collect();
    assert_eq!(serde_json::json!(found), f["expected"]["per_tail"]);
}

#[test]
fn tied_outliers_are_the_later_ones_and_both_zeros_are_one() {
    assert_eq!(choose(&[1.0, 3.0, 3.0, 0.0, -0.0, 2.0], 1), [2, 4]);
    assert_eq!(choose(&[-0.0, 0.0, -0.0, 0.0], 1), [2, 3]);
    assert_eq!(choose(&[5.0; 6], 2), [2, 3, 4, 5]);
    // The smallest are chosen among what the largest leave.
    assert_eq!(choose(&[1.0, 2.0], 1), [0, 1]);
}

fn product(q: &[f16], p: &[f16], n: usize, d: usize) -> Vec<f32> {
    let r = q.len() / n;
    (0..n * d)
        .map(|i| {
            (0..r)
                .map(|k| q[i / d * r + k].to_f32() * p[k * d + i % d].to_f32())
                .sum()
        })
        .collect()
}

#[test]
fn a_rank_one_error_is_recovered_to_f16() {
    let f = fixture("gear_lowrank_rank1_exact");
    let rows = f["inputs"]["E"].as_array().unwrap();
    let e: Vec<f32> = rows.iter().flat_map(floats).collect();
    let wanted: Vec<f32> = f["expected"]["correction"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(floats)
        .collect();
    // A second column has nothing left to find and must not invent anything.
    for rank in [1, 2] {
        let found = factors(&e, 3, rank, 3, SEED.start(3, rank));
        let found = product(&found.q, &found.p, 4, 3);
        for (a, b) in found.iter().zip(&wanted) {
            assert!((a - b).abs() <= 2e-3, "rank {rank}: {found:?} is not {wanted:?}");
        }
    }
}

#[test]
fn gaussian_errors_leave_the_residual_of_the_design() {
    let f = fixture("gear_lowrank_gaussian");
    let (n, d, trials) = (64, 128, f["inputs"]["trials"].as_u64().unwrap());
    let mut random = Random(2024);
    let mut normal = move || {
        // The sum of twelve uniforms has variance 1; its tails do not matter to a norm.
        (0..12).map(|_| f64::from(random.float(0.5))).sum::<f64>() as f32
    };
    let errors: Vec<Vec<f32>> = (0..trials).map(|_| (0..n * d).map(|_| normal()).collect()).collect();
    for (i, rank) in [2, 4].into_iter().enumerate() {
        let mut sum = 0.0;
        for (block, e) in errors.iter().enumerate() {
            let found = factors(e, d, rank, 3, Seed { block, ..SEED }.start(d, rank));
            let product = product(&found.q, &found.p, n, d);
            let norm = |x: &mut dyn Iterator<Item = f32>| x.map(|x| f64::from(x).powi(2)).sum::<f64>().sqrt();
            sum += norm(&mut e.iter().zip(&product).map(|(a, b)| a - b)) / norm(&mut e.iter().copied());
        }
        let wanted = f["expected"]["mean_relative_residual"][i].as_f64().unwrap();
        let mean = sum / trials as f64;
        assert!((mean - wanted).abs() <= 0.004, "rank {rank}: {mean}, not {wanted}");
    }
}

#[test]
fn starting_matrices_are_the_uniforms_of_the_design() {
    let f = fixture("rng_uniform");
    let wanted = floats(&f["expected"]["u"]);
    // Two columns of two channels: element (c, k) is draw 2c + k, stored column by column.
    let start = Seed { tensor: 0, ..SEED }.start(2, 2);
    assert_eq!(start, [wanted[0], wanted[2], wanted[1], wanted[3]]);
    let other = Seed { tensor: 1, ..SEED }.start(2, 2);
    assert_ne!(start, other);
}

#[test]
fn extreme_and_constant_blocks_seal_to_finite_numbers() {
    let mut random = Random(5);
    let extreme: Vec<f16> = (0..64 * 64)
        .map(|_| if random.float(1.0) > 0.0 { f16::MAX } else { f16::MIN })
        .collect();
    for x in [extreme, vec![f16::ZERO; 64 * 64], vec![f16::from_f32(2.0); 64 * 64]] {
        for axis in [Axis::Channel, Axis::Token] {
            let setting = Setting {
                bits: 2,
                axis,
                group: Some(64),
                sparsity: 0.02,
                rank: 4,
                loops: 10,
            };
            let block = setting.seal(&x, 64, SEED);
            let numbers = block.params.iter().chain(&block.factors.q).chain(&block.factors.p);
            assert!(numbers
                .chain(block.outliers.iter().map(|o| &o.difference))
                .all(|x| x.is_finite()));
            assert_eq!(block.outliers.len(), 2 * 64);
        }
    }
}

#[test]
fn a_key_channel_of_kvquant_has_the_codes_and_outliers_of_the_design() {
    let f = fixture("kvquant_key_channel");
    let input = &f["inputs"];
    let book = Codebook::new(&floats(&input["codebook"]), None);
    let bound = |name: &str| vec![input[name].as_f64().unwrap() as f32];
    let bounds = Bounds::new(&bound("lo"), &bound("hi"));
    let (mut codes, mut outliers) = (Vec::new(), Vec::new());
    for (token, x) in halves(&input["x"]).into_iter().enumerate() {
        let mut code = [0];
        bounds.encode(&book, token, &[x], &mut code, &mut outliers);
        codes.push(code[0]);
    }
    let mut decoded: Vec<f32> = codes
        .iter()
        .map(|c| bounds.zero[0] + bounds.range[0] * book.decoded[*c as usize])
        .collect();
    outliers
        .iter()
        .for_each(|o| decoded[o.token as usize] += o.difference.to_f32());
    assert_eq!(serde_json::json!(codes), f["expected"]["codes"]);
    assert_eq!(
        serde_json::json!(outliers.iter().map(|o| o.token).collect::<Vec<_>>()),
        f["expected"]["outliers"]
    );
    close(&decoded, &f["expected"]["dequant"], 0.0);
}

#[test]
fn a_value_token_of_kvquant_has_the_codes_and_outliers_of_the_design() {
    let f = fixture("kvquant_value_token");
    let input = &f["inputs"];
    let book = Codebook::new(&floats(&input["codebook"]), None);
    let x = halves(&input["x"]);
    let k = per_tail(x.len(), input["sparsity"].as_f64().unwrap());
    let (mut codes, mut outliers) = (vec![0; x.len()], Vec::new());
    let (zero, range) = encode_value(&book, k, 0, &x, &mut codes, &mut outliers);
    let mut decoded: Vec<f32> = codes
        .iter()
        .map(|c| zero.to_f32() + range.to_f32() * book.decoded[*c as usize])
        .collect();
    outliers
        .iter()
        .for_each(|o| decoded[o.channel as usize] += o.difference.to_f32());
    let expected = &f["expected"];
    assert_eq!(serde_json::json!(codes), expected["codes"]);
    assert_eq!(
        serde_json::json!(outliers.iter().map(|o| o.channel).collect::<Vec<_>>()),
        expected["outliers"]
    );
    close(&[zero.to_f32()], &serde_json::json!([expected["zero"]]), 4e-3);
    close(&[range.to_f32()], &serde_json::json!([expected["range"]]), 4e-3);
    close(&decoded, &expected["dequant"], 4e-3);
}
