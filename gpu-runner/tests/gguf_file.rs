use std::path::PathBuf;

/// A GGUF file in the making. Every field is public, so that a test can write what a sound writer would not.
#[derive(Clone)]
pub struct GgufFile {
    pub version: u32,
    pub alignment: usize,
    pub kv: Vec<(String, Kv)>,
    pub tensors: Vec<TensorSpec>,
}

#[derive(Clone)]
#[allow(dead_code)]
pub enum Kv {
    U32(u32),
    F32(f32),
    Bool(bool),
    Str(String),
    Strs(Vec<String>),
    F32s(Vec<f32>),
    I32s(Vec<i32>),
    /// Type number and the raw bytes behind it.
    Raw(u32, Vec<u8>),
}

#[derive(Clone)]
pub struct TensorSpec {
    pub name: String,
    pub dims: Vec<u64>,
    pub ty: u32,
    pub data: Vec<u8>,
    /// Offset in the data section; where the data before it ends, if `None`.
    pub offset: Option<u64>,
}

pub fn string(text: &str, out: &mut Vec<u8>) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

fn array(ty: u32, len: usize, out: &mut Vec<u8>) {
    out.extend(ty.to_le_bytes());
    out.extend((len as u64).to_le_bytes());
}

impl Kv {
    fn write(&self, out: &mut Vec<u8>) {
        let ty: u32 = match self {
            Self::U32(_) => 4,
            Self::F32(_) => 6,
            Self::Bool(_) => 7,
            Self::Str(_) => 8,
            Self::Strs(_) | Self::F32s(_) | Self::I32s(_) => 9,
            Self::Raw(ty, _) => *ty,
        };
        out.extend(ty.to_le_bytes());
        match self {
            Self::U32(value) => out.extend(value.to_le_bytes()),
            Self::F32(value) => out.extend(value.to_le_bytes()),
            Self::Bool(value) => out.push(*value as u8),
            Self::Str(value) => string(value, out),
            Self::Strs(values) => {
                array(8, values.len(), out);
                values.iter().for_each(|value| string(value, out));
            }
            Self::F32s(values) => {
                array(6, values.len(), out);
                values.iter().for_each(|value| out.extend(value.to_le_bytes()));
            }
            Self::I32s(values) => {
                array(5, values.len(), out);
                values.iter().for_each(|value| out.extend(value.to_le_bytes()));
            }
            Self::Raw(_, bytes) => out.extend(bytes),
        }
    }
}

impl GgufFile {
    /// A sound small file: every kind of value, three tensors of different types.
    pub fn sample() -> Self {
        let strings = |texts: &[&str]| Kv::Strs(texts.iter().map(|text| text.to_string()).collect());
        let kv = [
            ("general.architecture", Kv::Str("llama".into())),
            ("general.name", Kv::Str("sample".into())),
            ("llama.block_count", Kv::U32(2)),
            ("llama.rope.freq_base", Kv::F32(10000.0)),
            ("tokenizer.ggml.add_bos_token", Kv::Bool(true)),
            ("tokenizer.ggml.tokens", strings(&["a", "b", "\u{120}c"])),
            ("tokenizer.ggml.scores", Kv::F32s(vec![0.0, -1.0, -2.5])),
            ("tokenizer.ggml.token_type", Kv::I32s(vec![1, 1, 3])),
            ("big", Kv::Raw(10, u64::MAX.to_le_bytes().to_vec())),
            ("negative", Kv::Raw(1, vec![0xFF])),
        ];
        let kv = kv.into_iter().map(|(key, value)| (key.to_string(), value)).collect();
        let data = |n: usize| (0..n).map(|i| (i * 7 % 251) as u8).collect::<Vec<u8>>();
        let tensor = |name: &str, dims: &[u64], ty: u32, bytes: usize| TensorSpec {
            name: name.to_string(),
            dims: dims.to_vec(),
            ty,
            data: data(bytes),
            offset: None,
        };
        let tensors = vec![
            tensor("norm", &[3], 0, 12),
            tensor("proj", &[64, 3], 3, 120),
            tensor("deep", &[32, 2, 2], 8, 136),
        ];
        Self {
            version: 3,
            alignment: 32,
            kv,
            tensors,
        }
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut out = b"GGUF".to_vec();
        out.extend(self.version.to_le_bytes());
        out.extend((self.tensors.len() as u64).to_le_bytes());
        out.extend((self.kv.len() as u64).to_le_bytes());
        for (key, value) in &self.kv {
            string(key, &mut out);
            value.write(&mut out);
        }
        let mut next = 0u64;
        let mut placed = Vec::new();
        for tensor in &self.tensors {
            let offset = tensor.offset.unwrap_or(next);
            string(&tensor.name, &mut out);
            out.extend((tensor.dims.len() as u32).to_le_bytes());
            tensor.dims.iter().for_each(|dim| out.extend(dim.to_le_bytes()));
            out.extend(tensor.ty.to_le_bytes());
            out.extend(offset.to_le_bytes());
            placed.push(offset);
            next = (next + tensor.data.len() as u64).next_multiple_of(self.alignment as u64);
        }
        out.resize(out.len().next_multiple_of(self.alignment), 0);
        let start = out.len();
        for (tensor, &offset) in self.tensors.iter().zip(&placed) {
            let at = start.saturating_add(offset as usize);
            if at > 1 << 20 {
                continue; // an offset that no file reaches
            }
            out.resize(out.len().max(at + tensor.data.len()), 0);
            out[at..at + tensor.data.len()].copy_from_slice(&tensor.data);
        }
        out
    }
}

/// A file of its own in the system's temporary folder; removed when dropped.
pub struct Temporary(pub PathBuf);

impl Temporary {
    pub fn new(bytes: &[u8]) -> Self {
        use std::sync::atomic::{AtomicU64, Ordering};
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!(
            "kvsweep-{}-{}.gguf",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, bytes).unwrap();
        Self(path)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The demo model, where the set-up has fetched it; else the reason is printed and the caller skips.
pub fn demo_model(test: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../.kvsweep/models/SmolLM2-135M-Instruct.Q4_1.gguf");
    if path.exists() {
        return Some(path);
    }
    eprintln!(
        "{test} is skipped: {} is not there; the set-up fetches it",
        path.display()
    );
    None
}
