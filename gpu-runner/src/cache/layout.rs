//! Formats of pages and the byte offsets inside them.
//!
//! A page holds `page_tokens` entries of one kv head of one layer of one sequence: K codes, K params, V codes, V
//! params; every segment starts at a multiple of 128 bytes. On the CPU codes are row-major ([token][channel],
//! low bits first), K params by channel are [token group][scales d][minima d], params by token are [token][scales]
//! [minima], all f16.

use super::sparse::Sparse;

/// Segments and pages start at multiples of this.
pub const ALIGN: usize = 128;

/// Entries per page of the window.
pub const WINDOW_TOKENS: usize = 64;

/// Along which axis a quantiser group runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Axis {
    /// Consecutive tokens of one channel share scale and minimum.
    Channel,
    /// Consecutive channels of one token share scale and minimum.
    Token,
}

/// The form of one token's vector of one kv head, coded alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenCodec {
    /// One OCP E4M3 byte a channel; `scaled`: an f16 scale a token.
    Fp8 {
        /// Whether a scale is stored.
        scaled: bool,
    },
    /// One signed byte a channel, an f16 scale a token.
    Int8,
    /// Unsigned codes with the f16 scale and minimum of the group quantiser, one group a token.
    Group {
        /// Bits per code: 2 to 4.
        bits: u8,
    },
    /// ggml's blocks of 32: signed bytes, an f16 scale.
    Q8_0,
    /// ggml's blocks of 32: 4-bit codes around 8, an f16 scale.
    Q4_0,
    /// Places in the codebook of N(0, 1), and the f16 norm of the token's vector.
    Codebook {
        /// Bits per code: 1 to 4.
        bits: u8,
        /// Whether the stored norm is that which gives the decoded vector its original length.
        renorm: bool,
    },
}

/// Channels of a block of `q8_0` and `q4_0`.
pub const GGML_BLOCK: usize = 32;

impl TokenCodec {
    /// Bits per code.
    pub fn bits(self) -> usize {
        match self {
            TokenCodec::Fp8 { .. } | TokenCodec::Int8 | TokenCodec::Q8_0 => 8,
            TokenCodec::Q4_0 => 4,
            TokenCodec::Group { bits } | TokenCodec::Codebook { bits, .. } => bits as usize,
        }
    }

    /// f16 scales and minima of one token, in this order.
    pub fn params(self, head_dim: usize) -> (usize, usize) {
        match self {
            TokenCodec::Fp8 { scaled: false } => (0, 0),
            TokenCodec::Fp8 { scaled: true } | TokenCodec::Int8 | TokenCodec::Codebook { .. } => (1, 0),
            TokenCodec::Group { .. } => (1, 1),
            TokenCodec::Q8_0 | TokenCodec::Q4_0 => (head_dim / GGML_BLOCK, 0),
        }
    }
}

/// What stands in front of a token codec; its inverse stands behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotation {
    /// Nothing.
    None,
    /// H / sqrt(B) on blocks of the largest power of two that divides the head dimension.
    Hadamard,
    /// The same after a change of signs: bit c mod 64 of word c / 64 is set where channel c is negated. 128 bits: no
    /// kernel has a larger head dimension.
    Signed([u64; 2]),
}

/// How K or V of a sealed entry is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// As it came.
    F16,
    /// Codes of `bits` with an f16 scale and an f16 minimum a group.
    Int {
        /// Bits per code: 2, 4 or 8.
        bits: u8,
        /// Direction of the groups.
        axis: Axis,
        /// Elements per group.
        group: usize,
    },
    /// Each token's vector alone: entries can be dropped and overwritten one by one.
    Token {
        /// The form of a vector.
        codec: TokenCodec,
        /// The basis that it is coded in.
        rotation: Rotation,
    },
    /// Codes of `bits` with corrections, as [`Layout::sparse`] says.
    Sparse {
        /// Bits per code.
        bits: u8,
    },
}

impl Part {
    /// Bytes of the codes (or f16 values) of one token.
    pub fn row_bytes(self, head_dim: usize) -> usize {
        match self {
            Part::F16 => head_dim * 2,
            Part::Int { bits, .. } | Part::Sparse { bits } => head_dim * bits as usize / 8,
            Part::Token { codec, .. } => head_dim * codec.bits() / 8,
        }
    }

    /// Bytes of scales and minima of one token, where each token has its own.
    pub fn param_row_bytes(self, head_dim: usize) -> usize {
        match self {
            Part::F16
            | Part::Sparse { .. }
            | Part::Int {
                axis: Axis::Channel, ..
            } => 0,
            Part::Int {
                axis: Axis::Token,
                group,
                ..
            } => head_dim / group * 4,
            Part::Token { codec, .. } => {
                let (scales, minima) = codec.params(head_dim);
                (scales + minima) * 2
            }
        }
    }

    /// Bytes of scales and minima of `tokens` tokens.
    pub fn param_bytes(self, head_dim: usize, tokens: usize) -> usize {
        match self {
            Part::Int {
                axis: Axis::Channel,
                group,
                ..
            } => tokens * head_dim / group * 4,
            _ => tokens * self.param_row_bytes(head_dim),
        }
    }

    /// Payload of `tokens` sealed tokens.
    pub fn payload_bytes(self, head_dim: usize, tokens: usize) -> usize {
        tokens * self.row_bytes(head_dim) + self.param_bytes(head_dim, tokens)
    }

    /// Bits per code, or of an f16 value.
    pub fn bits(self) -> usize {
        match self {
            Part::F16 => 16,
            Part::Int { bits, .. } | Part::Sparse { bits } => bits as usize,
            Part::Token { codec, .. } => codec.bits(),
        }
    }

    /// How many of a token's own params are scales.
    pub fn scales(self, head_dim: usize) -> usize {
        match self {
            Part::Token { codec, .. } => codec.params(head_dim).0,
            _ => self.param_row_bytes(head_dim) / 4,
        }
    }

    /// Whether entries of this part are ever quantised.
    pub fn is_quantised(self) -> bool {
        self != Part::F16
    }

    /// What stands in front of the codec.
    pub fn rotation(self) -> Rotation {
        match self {
            Part::Token { rotation, .. } => rotation,
            _ => Rotation::None,
        }
    }
}

/// When entries leave the f16 window for a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flush {
    /// One at a time: the last `.0` entries stay.
    Token(usize),
    /// `.0` entries at once, as soon as there are so many.
    Block(usize),
}

impl Flush {
    /// How many of `n` entries are sealed after a forward.
    pub fn sealed(self, n: usize) -> usize {
        match self {
            Flush::Token(window) => n.saturating_sub(window),
            Flush::Block(block) => n - n % block,
        }
    }

    /// The most f16 entries that exist at once, the token of the current step included.
    pub fn room(self) -> usize {
        match self {
            Flush::Token(window) => window + 1,
            Flush::Block(block) => block,
        }
    }
}

/// Which K a store keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyForm {
    /// Rotated at the original position before it is stored.
    PostRope,
    /// As projected; rotated at read, in f32, by its slot.
    PreRope,
}

/// How the entries of one store lie in memory.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Layout {
    /// Entries per page.
    pub page_tokens: usize,
    /// K of sealed entries.
    pub k: Part,
    /// V of sealed entries.
    pub v: Part,
    /// When K is sealed; not read if neither part is quantised.
    pub k_flush: Flush,
    /// When V is sealed; not read if neither part is quantised.
    pub v_flush: Flush,
    /// Which K is kept.
    pub key_form: KeyForm,
    /// Corrections of [`Part::Sparse`], which both parts are then.
    pub sparse: Option<Sparse>,
}

impl Layout {
    /// Plain f16 pages of 64 tokens, no window.
    pub fn f16() -> Layout {
        Layout {
            page_tokens: 64,
            k: Part::F16,
            v: Part::F16,
            k_flush: Flush::Token(0),
            v_flush: Flush::Token(0),
            key_form: KeyForm::PostRope,
            sparse: None,
        }
    }

    /// Whether entries pass through an f16 window before they reach a page.
    pub fn has_window(&self) -> bool {
        self.k.is_quantised() || self.v.is_quantised()
    }

    /// Pages of the window that a store can need at once.
    pub fn window_pages(&self) -> usize {
        match self.has_window() {
            true => (self.k_flush.room().max(self.v_flush.room()) + WINDOW_TOKENS - 2) / WINDOW_TOKENS + 1,
            false => 0,
        }
    }

    /// Entries whose K, and whose V, have left the window when a store holds `n`, after a forward.
    pub fn paged(&self, n: usize) -> (usize, usize) {
        match self.has_window() {
            true => (self.k_flush.sealed(n), self.v_flush.sealed(n)),
            false => (n, n),
        }
    }

    /// Entries whose K, and whose V, are quantised when a store holds `n`, after a forward.
    pub fn sealed(&self, n: usize) -> (usize, usize) {
        let (k, v) = self.paged(n);
        let head = self.sparse.map_or(0, |s| s.head_tokens());
        let of = |part: Part, paged: usize| {
            if part.is_quantised() {
                paged.saturating_sub(head)
            } else {
                0
            }
        };
        (of(self.k, k), of(self.v, v))
    }

    /// Payload bytes of a store of `n` entries with so many sealed: f16 entries, codes, scales and minima.
    pub fn payload_bytes(&self, head_dim: usize, n: usize, k_sealed: usize, v_sealed: usize) -> usize {
        let of = |part: Part, sealed: usize| part.payload_bytes(head_dim, sealed) + (n - sealed) * head_dim * 2;
        of(self.k, k_sealed) + of(self.v, v_sealed)
    }

    /// Byte offsets of a page.
    pub fn page(&self, head_dim: usize) -> PageMap {
        if let Some(sparse) = self.sparse {
            return sparse.page(head_dim);
        }
        let tokens = self.page_tokens;
        let mut end = 0;
        let mut segment = |bytes: usize| {
            let at = end;
            end += bytes.next_multiple_of(ALIGN);
            at
        };
        PageMap {
            k_codes: segment(tokens * self.k.row_bytes(head_dim)),
            k_params: segment(self.k.param_bytes(head_dim, tokens)),
            v_codes: segment(tokens * self.v.row_bytes(head_dim)),
            v_params: segment(self.v.param_bytes(head_dim, tokens)),
            bytes: end,
        }
    }

    /// Byte offsets of a page of the window: f16 K rows, then f16 V rows.
    pub fn window_page(head_dim: usize) -> PageMap {
        Layout::f16().page(head_dim)
    }

    /// Mean bits per element of a full page: `planned.page.bits`.
    pub fn bits(&self, head_dim: usize) -> f64 {
        if let Some(sparse) = self.sparse {
            return sparse.page_bits(head_dim);
        }
        let tokens = self.page_tokens;
        let bytes = self.k.payload_bytes(head_dim, tokens) + self.v.payload_bytes(head_dim, tokens);
        bytes as f64 * 8.0 / (2 * head_dim * tokens) as f64
    }
}

/// Where the segments of a page start, and where it ends, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct PageMap {
    pub k_codes: usize,
    pub k_params: usize,
    pub v_codes: usize,
    pub v_params: usize,
    pub bytes: usize,
}
