use crate::gguf_file::{demo_model, GgufFile, Temporary};
use gpu_runner::inspect::run;
use serde_json::Value;

#[test]
fn an_inspection_names_metadata_tensors_bytes_and_why_a_vocabulary_is_unusable() {
    let file = Temporary::new(&GgufFile::sample().bytes());
    let found: Value = serde_json::from_str(&run(&file.0, true).unwrap()).unwrap();
    assert_eq!(found["architecture"], "llama");
    assert_eq!(found["metadata"]["llama.block_count"], 2);
    assert_eq!(found["metadata"]["big"], u64::MAX);
    assert_eq!(
        found["tensors"][1],
        serde_json::json!({"name": "proj", "dims": [64, 3], "type": "Q4_1", "bytes": 120})
    );
    assert_eq!(found["weights"]["parameters"], 3 + 192 + 128);
    assert_eq!(found["weights"]["cpu_bytes"], 12 + 120 + 136);
    assert_eq!(found["weights"]["cuda_bytes"], 2 * 323);
    assert_eq!(
        found["weights"]["by_type"],
        serde_json::json!({"F32": 12, "Q4_1": 120, "Q8_0": 136})
    );
    assert!(found["vocabulary"]["error"]
        .as_str()
        .unwrap()
        .contains("tokenizer.ggml.model is missing"));
    let text = run(&file.0, false).unwrap();
    assert!(
        text.contains("architecture llama") && text.contains("proj") && text.contains("not usable"),
        "{text}"
    );
}

#[test]
fn the_demo_model_is_what_its_publisher_says() {
    let Some(path) = demo_model("the_demo_model_is_what_its_publisher_says") else {
        return;
    };
    let found: Value = serde_json::from_str(&run(&path, true).unwrap()).unwrap();
    assert_eq!(found["weights"]["parameters"], 134_515_008); // 134.5 million, as in engine.md 4
    assert_eq!(found["vocabulary"]["kind"], "gpt2");
    assert_eq!(found["vocabulary"]["pre"], "smollm");
    assert_eq!(found["vocabulary"]["len"], 49_152);
    assert_eq!(found["vocabulary"]["end_ids"], serde_json::json!([0, 2]));
    assert_eq!(
        found["metadata"]["tokenizer.ggml.tokens"],
        serde_json::json!({"array": "string", "len": 49_152})
    );
    assert_eq!(found["sha256"].as_str().unwrap().len(), 64);
    assert!(found["chat_template"].as_str().unwrap().contains("<|im_start|>"));
}
