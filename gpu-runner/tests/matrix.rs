//! One matrix over the registry: every row of `COMPRESSORS`, and every pair that composes, against the invariants of the
//! design (T5 to T24). Configurations are derived from the parameter schemas, so a new row is tested without new code.

/// T21: a pair is its two parts.
mod composed;
/// Configurations that act on short samples, derived from schemas.
pub mod configs;
/// T13, T24: a compressor that does not act, and numbers that are none.
mod faults;
/// Traces with queries, fed to a cache through the CPU backend as the forward pass does.
pub mod feed;
/// T9 to T11, T14 to T18, T23: what stores hold.
mod stores;
/// T5, T6, T8, T10 to T13: tokens of a tiny model.
mod tokens;

use super::fixtures::registry;
use gpu_runner::compress::COMPRESSORS;

#[test]
fn t22_the_registry_has_the_rows_of_the_design_in_its_order_and_then_its_own() {
    let rows = registry()["compressors"].as_array().unwrap().clone();
    let names: Vec<&str> = COMPRESSORS.iter().map(|c| c.spec().name).collect();
    let wanted: Vec<&str> = rows.iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(names, wanted);
}

#[test]
fn every_row_has_a_configuration_that_acts_and_every_choice_is_in_some_configuration() {
    for method in COMPRESSORS {
        let spec = method.spec();
        let all = [
            configs::of(*method, configs::SHAPE),
            configs::of(*method, configs::WIDE),
        ]
        .concat();
        assert!(!all.is_empty(), "{} has no configuration", spec.name);
        for param in spec.params {
            let wanted = param.choices();
            for choice in wanted.as_array().unwrap() {
                let value = |c: &serde_json::Value| c[spec.name][param.name] == *choice;
                let of_identity = |i: serde_json::Value| i.as_object().unwrap().values().any(|v| v == choice);
                let identity = method.identity().is_some_and(of_identity);
                let default = param.default.json() == *choice;
                assert!(
                    default || identity || all.iter().any(value),
                    "{} never runs with {} = {choice}",
                    spec.name,
                    param.name
                );
            }
        }
    }
}
