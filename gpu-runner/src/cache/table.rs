//! Page tables: what each (sequence, layer, kv head) holds, and where.
//!
//! Ids, counts and the small arrays that go with entries: original positions, attention sums, queries. A *place* is the
//! index of an entry: of those in pages, place p is row p mod P of page p / P; those of an f16 window follow. Places equal
//! ranks until a dropped entry's place is reused; under slot positions that is a ring, and `newest` says where it stands.

use std::collections::VecDeque;

use half::f16;

use super::layout::WINDOW_TOKENS;
use super::pool::{ClassId, PageId};
use super::sparse::SparseStore;

/// The f16 tail: ticket t (a place plus the entries that were dropped in front of the window) is row t mod 64 of the page
/// for t / 64. Pages that hold no entry go back to the pool.
#[derive(Debug, Default, Clone)]
pub struct Window {
    /// Pages in order of entries.
    pub pages: VecDeque<PageId>,
    /// Which t / 64 the first page is for.
    pub first: usize,
    /// What is added to a place to get its ticket.
    pub shift: usize,
}

impl Window {
    /// Page and row of the entry at a place.
    ///
    /// # Panics
    /// If the entry is not in the window.
    pub fn at(&self, place: usize) -> (PageId, usize) {
        let t = place + self.shift;
        (self.pages[t / WINDOW_TOKENS - self.first], t % WINDOW_TOKENS)
    }
}

impl Window {
    /// The first ticket of the last page.
    pub(super) fn last_first(&self) -> Option<usize> {
        self.pages
            .len()
            .checked_sub(1)
            .map(|last| (self.first + last) * WINDOW_TOKENS)
    }
}

/// The entries of one kv head of one layer of one sequence.
#[derive(Debug, Default, Clone)]
pub struct Store {
    /// Entries held.
    pub n: usize,
    /// Entries that entered since the sequence began.
    pub seen: usize,
    /// Original positions by place; empty if nothing is ever dropped, when position = place.
    pub positions: Vec<u32>,
    /// Attention sums by place, for methods that read them after the prompt.
    pub sums: Vec<f32>,
    /// Entries that the selection at the prompt's end was to leave, if one was due.
    pub budget: Option<usize>,
    /// Entries 0.. whose K lies in pages.
    pub k_paged: usize,
    /// Entries 0.. whose V lies in pages.
    pub v_paged: usize,
    /// Pages, by place / page_tokens.
    pub pages: Vec<PageId>,
    /// Pages of methods with corrections, which have none of the others.
    pub sparse: SparseStore,
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
    /// By original position, how often K and V were sealed; filled only while seals are audited.
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

    /// Original position of the entry at a place.
    pub fn position(&self, place: usize) -> u32 {
        self.positions.get(place).copied().unwrap_or(place as u32)
    }

    /// Drops the entry at `victim`; the one at `last` takes its place, and those behind it move down by one.
    pub(super) fn swap_out(&mut self, victim: usize, last: usize) {
        self.positions[victim] = self.positions[last];
        self.positions.remove(last);
        if !self.sums.is_empty() {
            self.sums[victim] = self.sums[last];
            self.sums.remove(last);
        }
    }

    pub(super) fn drop_one(&mut self, place: usize, forward: usize) {
        self.n -= 1;
        self.hole = Some(place);
        self.note_drop(1, forward);
    }

    /// Bytes of positions and sums.
    pub(super) fn side_bytes(&self) -> usize {
        4 * (self.positions.len() + self.sums.len())
    }

    pub(super) fn note_drop(&mut self, entries: usize, forward: usize) {
        self.dropped += entries;
        self.selections += 1;
        self.first_drop.get_or_insert(forward);
    }

    pub(super) fn note_seal(&mut self, tensor: usize, places: std::ops::Range<usize>) {
        for place in places {
            let position = self.position(place) as usize;
            if self.seals.len() <= position {
                self.seals.resize(position + 1, [0; 2]);
            }
            self.seals[position][tensor] += 1;
        }
    }
}

/// The last queries of one layer, for methods that score by them after the prompt: a ring of [width] rows, f16.
#[derive(Debug, Default, Clone)]
pub struct QueryRing {
    rows: VecDeque<Vec<f16>>,
}

impl QueryRing {
    /// Keeps the last `most` rows.
    pub(super) fn push(&mut self, row: Vec<f16>, most: usize) {
        while self.rows.len() >= most.max(1) {
            self.rows.pop_front();
        }
        self.rows.push_back(row);
    }

    /// Bytes of the rows.
    pub(super) fn bytes(&self) -> usize {
        self.rows.iter().map(|row| row.len() * 2).sum()
    }

    /// All rows in f32, the oldest first.
    pub(super) fn wide(&self) -> Vec<f32> {
        self.rows.iter().flatten().map(|x| x.to_f32()).collect()
    }
}

/// One sequence: its stores and its account.
#[derive(Debug)]
pub struct Sequence {
    /// [layers, kv_heads].
    pub stores: Vec<Store>,
    /// Of every layer; empty for methods that read no queries after the prompt.
    pub rings: Vec<QueryRing>,
    /// The sample's seed.
    pub seed: u64,
    /// Tokens of the prompt.
    pub prompt: usize,
    /// Pages reserved, by class; a class may come more than once.
    pub reserved: Vec<(ClassId, usize)>,
    /// What admission reserved beside pages, in bytes.
    pub reserved_side: usize,
    /// Bytes of pages allocated now.
    pub pages_bytes: usize,
    /// Bytes beside pages now: positions, sums, queries.
    pub side_bytes: usize,
    /// The most of both so far.
    pub bytes_peak: usize,
    /// Pages of streams taken, of all stores.
    pub stream_pages: usize,
    /// Outliers found no room: the sample has failed.
    pub overflown: bool,
    /// Values clamped to the range of f16 on store.
    pub clamped: u64,
}

impl Sequence {
    /// Bytes of pages and of what lies beside them.
    pub fn bytes(&self) -> usize {
        self.pages_bytes + self.side_bytes
    }

    pub(super) fn note_peak(&mut self) {
        self.bytes_peak = self.bytes_peak.max(self.bytes());
    }
}
