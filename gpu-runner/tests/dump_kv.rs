//! The command that writes what a prompt leaves in the cache.

use crate::gguf_file::Temporary;
use crate::tiny::{generate, item, model_of, of, Engine};
use serde_json::{json, Value};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("kvsweep-dump-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn dump(model: &Path, tokens: &Path, out: &Path, options: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gpu-runner"))
        .arg("dump-kv")
        .arg(model)
        .arg("--tokens")
        .arg(tokens)
        .arg("--out")
        .arg(out)
        .args(options)
        .output()
        .unwrap()
}

/// Shape and bytes of a `.npy` file, as numpy's documentation describes version 1.0.
fn npy(path: &Path) -> (String, Vec<usize>, Vec<u8>) {
    let bytes = std::fs::read(path).unwrap();
    assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00", "{}", path.display());
    let end = 10 + u16::from_le_bytes([bytes[8], bytes[9]]) as usize;
    assert_eq!(end % 64, 0);
    let text = std::str::from_utf8(&bytes[10..end]).unwrap();
    let part = |from: &str, to: &str| text.split(from).nth(1).unwrap().split(to).next().unwrap().to_owned();
    let shape = part("'shape': (", ")");
    let sizes = shape.split(',').map(str::trim).filter(|s| !s.is_empty());
    (
        part("'descr': '", "'"),
        sizes.map(|s| s.parse().unwrap()).collect(),
        bytes[end..].to_vec(),
    )
}

fn u32s(bytes: &[u8]) -> Vec<u32> {
    bytes
        .chunks_exact(4)
        .map(|b| u32::from_le_bytes(b.try_into().unwrap()))
        .collect()
}

#[test]
fn the_folder_holds_the_entries_that_a_cell_of_the_same_sample_keeps() {
    let model = model_of("llama", 2, 4, 2);
    let item = item("a", 100);
    let tokens = Temporary::new(item["tokens"].to_string().as_bytes());
    let out = Folder::new("kept");
    let compressors = [
        json!({"streaming_llm": {"sinks": 3, "recent": 20, "positions": "original"}}),
        json!({"kivi": {"bits": 4, "window": 32}}),
    ];
    let (first, second) = (compressors[0].to_string(), compressors[1].to_string());
    let options = ["--steps", "5", "--compressor", &first, "--compressor", &second];
    let done = dump(&model.0, &tokens.0, &out.0, &options);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let header: Value = serde_json::from_str(&std::fs::read_to_string(out.0.join("header.json")).unwrap()).unwrap();
    assert_eq!(header["tokens"], item["tokens"]);

    let mut engine = Engine::new(&model, 1);
    let events = engine.run(
        generate(compressors[0].clone(), 1, "continuous", 6),
        std::slice::from_ref(&item),
    );
    let sample = of(&events, "sample")[0];
    let rows = &header["configurations"];
    assert_eq!(
        rows[0]["fed"].as_array().unwrap()[..],
        sample["token_ids"].as_array().unwrap()[..5]
    );
    assert_eq!(rows[0]["kv"], sample["kv"], "the same account as the cell's");

    let kept: Vec<u32> = (0..3).chain(80..100).collect();
    for layer in 0..2 {
        let array = |part: &str, what: &str| npy(&out.0.join(part).join(format!("layer-{layer:02}.{what}.npy")));
        assert_eq!(array("exact", "q").1, [100, 4, 64]);
        let (dtype, shape, exact) = array("exact", "v");
        assert_eq!((dtype.as_str(), shape), ("<f2", vec![100, 2, 64]));
        assert_eq!(u32s(&array("0/prompt", "counts").2), [23, 23]);
        assert_eq!(
            u32s(&array("0/prompt", "positions").2),
            [kept.clone(), kept.clone()].concat()
        );
        assert_eq!(u32s(&array("1/prompt", "counts").2), [100, 100]);
        assert_eq!(u32s(&array("1/end", "counts").2), [105, 105]);
        assert_eq!(array("1/steps", "k").1, [5, 2, 64]);
        // An evictor's entries are those of the exact arrays.
        let (_, shape, held) = array("0/prompt", "v");
        assert_eq!(shape, [46, 64]);
        for (row, position) in kept.iter().chain(&kept).enumerate() {
            let at = (*position as usize * 2 + row / 23) * 128;
            let wide = |b: &[u8]| half::f16::from_le_bytes([b[0], b[1]]).to_f32().to_le_bytes().to_vec();
            let exact: Vec<u8> = exact[at..at + 128].chunks_exact(2).flat_map(wide).collect();
            assert_eq!(held[row * 256..(row + 1) * 256], exact, "position {position}");
        }
    }
}

#[test]
fn what_cannot_be_dumped_is_one_sentence() {
    let model = model_of("llama", 2, 2, 1);
    let (good, empty, odd) = (
        Temporary::new(b"[1, 2, 3]"),
        Temporary::new(b"[]"),
        Temporary::new(b"{}"),
    );
    let out = Folder::new("refused");
    for (tokens, options, wanted) in [
        (&empty, vec!["--compressor", "none"], "holds no token"),
        (&odd, vec!["--compressor", "none"], "JSON array of token ids"),
        (&good, vec!["--compressor", "nothing"], "nothing"),
        (
            &good,
            vec!["--compressor", "none", "--backend", "cuda"],
            "choose cpu or reference",
        ),
    ] {
        let done = dump(&model.0, &tokens.0, &out.0, &options);
        let text = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(!done.status.success() && text.contains(wanted), "{options:?}: {text}");
        assert_eq!(text.trim().lines().count(), 1, "{text}");
        assert!(!out.0.exists(), "{options:?} leaves nothing behind");
    }
}
