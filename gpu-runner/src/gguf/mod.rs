//! Opens and checks GGUF files, versions 2 and 3.
//!
//! A file is memory-mapped and walked once at [`Gguf::open`]: every length, count, type, offset and alignment is
//! checked against the bytes that are really there before anything is allocated or sliced, so what the getters hand
//! out later cannot be out of range. Metadata stays in the mapping (a value is a type and a byte range) and is decoded
//! when asked for; a hostile file can thus not make the engine hold more than a small multiple of its own size.
//! Files of version 1 and big-endian files are refused.

mod metadata;
mod reader;
mod tensors;

use crate::quant::WeightType;
use crate::{Error, Result};
pub use metadata::{FromValue, Value, ValueType};
use reader::Reader;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// One tensor of an open file. `dims` is in GGUF order: `dims[0]` runs fastest (the columns of a row), `dims[1]` is
/// the number of rows.
#[derive(Debug, Clone, Copy)]
pub struct Tensor<'a> {
    /// Its name, such as `blk.0.attn_q.weight`.
    pub name: &'a str,
    /// Elements per dimension, fastest first; one to four of them, none is zero.
    pub dims: &'a [usize],
    /// The weight type.
    pub ty: WeightType,
    /// The data: `rows() * ty.row_bytes(cols())` bytes.
    pub bytes: &'a [u8],
}

impl Tensor<'_> {
    /// Elements of one row (`dims[0]`).
    pub fn cols(&self) -> usize {
        self.dims[0]
    }

    /// Rows: the product of all dimensions but the first.
    pub fn rows(&self) -> usize {
        self.dims[1..].iter().product()
    }

    /// All elements as f32, row after row.
    pub fn to_f32(&self) -> Vec<f32> {
        let mut out = vec![0.0; self.rows() * self.cols()];
        self.ty.dequantize_row(self.bytes, &mut out);
        out
    }
}

/// An open, checked model file.
#[derive(Debug)]
pub struct Gguf {
    path: PathBuf,
    map: memmap2::Mmap,
    version: u32,
    metadata: Vec<(String, Value)>,
    keys: HashMap<String, usize>,
    tensors: Vec<tensors::Info>,
    names: HashMap<String, usize>,
    sha256: OnceLock<String>,
}

impl Gguf {
    /// Maps the file and checks all of it but the values of the weights.
    ///
    /// # Errors
    /// [`Error::ModelFile`] with the offset, key or tensor for a file that cannot be read or is damaged;
    /// [`Error::Unsupported`] for a weight type that the engine does not have.
    pub fn open(path: &Path) -> Result<Self> {
        let fail = |message: String| Error::ModelFile {
            path: path.to_path_buf(),
            message,
        };
        let file = File::open(path).map_err(|e| fail(format!("cannot be opened: {e}")))?;
        let is_file = file
            .metadata()
            .map_err(|e| fail(format!("cannot be read: {e}")))?
            .is_file();
        if !is_file {
            return Err(fail("is not a regular file; give the path of a GGUF file".into()));
        }
        // SAFETY: the mapping is private and read-only, and only bytes inside it are ever sliced. What remains is the
        // contract of every memory-mapped model: nobody may shorten the file while the engine runs on it.
        let map = unsafe { memmap2::Mmap::map(&file) }.map_err(|e| fail(format!("cannot be mapped: {e}")))?;
        let mut reader = Reader::new(&map);
        let header = reader.header().map_err(&fail)?;
        let (metadata, keys) = metadata::read(&mut reader, header.n_kv).map_err(&fail)?;
        let alignment = metadata::alignment(&map, &metadata, &keys).map_err(&fail)?;
        let (tensors, names) = tensors::read(&mut reader, header.n_tensors, alignment).map_err(|e| match e {
            tensors::Refusal::Damaged(message) => fail(message),
            tensors::Refusal::Type(message) => Error::Unsupported(format!("{}: {message}", path.display())),
        })?;
        let (path, version) = (path.to_path_buf(), header.version);
        Ok(Self {
            path,
            map,
            version,
            metadata,
            keys,
            tensors,
            names,
            sha256: OnceLock::new(),
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// GGUF version, 2 or 3.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Bytes of the file.
    pub fn file_bytes(&self) -> u64 {
        self.map.len() as u64
    }

    /// sha256 of the whole file in lower-case hex; read through once, then remembered.
    ///
    /// # Errors
    /// [`Error::ModelFile`] if the file can no longer be read.
    pub fn sha256(&self) -> Result<&str> {
        if let Some(known) = self.sha256.get() {
            return Ok(known);
        }
        let hash = self
            .hash()
            .map_err(|e| self.error(format!("cannot be read for its sha256: {e}")))?;
        Ok(self.sha256.get_or_init(|| hash))
    }

    // read, not the mapping: a failing disk then gives an error and not a signal
    fn hash(&self) -> std::io::Result<String> {
        let mut file = File::open(&self.path)?;
        let mut hasher = Sha256::new();
        let mut chunk = vec![0; 1 << 20];
        loop {
            match file.read(&mut chunk)? {
                0 => break,
                n => hasher.update(&chunk[..n]),
            }
        }
        Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The value of a key, or `None` where the file does not have it. Integers of every width are accepted where the
    /// value fits.
    ///
    /// # Errors
    /// [`Error::ModelFile`] if the key is there with a type or value that `T` cannot take.
    pub fn get<'a, T: FromValue<'a>>(&'a self, key: &str) -> Result<Option<T>> {
        let Some(&at) = self.keys.get(key) else { return Ok(None) };
        let value = self.metadata[at].1;
        T::from_value(&self.map, value)
            .map(Some)
            .map_err(|why| self.error(format!("metadata key {key}: {why}")))
    }

    /// The value of a key that the file must have.
    ///
    /// # Errors
    /// [`Error::ModelFile`] if it is missing or of another type.
    pub fn need<'a, T: FromValue<'a>>(&'a self, key: &str) -> Result<T> {
        self.get(key)?
            .ok_or_else(|| self.error(format!("metadata key {key} is missing; is this a complete model file?")))
    }

    /// All keys with their values, in file order.
    pub fn metadata(&self) -> impl Iterator<Item = (&str, Value)> {
        self.metadata.iter().map(|(key, value)| (key.as_str(), *value))
    }

    /// A value as JSON; an array longer than `longest` becomes `{"array": type, "len": n}`.
    pub fn value_json(&self, value: Value, longest: usize) -> serde_json::Value {
        metadata::json(&self.map, value, longest)
    }

    /// All tensors in file order.
    pub fn tensors(&self) -> impl Iterator<Item = Tensor<'_>> {
        self.tensors.iter().map(|info| info.view(&self.map))
    }

    /// A tensor by name, if the file has it.
    pub fn find_tensor(&self, name: &str) -> Option<Tensor<'_>> {
        self.names.get(name).map(|&at| self.tensors[at].view(&self.map))
    }

    /// A tensor that the file must have.
    ///
    /// # Errors
    /// [`Error::ModelFile`] if it is missing.
    pub fn tensor(&self, name: &str) -> Result<Tensor<'_>> {
        self.find_tensor(name)
            .ok_or_else(|| self.error(format!("tensor {name} is missing")))
    }

    /// A tensor that must have exactly these dimensions (fastest first).
    ///
    /// # Errors
    /// [`Error::ModelFile`] if it is missing or of another shape.
    pub fn tensor_of(&self, name: &str, dims: &[usize]) -> Result<Tensor<'_>> {
        let tensor = self.tensor(name)?;
        if tensor.dims != dims {
            return Err(self.error(format!(
                "tensor {name} has dimensions {:?}, {dims:?} are needed",
                tensor.dims
            )));
        }
        Ok(tensor)
    }

    /// An error that names this file.
    pub fn error(&self, message: impl Into<String>) -> Error {
        Error::ModelFile {
            path: self.path.clone(),
            message: message.into(),
        }
    }
}
