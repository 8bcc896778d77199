//! Where the parts of one store lie.

use std::sync::Arc;

use super::{Sparse, Tail, OUTLIER_BYTES, STREAM_ENTRIES};
use crate::backend::cpu::arena::Arena;
use crate::backend::cpu::sparse::kvquant::Coder;
use crate::cache::{ClassId, PageId, PageMap, Part};

/// What is fixed for a layer when the cache is made.
#[derive(Debug)]
pub struct SparsePlan {
    /// As declared.
    pub sparse: Sparse,
    /// Ends of prompt pages and of later ones.
    pub tails: [Tail; 2],
    /// Pages of both kinds.
    pub(super) classes: [ClassId; 2],
    /// Factor pages of both kinds, where they have bytes.
    pub(super) factor_classes: [Option<ClassId>; 2],
    /// Pages of the stream.
    pub(super) stream_class: ClassId,
    /// The f16 head page.
    pub head: PageMap,
    pub(super) head_class: Option<ClassId>,
    /// Codebooks and bounds of kvquant.
    pub coder: Option<Arc<Coder>>,
}

/// The pages of one store.
#[derive(Debug, Default, Clone)]
pub struct SparseStore {
    /// f16 entries at the front.
    pub head: Option<PageId>,
    /// By place / page tokens: prompt pages first.
    pub pages: Vec<PageId>,
    /// Tokens of the prompt's block, whole pages.
    pub prompt_tokens: usize,
    /// One a block, where it has factors.
    pub factors: Vec<Option<PageId>>,
    /// Outliers of K in order of tokens and channels.
    pub stream: Vec<PageId>,
    /// How many there are.
    pub outliers: usize,
    /// By page: its first outlier.
    pub starts: Vec<u32>,
    /// Entries that are coded.
    pub coded: usize,
}

impl SparseStore {
    /// Whether a page is a later one (1) or the prompt's (0).
    pub fn kind(&self, page: usize, page_tokens: usize) -> usize {
        usize::from(page * page_tokens >= self.prompt_tokens)
    }

    /// Tokens of a page's block, and which block it is.
    pub fn block(&self, page: usize, page_tokens: usize) -> (usize, usize) {
        let prompt_pages = self.prompt_tokens / page_tokens;
        match self.kind(page, page_tokens) {
            0 => (self.prompt_tokens, 0),
            _ => (page_tokens, page - prompt_pages + usize::from(prompt_pages > 0)),
        }
    }

    /// Outliers of K of a page, as indices of the stream.
    pub fn of_page(&self, page: usize) -> std::ops::Range<usize> {
        let end = self.starts.get(page + 1).map_or(self.outliers, |start| *start as usize);
        self.starts[page] as usize..end
    }

    /// Index (token in page * d + channel) and bits of the difference of outlier `i` of the stream.
    #[inline(always)]
    pub fn outlier(&self, arena: &Arena, i: usize) -> (usize, u16) {
        let at = i % STREAM_ENTRIES * OUTLIER_BYTES;
        let bytes = arena.bytes_of(self.stream[i / STREAM_ENTRIES], at, OUTLIER_BYTES);
        let half = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        (usize::from(half(0)), half(2))
    }
}

impl SparsePlan {
    /// Where the entry at `place`, which is not in the window, lies: (part, page, map, row, end of the run).
    #[inline(always)]
    pub fn run_at<'a>(
        &'a self,
        store: &'a SparseStore,
        page: &'a PageMap,
        place: usize,
        end: usize,
    ) -> (Part, PageId, &'a PageMap, usize, usize) {
        let head = self.sparse.head_tokens();
        if place < head {
            let id = store.head.expect("entries of the head have their page");
            return (Part::F16, id, &self.head, place, end.min(head));
        }
        let tokens = self.sparse.page_tokens();
        let part = Part::Sparse {
            bits: self.sparse.bits(),
        };
        (part, store.pages[place / tokens], page, place % tokens, end)
    }
}
