//! Codecs of one token's vector against the design's numeric examples, brute force, and f64 attention. One file of more than 500
//! lines, because every check runs over the one table of codecs at its top.

use gpu_runner::backend::cpu::codec::codebook::{BOUNDS, CENTROIDS};
use gpu_runner::backend::cpu::codec::decode;
use gpu_runner::backend::cpu::{Isa, Pool};
use gpu_runner::cache::dump::Sealed;
use gpu_runner::cache::{KvCache, Layout, Observed, Part, SeqId, Watched};
use gpu_runner::compress::resolve;
use gpu_runner::random::{key, sign, uses};
use gpu_runner::Error;
use half::f16;
use serde_json::{json, Value};

use super::fixtures::fixture;
use super::kv_trace::{assert_close, attend, bits, cache, isas, reference, shape, Random, Trace};
use super::matrix::feed::{Feed, Story};

/// Every token codec in every basis, with and without a window.
pub fn matrix() -> Vec<Value> {
    vec![
        json!({"fp8_e4m3": {}}),
        json!({"fp8_e4m3": {"scale": "token_head", "window": 40}}),
        json!({"fp8_e4m3": {"rotate": "hadamard"}}),
        json!({"int8_token_head": {}}),
        json!({"int8_token_head": {"window": 17, "rotate": "hadamard"}}),
        json!({"int4_token_head": {}}),
        json!({"int4_token_head": {"window": 64, "rotate": "hadamard"}}),
        json!({"q8_0": {}}),
        json!({"q8_0": {"window": 1, "rotate": "hadamard"}}),
        json!({"q4_0": {"window": 100}}),
        json!({"q4_0": {"rotate": "hadamard"}}),
        json!({"turboquant_mse": {}}),
        json!({"turboquant_mse": {"bits": 1, "seed": 9}}),
        json!({"turboquant_mse": {"bits": 2, "renorm": true, "window": 30}}),
        json!({"turboquant_mse": {"k_bits": 3, "v_bits": 16, "rotation": "hadamard"}}),
        json!({"turboquant_mse": {"k_bits": 16, "v_bits": 3}}),
        json!({"turboquant_vllm": {"preset": "k8v4", "skip_first": 0, "skip_last": 0}}),
        json!({"turboquant_vllm": {"skip_first": 0, "skip_last": 0}}),
        json!({"turboquant_vllm": {"preset": "k3v4_nc", "skip_first": 0, "skip_last": 0, "window": 20}}),
        json!({"turboquant_vllm": {"preset": "3bit_nc", "skip_first": 0, "skip_last": 0}}),
    ]
}

fn floats(value: &Value) -> Vec<f32> {
    let numbers = value.as_array().unwrap().iter();
    numbers.map(|x| x.as_f64().unwrap() as f32).collect()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

fn value(bits: u16) -> f64 {
    f16::from_bits(bits).to_f64()
}

/// A one-store cache whose K and V are these rows.
fn stored(compressor: &Value, isa: Isa, rows: &[Vec<f32>]) -> (KvCache, SeqId) {
    let d = rows[0].len();
    let mut cache = cache(shape(1, 1, 1, d), compressor, isa);
    let values: Vec<f16> = rows.iter().flatten().map(|x| f16::from_f32(*x)).collect();
    let seq = cache.admit(rows.len(), 1, 0).unwrap();
    cache
        .prefill_layer(&Pool::new(1), seq, 0, &values, &values, &Observed::default())
        .unwrap();
    (cache, seq)
}

/// `count` codes of a bit stream.
fn codes(sealed: &Sealed, bits: usize, count: usize) -> Vec<u8> {
    let bit = |j: usize| (sealed.codes[j / 8] >> (j % 8) & 1) as u32;
    (0..count)
        .map(|i| (0..bits).map(|b| bit(i * bits + b) << b).sum::<u32>() as u8)
        .collect()
}

/// The rows repeated or filled with zeros to a head dimension of 64.
fn padded(head: &[f32], block: Option<usize>) -> Vec<f32> {
    let mut row = head.to_vec();
    row.resize(block.unwrap_or(row.len()), 0.0);
    row.repeat(64 / row.len())
}

#[test]
fn scalar_formats_give_the_codes_and_scales_of_the_design() {
    for (name, compressor, bits, block) in [
        ("fp8_e4m3_unit_scale", json!({"fp8_e4m3": {}}), 8, None),
        (
            "fp8_e4m3_token_head",
            json!({"fp8_e4m3": {"scale": "token_head"}}),
            8,
            None,
        ),
        ("int8_token_head", json!({"int8_token_head": {}}), 8, None),
        ("int4_token_head", json!({"int4_token_head": {}}), 4, None),
        ("q4_0_decimal", json!({"q4_0": {}}), 4, Some(32)),
        ("q4_0_f16_exact", json!({"q4_0": {}}), 4, Some(32)),
        ("q8_0_decimal", json!({"q8_0": {}}), 8, Some(32)),
        ("q8_0_f16_exact", json!({"q8_0": {}}), 8, Some(32)),
        ("q8_0_half_away", json!({"q8_0": {}}), 8, Some(32)),
    ] {
        let fixture = fixture(name);
        let wanted = &fixture["expected"];
        let head = match fixture["inputs"].get("x_head") {
            Some(x) => floats(x),
            None => floats(&fixture["inputs"]["x"]),
        };
        for isa in isas() {
            let (cache, seq) = stored(&compressor, isa, &[padded(&head, block)]);
            let dump = cache.dump(seq, 0, 0);
            assert_eq!(dump.k, dump.v, "{name}: K and V of equal values are equal");
            assert_eq!(dump.k.entries, 1);
            let found = codes(&dump.k, bits, 64);
            let signed: Vec<i64> = found.iter().map(|c| i64::from(*c as i8)).collect();
            for field in ["codes", "codes_head"] {
                if let Some(codes) = wanted[field].as_array() {
                    let codes: Vec<i64> = codes.iter().map(|c| c.as_i64().unwrap()).collect();
                    assert_eq!(signed[..codes.len()], codes, "{name} on {isa:?}");
                }
            }
            if let Some(codes) = wanted["codes_hex"].as_array() {
                let hex: Vec<String> = found.iter().map(|c| format!("{c:02x}")).collect();
                assert!(
                    codes.iter().zip(&hex).all(|(a, b)| a == b),
                    "{name} on {isa:?}: {hex:?}"
                );
            }
            if let Some(rest) = wanted["code_rest"].as_i64() {
                assert!(signed[4..32].iter().all(|c| *c == rest), "{name}");
            }
            for field in ["scale", "d_f16"] {
                if let Some(scale) = wanted[field].as_f64() {
                    assert!(!dump.k.scales.is_empty());
                    assert!(dump.k.scales.iter().all(|s| value(*s) == scale), "{name}: {field}");
                }
            }
            if let Some(min) = wanted["min"].as_f64() {
                assert_eq!(
                    dump.k.minima.iter().map(|m| value(*m)).collect::<Vec<_>>(),
                    [min],
                    "{name}"
                );
            }
            // ggml pairs j with j + 16 in a byte of q4_0.
            let block = value_bytes(dump.k.scales.first().copied().unwrap_or(0));
            let bytes: Vec<u8> = match bits {
                4 => (0..16).map(|j| found[j] | found[j + 16] << 4).collect(),
                _ => found[..4].to_vec(),
            };
            let hex: String = block.iter().chain(&bytes).map(|b| format!("{b:02x}")).collect();
            for field in ["block_hex", "block_head_hex"] {
                if let Some(wanted) = wanted[field].as_str() {
                    assert_eq!(hex, wanted, "{name}");
                }
            }
            for field in ["dequant", "dequant_head"] {
                if wanted[field].is_array() {
                    let (k, _) = cache.dequantised(seq, 0, 0);
                    for (a, b) in k.iter().zip(floats(&wanted[field])) {
                        assert!((a - f64::from(b)).abs() <= 1e-6, "{name}: {a}, not {b}");
                    }
                }
            }
        }
    }
}

fn value_bytes(bits: u16) -> [u8; 2] {
    bits.to_le_bytes()
}

/// 126 E4M3 values, all but the sign and the NaN, from the definition of the format.
fn e4m3() -> Vec<f64> {
    let value = |code: i32| match code >> 3 {
        0 => f64::from(code) / 512.0,
        e => f64::from(8 + (code & 7)) / 8.0 * 2f64.powi(e - 7),
    };
    (0..0x7f).map(value).collect()
}

#[test]
fn every_f16_number_becomes_the_nearest_e4m3_with_ties_to_even() {
    let table = e4m3();
    let all: Vec<f16> = (0..=u16::MAX).map(f16::from_bits).filter(|x| x.is_finite()).collect();
    let rows: Vec<Vec<f32>> = all
        .chunks_exact(64)
        .map(|row| row.iter().map(|x| x.to_f32()).collect())
        .collect();
    for isa in isas() {
        let (cache, seq) = stored(&json!({"fp8_e4m3": {}}), isa, &rows);
        let found = cache.dump(seq, 0, 0).k.codes;
        assert_eq!(found.len(), all.len());
        for (x, code) in all.iter().zip(&found) {
            let magnitude = x.to_f64().abs().min(448.0);
            let distance = |c: &usize| ((table[*c] - magnitude).abs(), c % 2);
            let nearest = (0..table.len())
                .min_by(|a, b| distance(a).partial_cmp(&distance(b)).unwrap())
                .unwrap();
            let wanted = nearest as u8 | if x.is_sign_negative() { 0x80 } else { 0 };
            assert_eq!(*code, wanted, "{x} on {isa:?}");
        }
    }
}

#[test]
fn the_codebook_is_lloyd_max_of_the_normal_distribution() {
    let fixture = fixture("lloyd_max_n01");
    for bits in 1..=4usize {
        let half = 1 << (bits - 1);
        let name = bits.to_string();
        let (centroids, bounds) = (&CENTROIDS[bits - 1][..2 * half], &BOUNDS[bits - 1][..2 * half - 1]);
        for (i, c) in floats(&fixture["expected"]["positive_centroids"][&name])
            .iter()
            .enumerate()
        {
            assert_eq!((centroids[half + i], centroids[half - 1 - i]), (*c, -c));
        }
        for (i, b) in floats(&fixture["expected"]["positive_bounds"][&name])
            .iter()
            .enumerate()
        {
            assert_eq!((bounds[half - 1 + i], bounds[half - 1 - i]), (*b, -b));
        }
        // The error by integration, and the two conditions of an optimum: bounds halfway, centroids at the mean.
        let (h, mut error) = (1e-4, 0.0);
        let mut mass = vec![(0.0, 0.0); 2 * half];
        for step in -100_000..100_000 {
            let y = (f64::from(step) + 0.5) * h;
            let weight = (-y * y / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt() * h;
            let code = bounds.iter().filter(|b| f64::from(**b) <= y).count();
            error += weight * (y - f64::from(centroids[code])).powi(2);
            mass[code] = (mass[code].0 + weight, mass[code].1 + weight * y);
        }
        let wanted = number(&fixture["expected"]["mse"][&name]);
        assert!((error - wanted).abs() <= 1e-6, "{bits} bits: {error}, not {wanted}");
        for (code, (weight, sum)) in mass.iter().enumerate() {
            assert!((sum / weight - f64::from(centroids[code])).abs() <= 1e-4);
        }
        for (i, b) in bounds.iter().enumerate() {
            assert!((b - (centroids[i] + centroids[i + 1]) / 2.0).abs() <= 2e-6);
        }
    }
}

/// The example of four channels in a vector of 64: with zeros behind it, H of 64 repeats H of 4 sixteen times.
#[test]
fn turboquant_codes_and_scales_are_those_of_the_design() {
    for name in ["turboquant_d4", "turboquant_d4_renorm"] {
        let fixture = fixture(name);
        let (inputs, wanted) = (&fixture["inputs"], &fixture["expected"]);
        let signs = floats(&inputs["signs"]);
        let has_signs = |seed: u64, tensor: u64| {
            let key = key(seed, [uses::ROTATION_SIGNS, 0, 0, tensor, 0]);
            signs.iter().enumerate().all(|(i, s)| sign(key, i as u64) == *s)
        };
        let seed = (0..).find(|seed| has_signs(*seed, 0) && has_signs(*seed, 1)).unwrap();
        let compressor = json!({"turboquant_mse": {"bits": 2, "seed": seed, "renorm": inputs["renorm"]}});
        for isa in isas() {
            let (cache, seq) = stored(&compressor, isa, &[padded(&floats(&inputs["x"]), Some(64))]);
            let dump = cache.dump(seq, 0, 0);
            let (k, v) = cache.dequantised(seq, 0, 0);
            for (sealed, decoded) in [(&dump.k, &k), (&dump.v, &v)] {
                let found = codes(sealed, 2, 64);
                for (i, code) in found.iter().enumerate() {
                    assert_eq!(json!(code), wanted["codes"][i % 4], "{name} on {isa:?}");
                }
                let scale = number(&wanted["stored_scale"]);
                assert!((value(sealed.scales[0]) - scale).abs() <= 2e-3);
                for (c, x) in decoded.iter().enumerate() {
                    let wanted = wanted["dequant"].get(c).map_or(0.0, number);
                    assert!((x - wanted).abs() <= 2e-3, "{name}: channel {c} is {x}, not {wanted}");
                }
            }
        }
    }
}

/// Normal numbers, by Box and Muller.
fn gauss(random: &mut Random, n: usize) -> Vec<f32> {
    let mut unit = || f64::from(random.float(0.5)) + 0.5;
    (0..n)
        .map(|_| {
            let (u, v) = (1.0 - unit(), unit());
            ((-2.0 * u.ln()).sqrt() * (2.0 * std::f64::consts::PI * v).cos()) as f32
        })
        .collect()
}

/// Mean of |x - x'|^2 / |x|^2 over K of a one-store cache.
fn relative_error(compressor: &Value, rows: &[Vec<f32>]) -> f64 {
    let (cache, seq) = stored(compressor, Isa::detect(), rows);
    let (k, _) = cache.dequantised(seq, 0, 0);
    let d = rows[0].len();
    let errors = rows.iter().zip(k.chunks_exact(d)).map(|(row, k)| {
        let square = |x: f64| x * x;
        let error: f64 = row.iter().zip(k).map(|(x, y)| square(f64::from(*x) - y)).sum();
        error / row.iter().map(|x| square(f64::from(*x))).sum::<f64>()
    });
    errors.sum::<f64>() / rows.len() as f64
}

#[test]
fn turboquant_errs_on_normal_vectors_as_the_design_measured() {
    let fixture = fixture("turboquant_relative_mse");
    let d = fixture["inputs"]["d"].as_u64().unwrap() as usize;
    let mut random = Random(17);
    let rows: Vec<Vec<f32>> = (0..fixture["inputs"]["vectors"].as_u64().unwrap())
        .map(|_| gauss(&mut random, d))
        .collect();
    for (i, bits) in fixture["inputs"]["bits"].as_array().unwrap().iter().enumerate() {
        for (field, renorm) in [("relative_mse", false), ("relative_mse_renorm", true)] {
            let compressor = json!({"turboquant_mse": {"bits": bits, "renorm": renorm}});
            let (found, wanted) = (
                relative_error(&compressor, &rows),
                number(&fixture["expected"][field][i]),
            );
            assert!(
                (found / wanted - 1.0).abs() <= 0.03,
                "{compressor}: {found}, not {wanted}"
            );
        }
    }
}

#[test]
fn renorm_keeps_the_length_of_a_vector() {
    let mut random = Random(4);
    let rows: Vec<Vec<f32>> = (0..64).map(|_| random.floats(64, 3.0)).collect();
    let (cache, seq) = stored(
        &json!({"turboquant_mse": {"bits": 2, "renorm": true}}),
        Isa::detect(),
        &rows,
    );
    let (k, v) = cache.dequantised(seq, 0, 0);
    for (row, (k, v)) in rows.iter().zip(k.chunks_exact(64).zip(v.chunks_exact(64))) {
        let length = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>().sqrt();
        let wanted = length(&mut row.iter().map(|x| f64::from(*x)));
        for x in [k, v] {
            assert!((length(&mut x.iter().copied()) / wanted - 1.0).abs() <= 1e-3);
        }
    }
}

fn layout(compressor: &Value, layer: usize, layers: usize, d: usize) -> Layout {
    let shape = shape(layers, 1, 1, d);
    let resolved = resolve(compressor, Some(shape)).unwrap();
    resolved.layout(layer, shape)
}

#[test]
fn slots_of_the_production_variant_take_the_bytes_of_the_design() {
    let fixture = fixture("turboquant_vllm_slot_bytes");
    for (i, d) in fixture["inputs"]["d"].as_array().unwrap().iter().enumerate() {
        let d = d.as_u64().unwrap() as usize;
        for (j, preset) in fixture["inputs"]["presets"].as_array().unwrap().iter().enumerate() {
            let layout = layout(&json!({"turboquant_vllm": {"preset": preset}}), 2, 32, d);
            let bytes = layout.k.payload_bytes(d, 1) + layout.v.payload_bytes(d, 1);
            assert_eq!(json!(bytes), fixture["expected"]["bytes"][i][j], "{preset} d {d}");
        }
    }
}

/// The request of a row of the table of bits.
fn configuration(config: &str) -> Option<Value> {
    let words: Vec<&str> = config.split([' ', ',', '=']).collect();
    Some(match words[0] {
        "fp8_e4m3" => json!({"fp8_e4m3": {"scale": words[2]}}),
        "int8_token_head" | "int4_token_head" | "q8_0" | "q4_0" => json!({words[0]: {}}),
        "turboquant_mse" => json!({"turboquant_mse": {"bits": words[1].parse::<u64>().unwrap()}}),
        "turboquant_vllm" => {
            let skip = if config.ends_with("2+2 layers skipped") { 2 } else { 0 };
            json!({"turboquant_vllm": {"preset": words[1], "skip_first": skip, "skip_last": skip}})
        }
        _ => return None,
    })
}

#[test]
fn bits_and_bytes_a_token_of_every_token_codec_are_those_of_the_table() {
    let fixture = fixture("bits_table");
    let mut checked = 0;
    for row in fixture["expected"]["rows"].as_array().unwrap() {
        let Some(compressor) = configuration(row["config"].as_str().unwrap()) else {
            continue;
        };
        let resolved = resolve(&compressor, None).unwrap();
        for (name, layers, heads, d) in [("llama-3.1-8b", 32, 8, 128), ("30x3x64", 30, 3, 64)] {
            let bits = resolved.storer.method.bits(&resolved.storer.params, d).mean();
            assert!(
                (bits - number(&row[format!("bits_d{d}")])).abs() <= 1e-9,
                "{row}: {bits}"
            );
            let bytes: usize = (0..layers)
                .map(|layer| {
                    let layout = layout(&compressor, layer, layers, d);
                    heads * (layout.k.payload_bytes(d, 1) + layout.v.payload_bytes(d, 1))
                })
                .sum();
            assert_eq!(bytes as f64, number(&row[format!("bytes_token_{name}")]), "{row}");
            let middle = layout(&compressor, layers / 2, layers, d);
            assert_eq!(middle.bits(d), bits, "{row}");
        }
        checked += 1;
    }
    assert_eq!(checked, 17);
}

#[test]
fn first_and_last_layers_stay_f16_up_to_half_of_the_layers() {
    let skipped = |skip: Value, layers: usize| -> Vec<usize> {
        let compressor = json!({"turboquant_vllm": skip});
        (0..layers)
            .filter(|layer| layout(&compressor, *layer, layers, 64) == Layout::f16())
            .collect()
    };
    assert_eq!(skipped(json!({}), 6), [0, 1, 4, 5]);
    assert_eq!(skipped(json!({"skip_first": 0, "skip_last": 1}), 6), [5]);
    assert_eq!(skipped(json!({"skip_first": 200, "skip_last": 200}), 5), [0, 1, 3, 4]);
    assert_eq!(skipped(json!({}), 1), [0usize; 0]);
    assert_eq!(skipped(json!({"skip_first": 9}), 2), [0, 1]);
    let pool = Pool::new(1);
    let trace = Trace::new(shape(6, 1, 1, 64), 40, 8);
    let mut cache = cache(trace.shape, &json!({"turboquant_vllm": {}}), Isa::detect());
    let seq = trace.start(&pool, &mut cache, 40, 1);
    let sealed: Vec<usize> = (0..6).map(|layer| cache.dump(seq, layer, 0).k.entries).collect();
    assert_eq!(sealed, [0, 0, 40, 40, 0, 0]);
    let stats = cache.release(seq).unwrap();
    assert_eq!((stats.sealed_k, stats.sealed_v), (80, 80));
}

#[test]
fn a_head_dimension_that_a_rotation_or_block_does_not_fit_is_refused() {
    let code = |compressor: &Value, d: usize| match resolve(compressor, Some(shape(4, 1, 1, d))) {
        Ok(_) => "",
        Err(Error::Compressor { code, .. }) => code,
        Err(other) => panic!("{other}"),
    };
    for (compressor, d, wanted) in [
        (
            json!({"int8_token_head": {"rotate": "hadamard"}}),
            80,
            "head_dim_unsupported",
        ),
        (json!({"int8_token_head": {"rotate": "hadamard"}}), 96, ""),
        (json!({"int8_token_head": {}}), 80, ""),
        (json!({"q8_0": {}}), 80, "head_dim_unsupported"),
        (json!({"q4_0": {}}), 96, ""),
        (json!({"turboquant_mse": {}}), 96, "head_dim_unsupported"),
        (json!({"turboquant_vllm": {}}), 96, "head_dim_unsupported"),
        (json!({"turboquant_vllm": {"preset": "k8v4"}}), 96, ""),
    ] {
        assert_eq!(code(&compressor, d), wanted, "{compressor} d {d}");
    }
    let both = json!({"turboquant_mse": {"bits": 2, "v_bits": 4}});
    assert_eq!(code(&both, 64), "param_conflict");
}

#[test]
fn all_but_the_window_is_sealed_after_the_prompt_and_the_oldest_entry_in_each_step() {
    let pool = Pool::new(1);
    let trace = Trace::new(shape(1, 1, 1, 64), 120, 3);
    for window in [0, 1, 32, 64, 200] {
        let compressor = json!({"q4_0": {"window": window}});
        let mut cache = cache(trace.shape, &compressor, Isa::detect());
        let seq = trace.start(&pool, &mut cache, 50, 71);
        for token in 50..120 {
            let n = cache.store(seq, 0, 0).n;
            let dump = cache.dump(seq, 0, 0);
            assert_eq!(dump.k.entries, n.saturating_sub(window), "window {window} of {n}");
            assert_eq!(dump.k_f16.len(), n.min(window) * 64);
            trace.step(&pool, &mut cache, seq, token, |cache, _| {
                // In its own step the new token is seen in full precision.
                let dump = cache.dump(seq, 0, 0);
                assert_eq!(dump.k_f16[dump.k_f16.len() - 64..], raw(cache, &trace, token));
            });
        }
        cache.release(seq).unwrap();
    }
}

fn raw(cache: &KvCache, trace: &Trace, token: usize) -> Vec<u16> {
    let keys = trace.keys(0, token..token + 1, cache.key_form());
    keys.iter().map(|x| x.to_bits()).collect()
}

#[test]
fn t15_t16_entries_seal_once_and_bytes_are_those_of_the_formula() {
    let pool = Pool::new(2);
    for compressor in matrix() {
        for head_dim in [64, 128] {
            let shape = shape(2, 2, 2, head_dim);
            let trace = Trace::new(shape, 330, 12);
            for (prompt, steps) in [(1, 130), (64, 64), (129, 200)] {
                let mut cache = cache(shape, &compressor, Isa::detect());
                cache.audit_seals();
                let worst = cache.worst_case_bytes(prompt, steps + 1);
                let seq = trace.start(&pool, &mut cache, prompt, steps + 1);
                for token in prompt..prompt + steps {
                    trace.step(&pool, &mut cache, seq, token, |_, _| ());
                }
                let what = format!("{compressor} d {head_dim} {prompt} + {steps}");
                let mut payload = 0;
                for i in 0..4 {
                    payload += cache.dump(seq, i / 2, i % 2).payload_bytes();
                    let seals = &cache.store(seq, i / 2, i % 2).seals;
                    assert!(seals.iter().flatten().all(|n| *n <= 1), "{what}: sealed twice");
                }
                let stats = cache.release(seq).unwrap();
                assert_eq!(stats.bytes_ideal, payload, "{what}");
                assert!(
                    stats.bytes_peak >= stats.bytes_end && stats.bytes_end >= payload,
                    "{what}"
                );
                assert!(
                    stats.bytes_peak <= worst,
                    "{what}: peak {} of {worst}",
                    stats.bytes_peak
                );
                assert_eq!(cache.live_pages(), 0);
            }
        }
    }
}

#[test]
fn t16_sealed_pages_take_at_most_two_percent_more_than_the_payload() {
    let pool = Pool::new(2);
    for compressor in matrix() {
        for head_dim in [64, 128] {
            let trace = Trace::new(shape(1, 1, 1, head_dim), 2048, 6);
            let mut cache = cache(trace.shape, &compressor, Isa::detect());
            let resolved = resolve(&compressor, Some(trace.shape)).unwrap();
            let seq = trace.start(&pool, &mut cache, 2048, 1);
            let store = cache.store(seq, 0, 0);
            // What has left the window lies in pages; the page that is being filled is the only one that may be partly
            // empty.
            let sealed = store.k_paged;
            let pages = sealed.div_ceil(64);
            assert_eq!(store.pages.len(), pages, "{compressor}");
            let page = cache.plan(0).page.bytes;
            let bits = resolved.bits;
            let ideal = (bits.k + bits.v) / 8.0 * head_dim as f64;
            let ratio = page as f64 / (64.0 * ideal);
            assert!((1.0..=1.02).contains(&ratio), "{compressor} d {head_dim}: {ratio}");
            if sealed == 2048 {
                let stats = cache.stats(seq);
                let ratio = stats.bytes_end as f64 / stats.bytes_ideal as f64;
                assert!((1.0..=1.02).contains(&ratio), "{compressor} d {head_dim}: {ratio}");
            }
        }
    }
}

#[test]
fn t17_decode_attends_to_the_dequantised_cache() {
    let pool = Pool::new(2);
    for compressor in matrix() {
        for (group, head_dim) in [(1, 64), (3, 64), (4, 128)] {
            let shape = shape(1, group, 2, head_dim);
            let trace = Trace::new(shape, 310, 7);
            for isa in isas() {
                let mut cache = cache(shape, &compressor, isa);
                let seq = trace.start(&pool, &mut cache, 300, 11);
                let mut random = Random(3);
                for token in 300..310 {
                    let q = random.floats(shape.q_heads * head_dim, 1.0);
                    trace.step(&pool, &mut cache, seq, token, |cache, layer| {
                        let found = attend(&pool, isa, cache, seq, layer, &q);
                        let wanted = reference(cache, seq, layer, &q);
                        let what = format!("{compressor} g {group} d {head_dim} token {token} on {isa:?}");
                        assert_close(&found, &wanted, 3e-5, &what);
                    });
                }
            }
        }
    }
}

#[test]
fn codes_and_attention_have_the_same_bits_on_every_isa_and_thread_count() {
    for compressor in matrix() {
        for head_dim in [64, 128] {
            let shape = shape(1, 3, 2, head_dim);
            let trace = Trace::new(shape, 1100, 11);
            let q = Random(5).floats(shape.q_heads * head_dim, 1.0);
            let run = |isa, threads| {
                let pool = Pool::new(threads);
                let mut cache = cache(shape, &compressor, isa);
                let seq = trace.start(&pool, &mut cache, 1099, 2);
                let mut out = Vec::new();
                trace.step(&pool, &mut cache, seq, 1099, |cache, layer| {
                    out = bits(&attend(&pool, isa, cache, seq, layer, &q));
                });
                (out, cache.dump(seq, 0, 1))
            };
            let scalar = run(Isa::Scalar, 1);
            for isa in isas() {
                for threads in [1, 3] {
                    assert!(
                        run(isa, threads) == scalar,
                        "{compressor} d {head_dim} on {isa:?} x {threads}"
                    );
                }
            }
        }
    }
}

/// Squared error of attention outputs against the f16 cache, relative to their square.
fn attention_error(compressor: &Value) -> f64 {
    let pool = Pool::new(2);
    let isa = Isa::detect();
    let trace = Trace::new(shape(1, 2, 2, 64), 501, 19);
    let q = Random(8).floats(trace.shape.q_heads * 64, 1.0);
    let run = |compressor: &Value| {
        let mut cache = cache(trace.shape, compressor, isa);
        let seq = trace.start(&pool, &mut cache, 500, 2);
        let mut out = Vec::new();
        trace.step(&pool, &mut cache, seq, 500, |cache, layer| {
            out = attend(&pool, isa, cache, seq, layer, &q);
        });
        out
    };
    let (exact, found) = (run(&json!("none")), run(compressor));
    let square = |x: f32| f64::from(x) * f64::from(x);
    let error: f64 = exact.iter().zip(&found).map(|(a, b)| square(a - b)).sum();
    error / exact.iter().map(|x| square(*x)).sum::<f64>()
}

#[test]
fn t20_the_error_of_attention_falls_with_bits() {
    for ladder in [
        [1, 2, 3, 4].map(|b| json!({"turboquant_mse": {"bits": b}})).to_vec(),
        vec![
            json!({"turboquant_vllm": {"preset": "3bit_nc"}}),
            json!({"turboquant_vllm": {}}),
            json!({"turboquant_vllm": {"preset": "k8v4"}}),
        ],
        vec![json!({"int4_token_head": {}}), json!({"int8_token_head": {}})],
        vec![json!({"q4_0": {}}), json!({"q8_0": {}})],
        vec![
            json!({"int4_token_head": {}}),
            json!({"fp8_e4m3": {"scale": "token_head"}}),
        ],
    ] {
        let errors: Vec<f64> = ladder.iter().map(attention_error).collect();
        assert!(
            errors.windows(2).all(|pair| pair[1] < pair[0]),
            "{ladder:?} err by {errors:?}"
        );
        assert!(errors[0] > 0.0 && errors[0] < 1.0, "{ladder:?} err by {errors:?}");
    }
    assert_eq!(attention_error(&json!({"turboquant_mse": {"bits": 16}})), 0.0);
}

#[test]
fn a_rotation_spreads_an_outlier_channel() {
    let mut random = Random(6);
    let rows: Vec<Vec<f32>> = (0..64)
        .map(|_| {
            let mut row = random.floats(64, 1.0);
            row[5] = 40.0;
            row
        })
        .collect();
    for name in ["int4_token_head", "q4_0"] {
        let plain = relative_error(&json!({name: {}}), &rows);
        let rotated = relative_error(&json!({name: {"rotate": "hadamard"}}), &rows);
        assert!(rotated < plain, "{name}: {rotated} rotated, {plain} plain");
    }
}

#[test]
fn zero_and_huge_vectors_survive_every_codec() {
    let pool = Pool::new(1);
    for compressor in matrix() {
        for x in [0.0, -0.0, 6e-8, 65504.0] {
            let shape = shape(1, 2, 1, 64);
            let mut cache = cache(shape, &compressor, Isa::detect());
            let row = vec![f16::from_f32(x); 64];
            let seq = cache.admit(64, 3, 0).unwrap();
            cache
                .prefill_layer(&pool, seq, 0, &row.repeat(64), &row.repeat(64), &Observed::default())
                .unwrap();
            let q = Random(1).floats(128, 0.01);
            for _ in 0..2 {
                cache.append(seq, 0, &row, &row).unwrap();
                let found = attend(&pool, Isa::detect(), &cache, seq, 0, &q);
                let wanted = reference(&cache, seq, 0, &q);
                assert!(found.iter().all(|x| x.is_finite()), "{compressor} of {x}");
                assert_close(
                    &found,
                    &wanted,
                    f64::from(x).abs() * 1e-4,
                    &format!("{compressor} of {x}"),
                );
                cache.after_step(&pool, 0, &[seq], &Watched::default()).unwrap();
            }
            cache.release(seq).unwrap();
        }
    }
}

#[test]
fn rows_decoded_for_scores_are_those_of_the_f64_decoder() {
    for compressor in matrix() {
        for head_dim in [64, 128] {
            let trace = Trace::new(shape(1, 1, 1, head_dim), 150, 14);
            for isa in isas() {
                let mut cache = cache(trace.shape, &compressor, isa);
                let seq = trace.start(&Pool::new(1), &mut cache, 150, 1);
                let (k, v) = cache.dequantised(seq, 0, 0);
                let (plan, store) = (cache.plan(0), cache.store(seq, 0, 0));
                for (part, map, wanted) in [
                    (plan.layout.k, (plan.page.k_codes, plan.page.k_params), k),
                    (plan.layout.v, (plan.page.v_codes, plan.page.v_params), v),
                ] {
                    let Part::Token { codec, rotation } = part else {
                        continue;
                    };
                    let rows = store.k_paged.min(64);
                    let bytes = |at, row| cache.arena().bytes_of(store.pages[0], at, rows * row);
                    let codes = bytes(map.0, part.row_bytes(head_dim));
                    let params = bytes(map.1, part.param_row_bytes(head_dim));
                    let mut out = vec![f32::NAN; rows * head_dim];
                    decode(isa, codec, rotation, head_dim, codes, params, &mut out);
                    let what = format!("{compressor} d {head_dim} on {isa:?}");
                    assert_close(&out, &wanted[..out.len()], 1e-5, &what);
                }
            }
        }
    }
}

#[test]
fn an_evictor_by_scores_and_a_quantiser_hold_what_the_design_says() {
    let fixture = fixture("compose_h2o_q4_0");
    let inputs = &fixture["inputs"];
    let part = |name: &str| -> Value {
        let mut params = inputs[name].clone();
        let method = params.as_object_mut().unwrap().remove("method").unwrap();
        json!({method.as_str().unwrap(): params})
    };
    let compressor = json!({"compose": [part("evict"), part("quant")]});
    let prompt = inputs["T"].as_u64().unwrap() as usize;
    let feed = Feed::new(shape(1, 2, 2, 64), 2);
    let story = Story::new(feed.shape(), prompt + 4, 3);
    for (step, row) in fixture["expected"]["rows"].as_array().unwrap().iter().enumerate() {
        let mut cache = feed.cache(&compressor);
        cache.audit_seals();
        let seq = feed.run(&mut cache, &story, prompt, step);
        for head in 0..2 {
            let dump = cache.dump(seq, 0, head);
            let window = dump.k_f16.len() / 64;
            assert_eq!(json!(dump.positions.len()), row["entries"], "step {step}");
            assert_eq!(
                (json!(dump.k.entries), json!(window)),
                (row["quantised"].clone(), row["window"].clone())
            );
            assert!(dump.positions.is_sorted());
            let seals = &cache.store(seq, 0, head).seals;
            assert!(seals.iter().flatten().all(|n| *n <= 1), "sealed twice");
        }
        cache.release(seq).unwrap();
    }
}

/// A dump is in order of positions even where a freed slot was reused: a pair's sealed row of a position is that of the
/// quantiser alone.
#[test]
fn a_reused_slot_holds_the_row_of_its_new_entry() {
    let pool = Pool::new(1);
    let trace = Trace::new(shape(1, 1, 1, 64), 260, 5);
    for quantiser in [
        json!({"int8_token_head": {"window": 7}}),
        json!({"turboquant_mse": {"bits": 3}}),
        json!({"q4_0": {"window": 20, "rotate": "hadamard"}}),
    ] {
        let run = |compressor: &Value| {
            let mut cache = cache(trace.shape, compressor, Isa::detect());
            let seq = trace.start(&pool, &mut cache, 130, 131);
            for token in 130..260 {
                trace.step(&pool, &mut cache, seq, token, |_, _| ());
            }
            (cache.dump(seq, 0, 0), cache.dequantised(seq, 0, 0))
        };
        let (_, (k, v)) = run(&quantiser);
        let evictor = json!({"random": {"budget": 60, "evict_at": "step"}});
        let (pair, (pair_k, pair_v)) = run(&json!({"compose": [evictor, quantiser]}));
        assert_eq!(pair.positions.len(), 60);
        let sealed = pair.k.entries;
        assert_eq!(
            pair.k.codes.len() * 8,
            sealed * 64 * code_bits(&quantiser),
            "{quantiser}"
        );
        assert!(
            pair.positions.iter().any(|p| (130..240).contains(p)),
            "some slot was reused"
        );
        for (i, position) in pair.positions.iter().enumerate().take(sealed) {
            let at = *position as usize * 64;
            assert_eq!(pair_k[i * 64..][..64], k[at..at + 64], "{quantiser} K of {position}");
            assert_eq!(pair_v[i * 64..][..64], v[at..at + 64], "{quantiser} V of {position}");
        }
    }
}

fn code_bits(compressor: &Value) -> usize {
    layout(compressor, 0, 1, 64).k.bits()
}
