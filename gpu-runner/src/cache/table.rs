//! Page tables: what each (sequence, layer, kv head) holds, and where.
//!
//! Ids and counts only. A *place* is where an entry lies: place p is row p mod P of page p / P. Places equal ranks
//! until a ring starts to reuse them; from then on `newest` says where the ring stands.

use std::collections::VecDeque;

use super::layout::WINDOW_TOKENS;
use super::pool::PageId;

/// The f16 tail: entry t is row t mod 64 of the page for t / 64. Pages that hold no entry go back to the pool.
#[derive(Debug, Default, Clone)]
pub struct Window {
    /// Pages in order of entries.
    pub pages: VecDeque<PageId>,
    /// Which t / 64 the first page is for.
    pub first: usize,
}

impl Window {
    /// Page and row of entry t.
    ///
    /// # Panics
    /// If the entry is not in the window.
    pub fn at(&self, t: usize) -> (PageId, usize) {
        (self.pages[t / WINDOW_TOKENS - self.first], t % WINDOW_TOKENS)
    }
}

/// The entries of one kv head of one layer of one sequence.
#[derive(Debug, Default, Clone)]
pub struct Store {
    /// Entries held.
    pub n: usize,
    /// Entries that entered since the sequence began.
    pub seen: usize,
    /// Entries 0.. whose K lies in pages.
    pub k_paged: usize,
    /// Entries 0.. whose V lies in pages.
    pub v_paged: usize,
    /// Pages, by place / page_tokens.
    pub pages: Vec<PageId>,
    /// The f16 tail of layouts that have one.
    pub window: Window,
    /// The place that a dropped entry left, which the next token takes.
    pub hole: Option<usize>,
    /// Place of the newest entry.
    pub newest: usize,
    /// Entries dropped.
    pub dropped: usize,
    /// Selections that dropped something.
    pub selections: usize,
    /// Decode forward of the first drop, 0 = after the prompt.
    pub first_drop: Option<usize>,
    /// Per entry, how often K and V were sealed; filled only while seals are audited.
    pub seals: Vec<[u8; 2]>,
}

impl Store {
    /// Places in use, a hole counted. Attention reads places 0..n: by then an append has filled the hole.
    pub fn places(&self) -> usize {
        self.n + usize::from(self.hole.is_some())
    }

    /// Slot (rank among the kept entries) of a place in a store without a hole whose ring begins behind `sinks`.
    pub fn slot(&self, place: usize, sinks: usize) -> usize {
        let last = self.n - 1;
        if place < sinks || self.newest == last {
            return place;
        }
        // The ring is sinks..=last, and its oldest entry follows the newest.
        let length = last + 1 - sinks;
        sinks + (place + length - (self.newest + 1)) % length
    }

    pub(super) fn drop_one(&mut self, place: usize, forward: usize) {
        self.n -= 1;
        self.hole = Some(place);
        self.note_drop(1, forward);
    }

    pub(super) fn note_drop(&mut self, entries: usize, forward: usize) {
        self.dropped += entries;
        self.selections += 1;
        self.first_drop.get_or_insert(forward);
    }

    pub(super) fn note_seal(&mut self, tensor: usize, entries: std::ops::Range<usize>) {
        if self.seals.len() < entries.end {
            self.seals.resize(entries.end, [0; 2]);
        }
        for entry in entries {
            self.seals[entry][tensor] += 1;
        }
    }
}

/// One sequence: its stores and its account.
#[derive(Debug)]
pub struct Sequence {
    /// [layers, kv_heads].
    pub stores: Vec<Store>,
    /// Tokens of the prompt.
    pub prompt: usize,
    /// What admission reserved, per layer: pages and window pages of a store.
    pub reserved: Vec<(usize, usize)>,
    /// Bytes allocated now.
    pub bytes: usize,
    /// The most of `bytes` so far.
    pub bytes_peak: usize,
    /// Values clamped to the range of f16 on store.
    pub clamped: u64,
}
