//! Counter-based random numbers and the Hadamard transform against the design's fixtures.

use gpu_runner::{hadamard, random};
use serde_json::Value;

use super::fixtures::fixture;

fn word(value: &Value) -> u64 {
    match value.as_str() {
        Some(hex) => u64::from_str_radix(hex.trim_start_matches("0x"), 16).unwrap(),
        None => value.as_u64().unwrap(),
    }
}

fn words(value: &Value) -> Vec<u64> {
    value.as_array().unwrap().iter().map(word).collect()
}

fn floats(value: &Value) -> Vec<f32> {
    let numbers = value.as_array().unwrap().iter();
    numbers.map(|x| x.as_f64().unwrap() as f32).collect()
}

fn key(seed: &Value, text: &Value) -> u64 {
    random::key(word(seed), words(text).try_into().unwrap())
}

#[test]
fn the_mixer_and_keys_are_those_of_the_design() {
    let fixture_mix = fixture("rng_mix64");
    let mixed: Vec<u64> = words(&fixture_mix["inputs"]["z"])
        .into_iter()
        .map(random::mix64)
        .collect();
    assert_eq!(mixed, words(&fixture_mix["expected"]["mix"]));
    let fixture_key = fixture("rng_key");
    let keys: Vec<u64> = fixture_key["inputs"]["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|k| key(&k[0], &k[1]))
        .collect();
    assert_eq!(keys, words(&fixture_key["expected"]["h"]));
}

#[test]
fn draws_are_those_of_the_design() {
    for (name, field, draw) in [
        ("rng_uniform", "u", random::uniform as fn(u64, u64) -> f32),
        ("rng_sign", "sign", random::sign),
    ] {
        let fixture = fixture(name);
        let key = key(&fixture["inputs"]["seed"], &fixture["inputs"]["words"]);
        let count = fixture["inputs"]["count"].as_u64().unwrap();
        let drawn: Vec<f32> = (0..count).map(|i| draw(key, i)).collect();
        assert_eq!(drawn, floats(&fixture["expected"][field]), "{name}");
    }
}

#[test]
fn rotations_are_those_of_the_design_and_undo_themselves() {
    for name in ["hadamard_4", "hadamard_8"] {
        let fixture = fixture(name);
        let x = floats(&fixture["inputs"]["x"]);
        let mut y = x.clone();
        hadamard::rotate(&mut y, x.len());
        for (y, wanted) in y.iter().zip(floats(&fixture["expected"]["y"])) {
            assert!((y - wanted).abs() <= 1e-6, "{name}: {y}, not {wanted}");
        }
        hadamard::rotate(&mut y, x.len());
        assert!(y.iter().zip(&x).all(|(y, x)| (y - x).abs() <= 1e-6), "{name}");
    }
    let fixture_dot = fixture("hadamard_dot");
    let (mut q, mut k) = (floats(&fixture_dot["inputs"]["q"]), floats(&fixture_dot["inputs"]["k"]));
    let dot = |q: &[f32], k: &[f32]| f64::from(q.iter().zip(k).map(|(a, b)| a * b).sum::<f32>());
    let wanted = |name: &str| fixture_dot["expected"][name].as_f64().unwrap();
    assert!((dot(&q, &k) - wanted("dot")).abs() <= 1e-6);
    hadamard::rotate(&mut q, 4);
    hadamard::rotate(&mut k, 4);
    assert!((dot(&q, &k) - wanted("dot_rotated")).abs() <= 1e-6);
}

#[test]
fn every_element_of_the_transform_has_the_sign_of_sylvester_order() {
    for n in [64, 128] {
        for j in 0..n {
            let mut column = vec![0f64; n];
            column[j] = 1.0;
            hadamard::transform(&mut column, n);
            for (i, h) in column.iter().enumerate() {
                assert_eq!(*h, if (i & j).count_ones() % 2 == 0 { 1.0 } else { -1.0 });
            }
        }
    }
}

#[test]
fn the_rotation_block_is_the_largest_power_of_two_that_divides_the_head_dimension() {
    let fixture = fixture("hadamard_block");
    for (d, wanted) in words(&fixture["inputs"]["head_dim"])
        .into_iter()
        .zip(fixture["expected"]["block"].as_array().unwrap())
    {
        assert_eq!(hadamard::block(d as usize).map(|b| b as u64), wanted.as_u64(), "{d}");
    }
}
