use crate::gguf_file::{demo_model, string, GgufFile, Kv, Temporary};
use gpu_runner::gguf::Gguf;
use gpu_runner::quant::WeightType;
use gpu_runner::Error;
use std::io::Read;
use std::time::{Duration, Instant};

fn open(bytes: &[u8]) -> Result<Gguf, Error> {
    Gguf::open(&Temporary::new(bytes).0)
}

/// The message of a refusal that must be `model_file`.
fn refusal(file: &GgufFile) -> String {
    let error = open(&file.bytes()).expect_err("the file is damaged");
    assert_eq!(error.kind(), "model_file", "{error}");
    error.to_string()
}

fn damaged(change: impl FnOnce(&mut GgufFile)) -> String {
    let mut file = GgufFile::sample();
    change(&mut file);
    refusal(&file)
}

#[test]
fn a_sound_file_of_both_versions_gives_its_values_and_tensors() {
    for version in [2, 3] {
        let file = GgufFile {
            version,
            ..GgufFile::sample()
        };
        let gguf = open(&file.bytes()).unwrap();
        assert_eq!(gguf.version(), version);
        assert_eq!(gguf.need::<&str>("general.architecture").unwrap(), "llama");
        assert_eq!(gguf.need::<u32>("llama.block_count").unwrap(), 2);
        assert_eq!(gguf.need::<usize>("llama.block_count").unwrap(), 2);
        assert_eq!(gguf.need::<f32>("llama.rope.freq_base").unwrap(), 10000.0);
        assert!(gguf.need::<bool>("tokenizer.ggml.add_bos_token").unwrap());
        assert_eq!(
            gguf.need::<Vec<&str>>("tokenizer.ggml.tokens").unwrap(),
            ["a", "b", "\u{120}c"]
        );
        assert_eq!(
            gguf.need::<Vec<f32>>("tokenizer.ggml.scores").unwrap(),
            [0.0, -1.0, -2.5]
        );
        assert_eq!(gguf.need::<Vec<i32>>("tokenizer.ggml.token_type").unwrap(), [1, 1, 3]);
        assert_eq!(gguf.need::<u64>("big").unwrap(), u64::MAX);
        assert_eq!(gguf.need::<i32>("negative").unwrap(), -1);
        assert_eq!(gguf.get::<u32>("absent").unwrap(), None);
        let names: Vec<_> = gguf.tensors().map(|tensor| tensor.name).collect();
        assert_eq!(names, ["norm", "proj", "deep"]);
        let proj = gguf.tensor("proj").unwrap();
        assert_eq!((proj.ty, proj.cols(), proj.rows()), (WeightType::Q4_1, 64, 3));
        assert_eq!(proj.bytes, file.tensors[1].data);
        assert_eq!(gguf.tensor("deep").unwrap().rows(), 4);
        assert_eq!(gguf.tensor("norm").unwrap().to_f32().len(), 3);
    }
}

#[test]
fn a_value_of_another_type_is_refused_with_its_key() {
    let gguf = open(&GgufFile::sample().bytes()).unwrap();
    let errors = [
        (
            gguf.need::<u32>("general.name").unwrap_err(),
            "metadata key general.name: is of type string",
        ),
        (
            gguf.need::<u32>("big").unwrap_err(),
            "18446744073709551615 does not fit into u32",
        ),
        (gguf.need::<u32>("negative").unwrap_err(), "-1 does not fit into u32"),
        (
            gguf.need::<&str>("llama.block_count").unwrap_err(),
            "is of type u32, a string is needed",
        ),
        (
            gguf.need::<Vec<&str>>("tokenizer.ggml.scores").unwrap_err(),
            "item 0 is of type f32",
        ),
        (
            gguf.need::<bool>("absent").unwrap_err(),
            "metadata key absent is missing",
        ),
        (gguf.tensor("absent").unwrap_err(), "tensor absent is missing"),
        (
            gguf.tensor_of("proj", &[64, 4]).unwrap_err(),
            "tensor proj has dimensions [64, 3], [64, 4] are needed",
        ),
    ];
    for (error, text) in errors {
        assert_eq!(error.kind(), "model_file");
        assert!(error.to_string().contains(text), "{error}");
    }
}

#[test]
fn the_sha256_is_of_the_whole_file() {
    let file = Temporary::new(
        &GgufFile {
            kv: vec![],
            tensors: vec![],
            ..GgufFile::sample()
        }
        .bytes(),
    );
    // printf 'GGUF\3\0\0\0' then 16 zero bytes and 8 of padding: sha256sum
    let expected = EMPTY_FILE_SHA256;
    assert_eq!(Gguf::open(&file.0).unwrap().sha256().unwrap(), expected);
}

const EMPTY_FILE_SHA256: &str = "a3718c7940c34ff91a906d0758debb656aed43d1aa8b23b99f67cb106cdbc881";

#[test]
fn damaged_headers_are_refused_with_what_is_wrong() {
    assert!(open(b"").unwrap_err().to_string().contains("needs 4 bytes, 0 are left"));
    assert!(open(b"GGML\x03\0\0\0")
        .unwrap_err()
        .to_string()
        .contains("does not start with GGUF"));
    assert!(damaged(|file| file.version = 1).contains("GGUF version 1"));
    assert!(damaged(|file| file.version = 3u32.swap_bytes()).contains("big-endian"));
    let mut bytes = GgufFile::sample().bytes();
    bytes[8..16].copy_from_slice(&u64::MAX.to_le_bytes());
    assert!(open(&bytes)
        .unwrap_err()
        .to_string()
        .contains("18446744073709551615 tensors cannot fit"));
    let mut bytes = GgufFile::sample().bytes();
    bytes[16..24].copy_from_slice(&(1u64 << 60).to_le_bytes());
    assert!(open(&bytes)
        .unwrap_err()
        .to_string()
        .contains("metadata entries cannot fit"));
    assert!(Gguf::open(&std::env::temp_dir())
        .unwrap_err()
        .to_string()
        .contains("not a regular file"));
    assert!(Gguf::open("no/such/file".as_ref())
        .unwrap_err()
        .to_string()
        .contains("cannot be opened"));
}

#[test]
fn damaged_metadata_is_refused_with_its_key() {
    assert!(damaged(|file| file.kv.push(("big".into(), Kv::U32(1)))).contains("metadata key big is there twice"));
    assert!(damaged(|file| file.kv.push((String::new(), Kv::U32(1)))).contains("has 0 bytes"));
    assert!(damaged(|file| file.kv[0].1 = Kv::Raw(13, vec![])).contains("value type 13"));
    assert!(damaged(|file| file.kv[0].1 = Kv::Raw(7, vec![2])).contains("holds 2 where a bool"));
    let long = [&8u32.to_le_bytes()[..], &(1u64 << 40).to_le_bytes()].concat();
    assert!(damaged(|file| file.kv[0].1 = Kv::Raw(9, long)).contains("items of general.architecture cannot fit"));
    let not_utf8 = [&2u64.to_le_bytes()[..], &[0xC0, 0xAF]].concat();
    assert!(damaged(|file| file.kv[0].1 = Kv::Raw(8, not_utf8)).contains("is not UTF-8"));
    let mut nested = Vec::new();
    for _ in 0..40 {
        nested.extend(9u32.to_le_bytes());
        nested.extend(1u64.to_le_bytes());
    }
    assert!(damaged(|file| file.kv[0].1 = Kv::Raw(9, nested)).contains("nests arrays deeper"));
    for alignment in [0, 3, 48, 1 << 30] {
        let key = "general.alignment".to_string();
        assert!(damaged(|file| file.kv.push((key, Kv::U32(alignment)))).contains("power of two"));
    }
}

#[test]
fn another_alignment_is_followed() {
    let mut file = GgufFile {
        alignment: 128,
        ..GgufFile::sample()
    };
    file.kv.push(("general.alignment".into(), Kv::U32(128)));
    let gguf = open(&file.bytes()).unwrap();
    assert_eq!(gguf.tensor("proj").unwrap().bytes, file.tensors[1].data);
}

#[test]
fn damaged_tensors_are_refused_with_their_name() {
    assert!(damaged(|file| file.tensors[1].name = "norm".into()).contains("tensor norm is there twice"));
    assert!(damaged(|file| file.tensors[1].dims = vec![]).contains("tensor proj has 0 dimensions"));
    assert!(damaged(|file| file.tensors[1].dims = vec![1; 5]).contains("tensor proj has 5 dimensions"));
    assert!(damaged(|file| file.tensors[1].dims = vec![64, 0]).contains("a dimension of 0 elements"));
    assert!(damaged(|file| file.tensors[1].dims = vec![1 << 40, 1 << 40]).contains("tensor proj has a dimension"));
    assert!(damaged(|file| file.tensors[1].dims = vec![1 << 62]).contains("tensor proj"));
    assert!(damaged(|file| file.tensors[1].dims = vec![48, 4]).contains("rows of 48 elements, Q4_1 blocks hold 32"));
    assert!(damaged(|file| file.tensors[1].ty = 99).contains("type 99, which does not exist"));
    assert!(damaged(|file| file.tensors[1].offset = Some(33)).contains("no multiple of 32"));
    assert!(damaged(|file| file.tensors[1].offset = Some(0)).contains("tensors norm and proj overlap"));
    assert!(damaged(|file| file.tensors[1].offset = Some(1 << 40)).contains("but the file ends at byte"));
    assert!(damaged(|file| file.tensors[1].offset = Some(u64::MAX - 31)).contains("tensor proj"));
    let mut bytes = GgufFile::sample().bytes();
    bytes.truncate(bytes.len() - 1);
    assert!(open(&bytes).unwrap_err().to_string().contains("tensor deep lies at"));
}

#[test]
fn a_weight_type_that_the_engine_lacks_is_unsupported_by_name() {
    let mut file = GgufFile::sample();
    file.tensors[1].ty = 13;
    let error = open(&file.bytes()).unwrap_err();
    assert_eq!(error.kind(), "unsupported");
    assert!(error.to_string().contains("tensor proj is of type Q5_K"), "{error}");
}

/// SplitMix64, so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }
}

/// One to four random damages: bytes, whole fields with extreme values, cuts, copies of other stretches.
fn mutate(bytes: &mut Vec<u8>, header: usize, random: &mut Random) {
    for _ in 0..=random.below(3) {
        let at = random.below(header.min(bytes.len()).max(1));
        match random.below(6) {
            0 => bytes.truncate(at),
            1 => bytes[at..]
                .iter_mut()
                .take(1)
                .for_each(|byte| *byte ^= 1 << random.below(8)),
            2 => bytes[at..]
                .iter_mut()
                .take(1)
                .for_each(|byte| *byte = random.next() as u8),
            3 => {
                let extremes = [
                    0,
                    1,
                    3,
                    1 << 31,
                    u32::MAX as u64,
                    1 << 40,
                    1 << 63,
                    u64::MAX,
                    u64::MAX - 31,
                ];
                let value = extremes[random.below(extremes.len())].to_le_bytes();
                let width = [4, 8][random.below(2)].min(bytes.len() - at);
                bytes[at..at + width].copy_from_slice(&value[..width]);
            }
            4 => {
                let len = random.below(64).min(bytes.len() - at);
                bytes.drain(at..at + len);
            }
            _ => {
                let from = random.below(bytes.len().max(1));
                let len = random.below(64).min(bytes.len() - from.min(bytes.len()));
                let copy = bytes[from..from + len].to_vec();
                bytes.splice(at..at, copy);
            }
        }
        if bytes.is_empty() {
            return;
        }
    }
}

/// Opens, and reads everything that opening allowed: neither may panic, hang or report another kind.
fn survive(bytes: &[u8]) -> bool {
    survive_file(&Temporary::new(bytes))
}

fn survive_file(file: &Temporary) -> bool {
    let gguf = match Gguf::open(&file.0) {
        Ok(gguf) => gguf,
        Err(error) => {
            assert!(["model_file", "unsupported"].contains(&error.kind()), "{error}");
            return false;
        }
    };
    for tensor in gguf.tensors() {
        assert_eq!(tensor.bytes.len(), tensor.rows() * tensor.ty.row_bytes(tensor.cols()));
        assert!(tensor.bytes.len() as u64 <= gguf.file_bytes());
    }
    for (_, value) in gguf.metadata() {
        gguf.value_json(value, 1 << 20);
    }
    if let Err(error) = gpu_runner::tokenizer::Tokenizer::from_gguf(&gguf) {
        assert!(["model_file", "unsupported"].contains(&error.kind()), "{error}");
    }
    true
}

#[test]
fn thousands_of_damaged_files_are_refused_or_read_without_a_panic() {
    let (sound, mut random, start) = (GgufFile::sample().bytes(), Random(3), Instant::now());
    let (mut tried, mut accepted) = (0, 0);
    // 10,000 take a second on a quiet machine
    while tried < 10_000 && start.elapsed() < Duration::from_secs(9) {
        let mut bytes = sound.clone();
        mutate(&mut bytes, sound.len() - 300, &mut random);
        accepted += survive(&bytes) as usize;
        tried += 1;
    }
    // both must happen, else the damages would be too coarse or too fine to test anything
    assert!(tried >= 2_000, "only {tried} files in 9 s");
    assert!(
        (tried / 100..tried * 9 / 10).contains(&accepted),
        "{accepted} of {tried} were accepted"
    );
}

#[test]
fn every_truncation_of_a_file_is_refused() {
    let sound = GgufFile::sample().bytes();
    for len in 0..sound.len() {
        assert!(open(&sound[..len]).is_err(), "the first {len} of {} bytes", sound.len());
    }
}

#[test]
fn damaged_headers_of_the_demo_model_are_refused_or_read_without_a_panic() {
    let Some(path) = demo_model("damaged_headers_of_the_demo_model_are_refused_or_read_without_a_panic") else {
        return;
    };
    let gguf = Gguf::open(&path).unwrap();
    let data_start = gguf.file_bytes() as usize - gguf.tensors().map(|tensor| tensor.bytes.len()).sum::<usize>();
    let mut header = vec![0; data_start];
    std::fs::File::open(&path).unwrap().read_exact(&mut header).unwrap();
    let (mut random, start, mut tried, mut accepted) = (Random(5), Instant::now(), 0, 0);
    let table = data_start.saturating_sub(20_000);
    while tried < 60 && start.elapsed() < Duration::from_secs(6) {
        let mut bytes = header.clone();
        for _ in 0..=random.below(3) {
            // half of the damages hit the small values at the front, half the tensor table at the end
            let at = if random.below(2) == 0 {
                random.below(3_000)
            } else {
                table + random.below(data_start - table)
            };
            bytes[at] ^= 1 << random.below(8);
        }
        let file = Temporary::new(&bytes);
        // the tensors become a hole of zeros: only the header is damaged, and no 100 MB are written
        std::fs::OpenOptions::new()
            .write(true)
            .open(&file.0)
            .unwrap()
            .set_len(gguf.file_bytes())
            .unwrap();
        accepted += survive_file(&file) as usize;
        tried += 1;
    }
    assert!(tried >= 5 && accepted > 0, "{tried} files in 6 s, {accepted} accepted");
}

#[test]
fn nested_arrays_within_bounds_are_read() {
    let mut inner = Vec::new();
    inner.extend(9u32.to_le_bytes()); // array of arrays
    inner.extend(2u64.to_le_bytes());
    for text in ["x", "yz"] {
        inner.extend(8u32.to_le_bytes());
        inner.extend(1u64.to_le_bytes());
        string(text, &mut inner);
    }
    let mut file = GgufFile::sample();
    file.kv.push(("nested".into(), Kv::Raw(9, inner)));
    let gguf = open(&file.bytes()).unwrap();
    assert_eq!(gguf.need::<Vec<Vec<&str>>>("nested").unwrap(), [vec!["x"], vec!["yz"]]);
    let value = gguf.metadata().find(|(key, _)| *key == "nested").unwrap().1;
    assert_eq!(gguf.value_json(value, 16), serde_json::json!([["x"], ["yz"]]));
}
