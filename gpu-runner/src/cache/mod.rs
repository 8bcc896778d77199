//! The paged, compressed KV cache.
//!
//! One *store* per (sequence, layer, kv head), ragged from the start: pages that really hold packed codes, and an f16
//! window in front of them. The cache executes what a compressor declares; it knows no method by name. One engine
//! thread owns a cache; attention reads it from all threads in between. Refused: a contiguous cache per sequence
//! (evictors and ragged heads would copy it), and attention over a dequantised copy (it would hide a wrong scale).

pub mod dump;
mod layout;
mod pool;
mod stats;
mod table;

pub use layout::{Axis, Flush, KeyForm, Layout, PageMap, Part, ALIGN, WINDOW_TOKENS};
pub use pool::{ClassId, PageId, PagePool, SLAB};
pub use stats::{expected, witness, Expected, KvStats};
pub use table::{Sequence, Store, Window};

use std::sync::Arc;

use half::f16;

use crate::backend::cpu::arena::Arena;
use crate::backend::cpu::seal::{self, SealJob, Tensor};
use crate::backend::cpu::{Isa, Pool};
use crate::compress::{Budget, Resolved, Selection, StepRule};
use crate::model::rope::Rope;
use crate::model::Shape;
use crate::{Error, Result};

/// A running sequence of one cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SeqId(usize);

/// What is fixed for a layer when the cache is made.
#[derive(Debug)]
pub struct LayerPlan {
    /// How entries lie.
    pub layout: Layout,
    /// Offsets in a page.
    pub page: PageMap,
    /// Protected first tokens, for slots.
    pub sinks: usize,
    budget: Budget,
    class: ClassId,
}

/// The cache of one cell.
pub struct KvCache {
    shape: Shape,
    compressor: Resolved,
    plans: Vec<LayerPlan>,
    window: PageMap,
    window_class: ClassId,
    pages: PagePool,
    arena: Arena,
    rope: Arc<Rope>,
    isa: Isa,
    sequences: Vec<Option<Sequence>>,
    audit_seals: bool,
}

impl KvCache {
    /// An empty cache that never holds more than `limit_bytes` of pages (whole slabs of 2 MiB).
    ///
    /// # Errors
    /// A head dimension without kernels, or one that the compressor refuses.
    pub fn new(shape: Shape, compressor: &Resolved, rope: Arc<Rope>, isa: Isa, limit_bytes: usize) -> Result<KvCache> {
        if !matches!(shape.head_dim, 64 | 128) {
            let text = format!(
                "head dimension {} has no attention kernel; 64 and 128 have",
                shape.head_dim
            );
            return Err(Error::Unsupported(text));
        }
        if shape.kv_heads == 0 || !shape.q_heads.is_multiple_of(shape.kv_heads) {
            let text = format!(
                "{} query heads do not divide among {} kv heads",
                shape.q_heads, shape.kv_heads
            );
            return Err(Error::Unsupported(text));
        }
        compressor.method.check(&compressor.params, Some(shape))?;
        let mut pages = PagePool::new(limit_bytes);
        let window = Layout::window_page(shape.head_dim);
        let window_class = pages.class(window.bytes)?;
        let plans = (0..shape.layers)
            .map(|layer| {
                let layout = compressor.method.layout(&compressor.params, layer, shape);
                let budget = compressor.method.budget(&compressor.params, layer);
                if layout.has_window() && (layout.positions || layout.key_form == KeyForm::PreRope) {
                    let text = "a window carries neither positions nor keys before RoPE".to_owned();
                    return Err(Error::Internal(text));
                }
                let page = layout.page(shape.head_dim);
                let sinks = match budget {
                    Budget::Tokens { sinks, .. } => sinks,
                    Budget::Unlimited => 0,
                };
                let class = pages.class(page.bytes)?;
                Ok(LayerPlan {
                    layout,
                    page,
                    sinks,
                    budget,
                    class,
                })
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(KvCache {
            shape,
            compressor: compressor.clone(),
            plans,
            window,
            window_class,
            pages,
            arena: Arena::default(),
            rope,
            isa,
            sequences: Vec::new(),
            audit_seals: false,
        })
    }

    /// The shape it was made for.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The plan of a layer.
    pub fn plan(&self, layer: usize) -> &LayerPlan {
        &self.plans[layer]
    }

    /// Which K [`KvCache::prefill_layer`] and [`KvCache::append`] take.
    pub fn key_form(&self) -> KeyForm {
        self.plans.first().map_or(KeyForm::PostRope, |p| p.layout.key_form)
    }

    /// The rotation that slot positions are read with.
    pub fn rope(&self) -> &Rope {
        &self.rope
    }

    /// Offsets in a page of the window.
    pub fn window_map(&self) -> &PageMap {
        &self.window
    }

    /// The bytes of pages.
    pub fn arena(&self) -> &Arena {
        &self.arena
    }

    /// The hard limit and what is left of it, in bytes.
    pub fn limit_and_free_bytes(&self) -> (usize, usize) {
        (self.pages.limit_bytes(), self.pages.free_bytes())
    }

    /// Pages that sequences hold now: 0 when all are released.
    pub fn live_pages(&self) -> usize {
        self.pages.live_pages()
    }

    /// Counts every seal from now on, so that a test can see that no entry is sealed twice.
    pub fn audit_seals(&mut self) {
        self.audit_seals = true;
    }

    /// A store.
    ///
    /// # Panics
    /// If the sequence was released.
    pub fn store(&self, seq: SeqId, layer: usize, head: usize) -> &Store {
        &self.sequence(seq).stores[layer * self.shape.kv_heads + head]
    }

    /// The index to rotate the next token's query with, and its K where keys are stored rotated: tokens seen, or under
    /// slot positions the entries held before the append.
    pub fn query_position(&self, seq: SeqId, layer: usize) -> usize {
        let store = self.store(seq, layer, 0);
        match self.plans[layer].layout.key_form {
            KeyForm::PostRope => store.seen,
            KeyForm::PreRope => store.n,
        }
    }

    /// Tokens that entered the cache of a sequence.
    pub fn seen(&self, seq: SeqId) -> usize {
        self.sequence(seq).stores.last().map_or(0, |s| s.seen)
    }

    /// Pages and window pages that one store of a layer can come to hold.
    fn worst_pages(&self, layer: usize, prompt: usize, max_new: usize) -> (usize, usize) {
        let plan = &self.plans[layer];
        let seen = prompt + max_new.saturating_sub(1);
        let kept = |n: usize| plan.budget.entries().map_or(n, |c| n.min(c));
        let selects = self.compressor.method.after_prefill(&self.compressor.params) != Selection::KeepAll;
        let start = if selects { kept(prompt) } else { prompt };
        let most = match self.compressor.method.after_step(&self.compressor.params) {
            StepRule::Nothing => start + seen - prompt,
            // The token of the current step comes on top of the budget.
            StepRule::Ring => (start + seen - prompt).min(kept(usize::MAX).saturating_add(1)),
        };
        let (k, v) = plan.layout.paged(most);
        let window = plan.layout.window_pages().min(most.div_ceil(WINDOW_TOKENS));
        (k.max(v).div_ceil(plan.layout.page_tokens), window)
    }

    /// Pages by class that a sequence can come to need.
    fn worst_case(&self, per_layer: &[(usize, usize)]) -> Vec<(ClassId, usize)> {
        let mut want: Vec<(ClassId, usize)> = vec![(self.window_class, 0)];
        for (plan, (pages, window)) in self.plans.iter().zip(per_layer) {
            want[0].1 += window * self.shape.kv_heads;
            let pages = pages * self.shape.kv_heads;
            match want.iter_mut().skip(1).find(|(class, _)| *class == plan.class) {
                Some((_, n)) => *n += pages,
                None => want.push((plan.class, pages)),
            }
        }
        want
    }

    fn layer_pages(&self, prompt: usize, max_new: usize) -> Vec<(usize, usize)> {
        (0..self.shape.layers)
            .map(|l| self.worst_pages(l, prompt, max_new))
            .collect()
    }

    /// Bytes of pages that a sequence of this prompt and so many new tokens can come to hold.
    pub fn worst_case_bytes(&self, prompt: usize, max_new: usize) -> usize {
        let want = self.worst_case(&self.layer_pages(prompt, max_new));
        want.iter().map(|(class, n)| self.pages.page_bytes(*class) * n).sum()
    }

    /// Whether [`KvCache::admit`] would succeed now.
    pub fn fits(&self, prompt: usize, max_new: usize) -> bool {
        self.pages.fits(&self.worst_case(&self.layer_pages(prompt, max_new)))
    }

    /// Reserves the worst case of a sequence and opens its stores.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] with the bytes wanted and free.
    pub fn admit(&mut self, prompt: usize, max_new: usize) -> Result<SeqId> {
        let reserved = self.layer_pages(prompt, max_new);
        self.pages.reserve(&self.worst_case(&reserved))?;
        let sequence = Sequence {
            stores: vec![Store::default(); self.shape.layers * self.shape.kv_heads],
            prompt,
            reserved,
            bytes: 0,
            bytes_peak: 0,
            clamped: 0,
        };
        let free = self.sequences.iter().position(Option::is_none);
        let at = free.unwrap_or_else(|| {
            self.sequences.push(None);
            self.sequences.len() - 1
        });
        self.sequences[at] = Some(sequence);
        Ok(SeqId(at))
    }

    /// Adds to a sequence's count of values clamped to +-65504 on store.
    pub fn add_clamped(&mut self, seq: SeqId, clamped: u64) {
        self.sequence_mut(seq).clamped += clamped;
    }

    /// Takes the whole prompt of one layer: k, v [T, kv_heads, head_dim] f16, K in [`KvCache::key_form`]. Drops what
    /// the compressor drops after a prompt, seals what is due, keeps the rest.
    ///
    /// # Errors
    /// [`Error::Internal`] if lengths do not fit what was admitted.
    pub fn prefill_layer(&mut self, pool: &Pool, seq: SeqId, layer: usize, k: &[f16], v: &[f16]) -> Result<()> {
        let (heads, d) = (self.shape.kv_heads, self.shape.head_dim);
        let prompt = self.sequence(seq).prompt;
        if k.len() != prompt * heads * d || v.len() != k.len() {
            let text = format!(
                "prefill of layer {layer} got {} values of K, {} of V for {prompt} tokens",
                k.len(),
                v.len()
            );
            return Err(Error::Internal(text));
        }
        // Kept are entries 0..sinks and from `tail` on.
        let (sinks, tail) = self.keep_after_prompt(layer, prompt);
        let held = sinks + prompt - tail;
        let token = |place: usize| if place < sinks { place } else { place - sinks + tail };
        let (k_paged, v_paged) = self.plans[layer].layout.paged(held);
        let mut jobs = Vec::new();
        for head in 0..heads {
            self.grow_pages(seq, layer, head, k_paged.max(v_paged))?;
            self.grow_window(seq, layer, head, k_paged.min(v_paged), held)?;
            let tracked = self.audit_seals;
            let plan = &self.plans[layer];
            let sequence = self.sequences[seq.0].as_mut().expect("checked by `sequence`");
            let store = &mut sequence.stores[layer * heads + head];
            (store.n, store.seen, store.k_paged, store.v_paged) = (held, prompt, k_paged, v_paged);
            store.newest = held.saturating_sub(1);
            if held < prompt {
                store.note_drop(prompt - held, 0);
            }
            if tracked {
                store.note_seal(0, 0..k_paged);
                store.note_seal(1, 0..v_paged);
            }
            SealJob::split(&mut jobs, store, plan.layout.page_tokens, head, Tensor::K, 0..k_paged);
            SealJob::split(&mut jobs, store, plan.layout.page_tokens, head, Tensor::V, 0..v_paged);
            for place in k_paged.min(v_paged)..held {
                let (page, row) = store.window.at(place);
                let from = (token(place) * heads + head) * d;
                self.arena
                    .f16_of_mut(page, self.window.k_codes + row * d * 2, d)
                    .copy_from_slice(&k[from..from + d]);
                self.arena
                    .f16_of_mut(page, self.window.v_codes + row * d * 2, d)
                    .copy_from_slice(&v[from..from + d]);
            }
            if plan.layout.positions {
                for place in 0..held {
                    let page = store.pages[place / plan.layout.page_tokens];
                    let at = plan.page.positions + place % plan.layout.page_tokens * 4;
                    self.arena.set_u32(page, at, token(place) as u32);
                }
            }
        }
        let row = |job: &SealJob, place: usize| {
            let from = (token(place) * heads + job.head) * d;
            match job.tensor {
                Tensor::K => &k[from..from + d],
                Tensor::V => &v[from..from + d],
            }
        };
        let plan = &self.plans[layer];
        seal::run(
            pool,
            self.isa,
            &mut self.arena,
            &plan.layout,
            &plan.page,
            d,
            &jobs,
            &row,
        );
        Ok(())
    }

    fn keep_after_prompt(&self, layer: usize, prompt: usize) -> (usize, usize) {
        match (
            self.compressor.method.after_prefill(&self.compressor.params),
            self.plans[layer].budget,
        ) {
            (Selection::Positions, Budget::Tokens { sinks, recent }) if prompt > sinks + recent => {
                (sinks, prompt - recent)
            }
            _ => (0, 0),
        }
    }

    /// Appends one token's K and V to a layer: k, v [kv_heads, head_dim] f16, K in [`KvCache::key_form`].
    ///
    /// # Errors
    /// [`Error::Internal`] if the sequence outgrows what was admitted.
    pub fn append(&mut self, seq: SeqId, layer: usize, k: &[f16], v: &[f16]) -> Result<()> {
        let (heads, d) = (self.shape.kv_heads, self.shape.head_dim);
        for head in 0..heads {
            let store = self.store(seq, layer, head);
            let place = store.hole.unwrap_or(store.n);
            let windowed = self.plans[layer].layout.has_window();
            if windowed {
                let first = store.k_paged.min(store.v_paged);
                self.grow_window(seq, layer, head, first, place + 1)?;
            } else {
                self.grow_pages(seq, layer, head, place + 1)?;
            }
            let plan = &self.plans[layer];
            let sequence = self.sequences[seq.0].as_mut().expect("checked by `sequence`");
            let store = &mut sequence.stores[layer * heads + head];
            let (map, (page, row)) = match windowed {
                true => (&self.window, store.window.at(place)),
                false => (
                    &plan.page,
                    (
                        store.pages[place / plan.layout.page_tokens],
                        place % plan.layout.page_tokens,
                    ),
                ),
            };
            let values = head * d..(head + 1) * d;
            self.arena
                .f16_of_mut(page, map.k_codes + row * d * 2, d)
                .copy_from_slice(&k[values.clone()]);
            self.arena
                .f16_of_mut(page, map.v_codes + row * d * 2, d)
                .copy_from_slice(&v[values]);
            if plan.layout.positions {
                self.arena.set_u32(page, map.positions + row * 4, store.seen as u32);
            }
            if !windowed {
                (store.k_paged, store.v_paged) = (store.k_paged.max(place + 1), store.v_paged.max(place + 1));
            }
            store.hole = None;
            store.newest = place;
            store.n += 1;
            store.seen += 1;
        }
        Ok(())
    }

    /// After attention of a decode step in one layer: drops and seals what is due in these sequences.
    ///
    /// # Errors
    /// [`Error::Internal`] if the sequence outgrows what was admitted.
    pub fn after_step(&mut self, pool: &Pool, layer: usize, seqs: &[SeqId]) -> Result<()> {
        let rule = self.compressor.method.after_step(&self.compressor.params);
        if let (StepRule::Ring, Budget::Tokens { sinks, recent }) = (rule, self.plans[layer].budget) {
            for seq in seqs {
                self.drop_oldest(*seq, layer, sinks, recent);
            }
        }
        if self.plans[layer].layout.has_window() {
            self.seal_due(pool, layer, seqs)?;
        }
        Ok(())
    }

    fn drop_oldest(&mut self, seq: SeqId, layer: usize, sinks: usize, recent: usize) {
        let heads = self.shape.kv_heads;
        let sequence = self.sequence_mut(seq);
        let prompt = sequence.prompt;
        for store in &mut sequence.stores[layer * heads..(layer + 1) * heads] {
            if store.n > sinks + recent {
                let next = store.newest + 1;
                let victim = if next < store.n { next } else { sinks };
                let forward = store.seen - prompt;
                store.drop_one(victim, forward);
            }
        }
    }

    fn seal_due(&mut self, pool: &Pool, layer: usize, seqs: &[SeqId]) -> Result<()> {
        let (heads, d) = (self.shape.kv_heads, self.shape.head_dim);
        let mut jobs = Vec::new();
        let mut windows = Vec::new();
        for &seq in seqs {
            for head in 0..heads {
                let store = self.store(seq, layer, head);
                let (k, v) = self.plans[layer].layout.paged(store.n);
                if (k, v) == (store.k_paged, store.v_paged) {
                    continue;
                }
                self.grow_pages(seq, layer, head, k.max(v))?;
                let tracked = self.audit_seals;
                let tokens = self.plans[layer].layout.page_tokens;
                let sequence = self.sequences[seq.0].as_mut().expect("checked by `sequence`");
                let store = &mut sequence.stores[layer * heads + head];
                if tracked {
                    store.note_seal(0, store.k_paged..k);
                    store.note_seal(1, store.v_paged..v);
                }
                // Jobs of one store name it by the index of its window, so that rows are found without the table.
                SealJob::split(&mut jobs, store, tokens, windows.len(), Tensor::K, store.k_paged..k);
                SealJob::split(&mut jobs, store, tokens, windows.len(), Tensor::V, store.v_paged..v);
                windows.push((seq, head, store.window.clone()));
                (store.k_paged, store.v_paged) = (k, v);
            }
        }
        let plan = &self.plans[layer];
        let locate = |job: &SealJob, place: usize| {
            let (page, row) = windows[job.head].2.at(place);
            let map = &self.window;
            (
                page,
                row * d * 2
                    + if job.tensor == Tensor::K {
                        map.k_codes
                    } else {
                        map.v_codes
                    },
            )
        };
        seal::run_in_arena(
            pool,
            self.isa,
            &mut self.arena,
            &plan.layout,
            &plan.page,
            d,
            &jobs,
            &locate,
        );
        for (seq, head, _) in windows {
            let store = self.store(seq, layer, head);
            let first = store.k_paged.min(store.v_paged);
            self.shrink_window(seq, layer, head, first);
        }
        Ok(())
    }

    /// Ends a sequence: its pages go back, and its account is closed.
    ///
    /// # Errors
    /// `witness_failed` if the compressor did not do what it had to. The pages are back in the pool all the same.
    pub fn release(&mut self, seq: SeqId) -> Result<KvStats> {
        let stats = KvStats::of(self.sequence(seq), self.shape, &self.plans);
        let witness = stats::check(self.sequence(seq), &self.compressor, self.shape, &self.plans);
        self.discard(seq);
        witness.map(|()| stats)
    }

    /// The account of a running sequence, as [`KvCache::release`] would give it now.
    pub fn stats(&self, seq: SeqId) -> KvStats {
        KvStats::of(self.sequence(seq), self.shape, &self.plans)
    }

    /// Ends a sequence that failed or was cancelled at any point: its pages go back, nothing is checked.
    pub fn discard(&mut self, seq: SeqId) {
        let sequence = self.sequences[seq.0].take().expect("a sequence is released once");
        for (i, store) in sequence.stores.iter().enumerate() {
            let class = self.plans[i / self.shape.kv_heads].class;
            store.pages.iter().for_each(|page| self.pages.give(class, *page));
            store
                .window
                .pages
                .iter()
                .for_each(|page| self.pages.give(self.window_class, *page));
        }
        let want = self.worst_case(&sequence.reserved);
        self.pages.unreserve(&want);
    }

    /// Which tokens are held: per (layer, kv head) ceil(seen / 8) bytes, bit p mod 8 of byte p / 8 = token p.
    pub fn kept_bitmap(&self, seq: SeqId) -> Vec<u8> {
        let bytes = self.seen(seq).div_ceil(8);
        let mut bitmap = vec![0; bytes * self.shape.layers * self.shape.kv_heads];
        for (i, map) in bitmap.chunks_exact_mut(bytes.max(1)).enumerate() {
            for position in self.positions(seq, i / self.shape.kv_heads, i % self.shape.kv_heads) {
                map[position as usize / 8] |= 1 << (position % 8);
            }
        }
        bitmap
    }

    /// Original positions of a store's entries, ascending.
    pub fn positions(&self, seq: SeqId, layer: usize, head: usize) -> Vec<u32> {
        self.entries(seq, layer, head)
            .into_iter()
            .map(|(position, _)| position)
            .collect()
    }

    /// (original position, place) of a store's entries, by position.
    pub(crate) fn entries(&self, seq: SeqId, layer: usize, head: usize) -> Vec<(u32, usize)> {
        let (store, plan) = (self.store(seq, layer, head), &self.plans[layer]);
        if !plan.layout.positions {
            return (0..store.n).map(|place| (place as u32, place)).collect();
        }
        let tokens = plan.layout.page_tokens;
        let held = (0..store.places()).filter(|place| Some(*place) != store.hole);
        let mut entries: Vec<(u32, usize)> = held
            .map(|place| {
                let at = plan.page.positions + place % tokens * 4;
                (self.arena.u32_of(store.pages[place / tokens], at), place)
            })
            .collect();
        entries.sort_unstable();
        entries
    }

    fn sequence(&self, seq: SeqId) -> &Sequence {
        self.sequences[seq.0].as_ref().expect("the sequence is running")
    }

    fn sequence_mut(&mut self, seq: SeqId) -> &mut Sequence {
        self.sequences[seq.0].as_mut().expect("the sequence is running")
    }

    /// Makes pages for places 0..`places` of a store.
    fn grow_pages(&mut self, seq: SeqId, layer: usize, head: usize, places: usize) -> Result<()> {
        let plan = &self.plans[layer];
        let (class, need) = (plan.class, places.div_ceil(plan.layout.page_tokens));
        let bytes = plan.page.bytes;
        let sequence = self.sequences[seq.0].as_mut().expect("the sequence is running");
        let store = &mut sequence.stores[layer * self.shape.kv_heads + head];
        while store.pages.len() < need {
            let page = self.pages.take(class)?;
            self.arena.cover(page);
            store.pages.push(page);
            sequence.bytes += bytes;
        }
        sequence.bytes_peak = sequence.bytes_peak.max(sequence.bytes);
        Ok(())
    }

    /// Makes the window of a store hold entries `first..end`.
    fn grow_window(&mut self, seq: SeqId, layer: usize, head: usize, first: usize, end: usize) -> Result<()> {
        let (class, bytes) = (self.window_class, self.window.bytes);
        let sequence = self.sequences[seq.0].as_mut().expect("the sequence is running");
        let window = &mut sequence.stores[layer * self.shape.kv_heads + head].window;
        if window.pages.is_empty() {
            window.first = first / WINDOW_TOKENS;
        }
        while first < end && (window.first + window.pages.len()) * WINDOW_TOKENS < end {
            let page = self.pages.take(class)?;
            self.arena.cover(page);
            window.pages.push_back(page);
            sequence.bytes += bytes;
        }
        sequence.bytes_peak = sequence.bytes_peak.max(sequence.bytes);
        Ok(())
    }

    /// Gives back the pages of the window before entry `first`, and the last one if no entry is left.
    fn shrink_window(&mut self, seq: SeqId, layer: usize, head: usize, first: usize) {
        let (class, bytes) = (self.window_class, self.window.bytes);
        let sequence = self.sequences[seq.0].as_mut().expect("the sequence is running");
        let store = &mut sequence.stores[layer * self.shape.kv_heads + head];
        let empty = first == store.n;
        while let Some(&page) = store.window.pages.front() {
            if !empty && (store.window.first + 1) * WINDOW_TOKENS > first {
                break;
            }
            store.window.pages.pop_front();
            store.window.first += 1;
            self.pages.give(class, page);
            sequence.bytes -= bytes;
        }
    }
}
