//! The registry, and how requests resolve.

use gpu_runner::compress::{list_json, nearest, resolve, resolve_line, COMPRESSORS};
use gpu_runner::Error;
use serde_json::{json, Value};

use super::fixtures::{fixture, registry, same};
use super::kv_trace::shape;

fn code(request: &Value) -> String {
    match resolve(request, None) {
        Err(Error::Compressor { code, message }) => {
            assert!(
                message.len() > 20 && !message.contains('\n'),
                "a sentence, not {message:?}"
            );
            code.to_owned()
        }
        other => panic!("{request} resolves to {other:?}"),
    }
}

#[test]
fn registry_rows_equal_the_design() {
    let design = registry();
    let rows = list_json();
    assert_eq!(rows.len(), COMPRESSORS.len());
    for row in rows {
        let wanted = design["compressors"]
            .as_array()
            .unwrap()
            .iter()
            .find(|r| r["name"] == row["name"])
            .unwrap();
        assert!(same(&row, wanted, 0.0), "{row}\n{wanted}");
    }
}

#[test]
fn requests_resolve_to_the_effective_configs_of_the_design() {
    let fixture = fixture("effective_configs");
    let requests = fixture["inputs"]["requests"].as_array().unwrap();
    for (i, request) in requests.iter().enumerate() {
        let resolved = resolve(request, None).unwrap();
        assert_eq!(
            resolved.effective.to_string(),
            fixture["expected"]["effective"][i].to_string()
        );
        assert_eq!(resolved.derived, fixture["expected"]["derived"][i]);
    }
}

#[test]
fn refusals_have_the_codes_of_the_design() {
    let fixture = fixture("rejected_configs");
    let mut checked = 0;
    for (i, request) in fixture["inputs"]["requests"].as_array().unwrap().iter().enumerate() {
        let here = |part: &Value| {
            let name = part.as_object().unwrap().keys().next().unwrap();
            name == "h20" || COMPRESSORS.iter().any(|c| c.spec().name == name)
        };
        let parts = request["compose"].as_array();
        if parts.map_or_else(|| here(request), |parts| parts.iter().all(here)) {
            assert_eq!(
                code(request),
                fixture["expected"]["errors"][i].as_str().unwrap(),
                "{request}"
            );
            checked += 1;
        }
    }
    assert!(checked >= 4);
}

#[test]
fn values_outside_a_range_are_refused_and_named() {
    for request in [
        json!({"kivi": {"bits": 3}}),
        json!({"kivi": {"group": 16}}),
        json!({"kivi": {"window": 31}}),
        json!({"kivi": {"v_flush": "page"}}),
        json!({"kivi": {"k_bits": 4.5}}),
        json!({"kivi": {"k_bits": [2, 4]}}),
        json!({"streaming_llm": {"sinks": -1}}),
        json!({"streaming_llm": {"recent": 0}}),
        json!({"streaming_llm": {"evict_at": "interval"}}),
        json!({"streaming_llm": {"budget": 0}}),
    ] {
        assert_eq!(code(&request), "param_range", "{request}");
    }
    assert_eq!(code(&json!({"kivi": {"window": 100}})), "param_conflict");
    assert_eq!(code(&json!({"streaming_llm": {"budget": 4}})), "budget_too_small");
    assert_eq!(
        code(&json!({"streaming_llm": {"budget": 8, "sinks": 8}})),
        "budget_too_small"
    );
    assert_eq!(code(&json!({"none": {"bits": 4}})), "unknown_param");
    assert_eq!(code(&json!({"snapvk": {}})), "unknown_compressor");
}

#[test]
fn a_head_dimension_that_groups_do_not_divide_is_refused() {
    let request = json!({"kivi": {"group": 128}});
    assert!(resolve(&request, Some(shape(1, 1, 1, 128))).is_ok());
    match resolve(&request, Some(shape(1, 1, 1, 64))) {
        Err(Error::Compressor { code, .. }) => assert_eq!(code, "head_dim_unsupported"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_misspelt_name_gets_its_neighbour() {
    for (request, hint) in [
        (json!({"kiwi": {}}), "`kivi`"),
        (json!({"streaming-llm": {}}), "`streaming_llm`"),
        (json!({"kivi": {"windw": 64}}), "`window`"),
    ] {
        assert!(
            resolve(&request, None).unwrap_err().to_string().contains(hint),
            "{request}"
        );
    }
    assert_eq!(nearest("quantum", ["none", "kivi"]), None);
}

#[test]
fn forms_that_are_no_compressor_are_bad_requests() {
    for request in [
        json!(4),
        json!({}),
        json!({"kivi": {}, "none": {}}),
        json!({"kivi": 4}),
        json!(null),
    ] {
        assert_eq!(resolve(&request, None).unwrap_err().kind(), "bad_request", "{request}");
    }
}

#[test]
fn lines_of_resolve_answer_with_a_config_or_an_error() {
    let shape = json!({"layers": 30, "q_heads": 9, "kv_heads": 3, "head_dim": 64});
    let good = resolve_line(&json!({"compressor": {"kivi": {"bits": 4}}, "shape": shape}));
    assert_eq!(good["effective"]["kivi"]["window"], 128);
    assert_eq!(good["bits"], json!({"k": 5.0, "v": 5.0, "mean": 5.0}));
    let refused = resolve_line(&json!({"compressor": {"kivi": {"group": 128}}, "shape": shape}));
    assert_eq!(refused["error"]["code"], "head_dim_unsupported");
    for bad in [
        json!([]),
        json!({}),
        json!({"compressor": "none", "shape": {"layers": 0}}),
        json!({"compresor": 1}),
    ] {
        assert_eq!(resolve_line(&bad)["error"]["kind"], "bad_request", "{bad}");
    }
}

#[test]
fn equal_configurations_have_equal_text() {
    let text = |request| resolve(&request, None).unwrap().effective.to_string();
    let short = text(json!({"kivi": {"bits": 2}}));
    assert_eq!(
        short,
        text(json!({"kivi": {"v_flush": "token", "v_bits": 2, "k_bits": 2, "group": 32}}))
    );
    assert_eq!(
        short,
        r#"{"kivi":{"group":32,"k_bits":2,"v_bits":2,"v_flush":"token","window":128}}"#
    );
    assert_eq!(text(json!("none")), text(json!({"none": {}})));
}
