use crate::gguf_file::{demo_model, GgufFile, Kv, Temporary};
use gpu_runner::gguf::Gguf;
use gpu_runner::tokenizer::{Decoder, Tokenizer};
use serde_json::Value;
use std::path::PathBuf;

/// Made by tools/goldens-tokenizer.py with llama.cpp.
pub fn goldens(name: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(include_str!("fixtures/tokenizer.json")).unwrap();
    all[name].as_array().unwrap().clone()
}

pub fn ids(value: &Value) -> Vec<u32> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|id| id.as_u64().unwrap() as u32)
        .collect()
}

pub fn fixture(name: &str) -> Tokenizer {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/vocab-{name}.gguf"));
    Tokenizer::from_gguf(&Gguf::open(&path).unwrap()).unwrap()
}

pub fn smollm2(test: &str) -> Option<Tokenizer> {
    let path = demo_model(test)?;
    Some(Tokenizer::from_gguf(&Gguf::open(&path).unwrap()).unwrap())
}

/// Every text has the ids that llama.cpp gives.
fn agree(tokenizer: &Tokenizer, name: &str) {
    let rows = goldens(name);
    assert!(rows.len() >= 40);
    let mut wrong = Vec::new();
    for row in &rows {
        let (text, expected) = (row["text"].as_str().unwrap(), ids(&row["ids"]));
        let found = tokenizer.encode_text(text).unwrap();
        if found != expected {
            wrong.push(format!("{text:?}\n  found    {found:?}\n  expected {expected:?}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{name}: {} of {} differ\n{}",
        wrong.len(),
        rows.len(),
        wrong.join("\n")
    );
}

#[test]
fn smollm2_ids_agree_with_llama_cpp() {
    let Some(tokenizer) = smollm2("smollm2_ids_agree_with_llama_cpp") else {
        return;
    };
    agree(&tokenizer, "smollm2");
}

#[test]
fn gpt_2_ids_agree_with_llama_cpp() {
    agree(&fixture("gpt2"), "gpt2");
}

#[test]
fn llama_bpe_ids_agree_with_llama_cpp() {
    agree(&fixture("llama3"), "llama3");
}

#[test]
fn qwen2_ids_agree_with_llama_cpp_on_normalized_text() {
    agree(&fixture("qwen2"), "qwen2");
}

#[test]
fn sentencepiece_ids_agree_with_llama_cpp() {
    agree(&fixture("spm"), "spm");
    agree(&fixture("spm-bare"), "spm-bare");
}

#[test]
fn pre_tokenizers_give_different_ids_on_the_same_merges() {
    let fixtures = ["gpt2", "llama3", "qwen2"].map(goldens);
    for (a, b) in [(0, 1), (0, 2), (1, 2)] {
        let differing = (0..fixtures[a].len())
            .filter(|&i| fixtures[a][i]["ids"] != fixtures[b][i]["ids"])
            .count();
        assert!(differing >= 5, "{differing} texts tell fixture {a} from {b}");
    }
}

#[test]
fn a_long_run_of_whitespace_is_cut_like_a_short_one_and_a_longer_one_is_refused() {
    for name in ["gpt2", "llama3", "qwen2"] {
        let tokenizer = fixture(name);
        let tail = " the 12 345 they're things\n";
        let expected = tokenizer.encode_text(tail).unwrap();
        for space in [" ", "\n", "\t \n"] {
            let run = space.repeat(199_998 / space.len());
            let found = tokenizer.encode_text(&format!("x{run}{tail}")).unwrap();
            assert!(found.ends_with(&expected[1..]), "{name} after a run of {space:?}");
            assert_eq!(tokenizer.decode(&found), format!("x{run}{tail}"));
        }
        let error = tokenizer.encode_text(&" ".repeat(200_001)).unwrap_err();
        assert_eq!(error.kind(), "bad_request");
        assert!(
            error.to_string().contains("200001 whitespace characters in a row"),
            "{error}"
        );
    }
}

#[test]
fn ids_decode_to_their_text() {
    let Some(tokenizer) = smollm2("ids_decode_to_their_text") else {
        return;
    };
    for row in goldens("smollm2") {
        let text = row["text"].as_str().unwrap();
        assert_eq!(tokenizer.decode(&ids(&row["ids"])), text);
    }
    // U+0004 has no token in this vocabulary
    assert_eq!(tokenizer.decode(&tokenizer.encode_text("a\u{4}b").unwrap()), "ab");
    for name in ["gpt2", "llama3", "spm", "spm-bare"] {
        let tokenizer = fixture(name);
        // text behind a user-defined token gets a space of its own in SentencePiece, which decoding keeps
        for row in goldens(name)
            .iter()
            .filter(|row| !row["text"].as_str().unwrap().contains("[INST]"))
        {
            // U+2581 is how SentencePiece writes a space, so it comes back as one
            let text = row["text"].as_str().unwrap();
            let expected = if name.starts_with("spm") {
                text.replace('\u{2581}', " ")
            } else {
                text.to_owned()
            };
            assert_eq!(tokenizer.decode(&ids(&row["ids"])), expected, "{name}");
        }
    }
}

#[test]
fn control_tokens_are_left_out_of_decoded_text() {
    let tokenizer = fixture("gpt2");
    let control = tokenizer.control_id("<|im_end|>").unwrap();
    let mut ids = tokenizer.encode_text("the end").unwrap();
    ids.insert(1, control);
    ids.push(control);
    ids.push(u32::MAX);
    assert_eq!(tokenizer.decode(&ids), "the end");
}

#[test]
fn a_decoder_emits_whole_characters_only_and_all_of_the_text() {
    for name in ["gpt2", "spm"] {
        let tokenizer = fixture(name);
        for row in goldens(name) {
            let ids = ids(&row["ids"]);
            let (mut decoder, mut text) = (Decoder::default(), String::new());
            for &id in &ids {
                decoder.push(&tokenizer, id, &mut text);
                assert!(!text.contains('\u{FFFD}'), "{name}: {text:?}");
            }
            let before = text.clone();
            decoder.finish(&mut text);
            assert_eq!(text, before, "valid text leaves nothing behind");
            assert_eq!(text, tokenizer.decode(&ids));
        }
    }
}

#[test]
fn bytes_that_are_no_utf_8_decode_to_replacement_characters() {
    let tokenizer = fixture("spm");
    let byte = |byte: u8| 3 + byte as u32; // ids of <0x00>… follow <unk>, <s>, </s>
    let decode = |bytes: &[u8]| tokenizer.decode(&bytes.iter().map(|&b| byte(b)).collect::<Vec<_>>());
    for bytes in [
        &b"\xF0\x9F\x98"[..],
        b"a\xFFb",
        b"\xE4\xBD\xA0\xE4\xBD",
        b"\xF0\x9Fx\xC0\xAF",
        b"\xED\xA0\x80",
    ] {
        assert_eq!(decode(bytes), String::from_utf8_lossy(bytes));
    }
}

#[test]
fn control_tokens_in_text_stay_text_and_user_defined_tokens_are_found() {
    let tokenizer = fixture("qwen2");
    let tool = (0..tokenizer.vocab_len() as u32)
        .find(|&id| tokenizer.token_text(id) == Some("<tool_call>"))
        .unwrap();
    let found = tokenizer.encode_text("<tool_call>the<|im_end|>").unwrap();
    assert_eq!(found[0], tool);
    assert!(!found.contains(&tokenizer.control_id("<|im_end|>").unwrap()));
    assert_eq!(tokenizer.decode(&found), "<tool_call>the<|im_end|>");
    // llama.cpp joins pieces to control tokens if their texts happen to fit; a text must not be able to
    let spm = fixture("spm");
    let found = spm.encode_text("<s></s><unk><0x0A>").unwrap();
    assert!(found.iter().all(|&id| id > 2 && id != 3 + 0x0A), "{found:?}");
}

/// A byte-level vocabulary of the 256 bytes and some more tokens, without merges.
fn vocabulary(change: impl FnOnce(&mut Vec<(String, Kv)>)) -> Result<Tokenizer, gpu_runner::Error> {
    let printable = |c: u32| matches!(c, 33..=126 | 161..=172 | 174..=255);
    let others = (0..256u32)
        .filter(|&c| !printable(c))
        .enumerate()
        .map(|(i, _)| 256 + i as u32);
    let mut tokens: Vec<String> = (0..256)
        .filter(|&c| printable(c))
        .chain(others)
        .map(|c| char::from_u32(c).unwrap().to_string())
        .collect();
    tokens.extend(["<|end|>", "th"].map(String::from));
    let mut types = vec![1; 258];
    types[256] = 3;
    let mut kv = vec![
        ("tokenizer.ggml.model".to_string(), Kv::Str("gpt2".into())),
        ("tokenizer.ggml.pre".to_string(), Kv::Str("gpt-2".into())),
        ("tokenizer.ggml.tokens".to_string(), Kv::Strs(tokens)),
        ("tokenizer.ggml.token_type".to_string(), Kv::I32s(types)),
        ("tokenizer.ggml.merges".to_string(), Kv::Strs(vec!["t h".into()])),
        ("tokenizer.ggml.eos_token_id".to_string(), Kv::U32(5)),
    ];
    change(&mut kv);
    let file = Temporary::new(
        &GgufFile {
            kv,
            tensors: vec![],
            version: 3,
            alignment: 32,
        }
        .bytes(),
    );
    Tokenizer::from_gguf(&Gguf::open(&file.0).unwrap())
}

#[test]
fn end_ids_are_those_of_the_file_and_known_control_tokens() {
    assert_eq!(vocabulary(|_| ()).unwrap().end_ids(), [5, 256]);
    let with_turns = vocabulary(|kv| {
        kv.push(("tokenizer.ggml.eot_token_id".into(), Kv::U32(9)));
        kv.push(("tokenizer.ggml.eom_token_id".into(), Kv::U32(7)));
        kv[3].1 = Kv::I32s(vec![1; 258]); // <|end|> is no control token here
    });
    assert_eq!(with_turns.unwrap().end_ids(), [5, 7, 9]);
}

#[test]
fn vocabularies_that_do_not_fit_are_refused_with_the_reason() {
    type Change = Box<dyn FnOnce(&mut Vec<(String, Kv)>)>;
    let set = |at: usize, value: Kv| -> Change { Box::new(move |kv| kv[at].1 = value) };
    let add = |key: &'static str, value: Kv| -> Change { Box::new(move |kv| kv.push((key.into(), value))) };
    let cases: Vec<(Change, &str, &str)> = vec![
        (set(0, Kv::Str("bert".into())), "unsupported", "vocabulary kind bert"),
        (
            set(1, Kv::Str("tekken".into())),
            "unsupported",
            "pre-tokenizer tekken is unknown",
        ),
        (
            Box::new(|kv| drop(kv.remove(1))),
            "unsupported",
            "tokenizer.ggml.pre is missing",
        ),
        (
            Box::new(|kv| drop(kv.remove(2))),
            "model_file",
            "tokenizer.ggml.tokens is missing",
        ),
        (
            set(2, Kv::Strs(vec![])),
            "model_file",
            "tokenizer.ggml.tokens has 0 entries",
        ),
        (set(3, Kv::I32s(vec![1; 3])), "model_file", "3 entries for 258 tokens"),
        (set(3, Kv::I32s(vec![7; 258])), "model_file", "token 0 is 7"),
        (set(4, Kv::Strs(vec!["th".into()])), "model_file", "is no pair"),
        (
            set(4, Kv::Strs(vec!["t x".into()])),
            "model_file",
            "needs the token \"tx\"",
        ),
        (set(4, Kv::Strs(vec!["t < |end|>".into()])), "model_file", "merge 0"),
        (
            set(5, Kv::U32(258)),
            "model_file",
            "eos_token_id is 258, the vocabulary has 258 tokens",
        ),
        (
            add("tokenizer.ggml.add_bos_token", Kv::Bool(true)),
            "model_file",
            "bos_token_id is missing",
        ),
        (
            set(2, Kv::Strs(vec!["a".into(); 258])),
            "model_file",
            "tokens 0 and 1 are both \"a\"",
        ),
        (set(0, Kv::Str("llama".into())), "model_file", "bos"),
    ];
    for (change, kind, text) in cases {
        let error = vocabulary(change).map(|_| ()).expect_err(text);
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(text), "{error} should say {text}");
    }
}
