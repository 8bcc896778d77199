//! Formats of pages and the byte offsets inside them.
//!
//! A page holds `page_tokens` entries of one kv head of one layer of one sequence: K codes, K params, V codes, V
//! params; every segment starts at a multiple of 128 bytes. On the CPU codes are row-major ([token][channel],
//! low bits first), K params by channel are [token group][scales d][minima d], V params by token are
//! [token][scales d/G][minima d/G], all f16.

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
}

impl Part {
    /// Bytes of the codes (or f16 values) of one token.
    pub fn row_bytes(self, head_dim: usize) -> usize {
        match self {
            Part::F16 => head_dim * 2,
            Part::Int { bits, .. } => head_dim * bits as usize / 8,
        }
    }

    /// Bytes of scales and minima of `tokens` tokens.
    pub fn param_bytes(self, head_dim: usize, tokens: usize) -> usize {
        match self {
            Part::F16 => 0,
            Part::Int { group, .. } => tokens * head_dim / group * 4,
        }
    }

    /// Payload of `tokens` sealed tokens.
    pub fn payload_bytes(self, head_dim: usize, tokens: usize) -> usize {
        tokens * self.row_bytes(head_dim) + self.param_bytes(head_dim, tokens)
    }

    /// Whether entries of this part are ever quantised.
    pub fn is_quantised(self) -> bool {
        self != Part::F16
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
        let of = |part: Part, paged| if part.is_quantised() { paged } else { 0 };
        (of(self.k, k), of(self.v, v))
    }

    /// Payload bytes of a store of `n` entries with so many sealed: f16 entries, codes, scales and minima.
    pub fn payload_bytes(&self, head_dim: usize, n: usize, k_sealed: usize, v_sealed: usize) -> usize {
        let of = |part: Part, sealed: usize| part.payload_bytes(head_dim, sealed) + (n - sealed) * head_dim * 2;
        of(self.k, k_sealed) + of(self.v, v_sealed)
    }

    /// Byte offsets of a page.
    pub fn page(&self, head_dim: usize) -> PageMap {
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
