//! Weight types: block layouts and dequantisation, one small file a type, one row each in [`WeightType::ALL`]'s table.
//!
//! A row of a matrix is a whole number of blocks; a block is `block_len` weights in `block_bytes` bytes, all numbers
//! little-endian. Dequantisation is done in f32 exactly as the formula at the head of each file writes it, products
//! first, then one addition: the reference backend and the tests rely on these bits.

mod bf16;
mod f16;
mod f32;
mod q4_0;
mod q4_1;
pub(crate) mod q4_k;
mod q6_k;
mod q8_0;

/// The weight types that the engine reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, non_camel_case_types)]
pub enum WeightType {
    F32,
    F16,
    BF16,
    Q4_0,
    Q4_1,
    Q8_0,
    Q4K,
    Q6K,
}

/// What a file of this folder says about its type.
struct Row {
    ty: WeightType,
    name: &'static str,
    /// Its number in a GGUF file.
    ggml: u32,
    block_len: usize,
    block_bytes: usize,
    /// One block of `block_bytes` to `block_len` weights.
    dequantize: fn(&[u8], &mut [f32]),
}

/// In the order of the enum, which indexes it.
const TABLE: [Row; 8] = [
    f32::ROW,
    f16::ROW,
    bf16::ROW,
    q4_0::ROW,
    q4_1::ROW,
    q8_0::ROW,
    q4_k::ROW,
    q6_k::ROW,
];

impl WeightType {
    /// All types, in the order of the table.
    pub const ALL: [Self; 8] = [
        Self::F32,
        Self::F16,
        Self::BF16,
        Self::Q4_0,
        Self::Q4_1,
        Self::Q8_0,
        Self::Q4K,
        Self::Q6K,
    ];

    fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }

    /// The type with this number in a GGUF file, if the engine has it.
    pub fn from_ggml(id: u32) -> Option<Self> {
        TABLE.iter().find(|row| row.ggml == id).map(|row| row.ty)
    }

    /// The name that model files are labelled with, such as `Q4_K`.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// Its number in a GGUF file.
    pub fn ggml_id(self) -> u32 {
        self.row().ggml
    }

    /// Weights per block.
    pub fn block_len(self) -> usize {
        self.row().block_len
    }

    /// Bytes per block.
    pub fn block_bytes(self) -> usize {
        self.row().block_bytes
    }

    /// Bytes of a row of `cols` weights.
    ///
    /// # Panics
    /// If `cols` is not a whole number of blocks; the loader refuses such tensors.
    pub fn row_bytes(self, cols: usize) -> usize {
        assert_eq!(
            cols % self.block_len(),
            0,
            "a row of {cols} weights is no whole number of {} blocks",
            self.name()
        );
        cols / self.block_len() * self.block_bytes()
    }

    /// Weights of whole blocks as f32. `bytes` [out.len() / block_len blocks], `out` one or more rows.
    ///
    /// # Panics
    /// If `bytes` is not exactly the blocks of `out`.
    pub fn dequantize_row(self, bytes: &[u8], out: &mut [f32]) {
        assert_eq!(
            bytes.len(),
            self.row_bytes(out.len()),
            "{} weights of {}",
            out.len(),
            self.name()
        );
        let row = self.row();
        for (block, out) in bytes
            .chunks_exact(row.block_bytes)
            .zip(out.chunks_exact_mut(row.block_len))
        {
            (row.dequantize)(block, out);
        }
    }
}

impl std::fmt::Display for WeightType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl serde::Serialize for WeightType {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// Names of all types that the format knows, so that one which the engine lacks is told from a damaged number.
pub fn known_name(id: u32) -> Option<&'static str> {
    let name = match id {
        4 | 5 | 31..=33 | 36..=38 => "a withdrawn type",
        6 => "Q5_0",
        7 => "Q5_1",
        9 => "Q8_1",
        10 => "Q2_K",
        11 => "Q3_K",
        13 => "Q5_K",
        15 => "Q8_K",
        16 => "IQ2_XXS",
        17 => "IQ2_XS",
        18 => "IQ3_XXS",
        19 => "IQ1_S",
        20 => "IQ4_NL",
        21 => "IQ3_S",
        22 => "IQ2_S",
        23 => "IQ4_XS",
        24 => "I8",
        25 => "I16",
        26 => "I32",
        27 => "I64",
        28 => "F64",
        29 => "IQ1_M",
        34 => "TQ1_0",
        35 => "TQ2_0",
        39 => "MXFP4",
        _ => return WeightType::from_ggml(id).map(WeightType::name),
    };
    Some(name)
}

/// The f16 at byte `at` of a block.
fn half(block: &[u8], at: usize) -> f32 {
    ::half::f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}
