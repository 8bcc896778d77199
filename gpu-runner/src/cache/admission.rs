//! A sequence's way in and out: the worst case is reserved before it starts, so that nothing is ever preempted.

use super::layout::WINDOW_TOKENS;
use super::pool::ClassId;
use super::stats;
use super::table::{Sequence, Store};
use super::{Held, KvCache, KvStats, SeqId};
use crate::compress::{Kept, PromptEnd};
use crate::Result;

impl KvCache {
    /// Pages and window pages that the stores of a layer can come to hold.
    fn worst_pages(&self, layer: usize, prompt: usize, max_new: usize) -> (usize, usize) {
        let (layout, heads) = (&self.plans[layer].layout, self.shape.kv_heads);
        let steps = max_new.saturating_sub(1);
        let pages = |n: usize| {
            let (k, v) = layout.paged(n);
            k.max(v).div_ceil(layout.page_tokens)
        };
        let windows = |n: usize| {
            // Drops in front of the window let its rows begin anywhere in a page.
            let spare = usize::from(self.eviction.is_some());
            layout.window_pages().min(n.div_ceil(WINDOW_TOKENS) + spare)
        };
        match self.most_held(layer, prompt, steps) {
            Held::Each(most) => (heads * pages(most), heads * windows(most)),
            Held::Total(_, most) => {
                let each = (prompt + steps).min(most);
                // However the total is shared out, each store wastes less than a page.
                let by_total = most.div_ceil(layout.page_tokens) + heads;
                (by_total.min(heads * pages(each)), heads * windows(each))
            }
        }
    }

    /// The most entries that stores of a layer hold at once.
    fn most_held(&self, layer: usize, prompt: usize, steps: usize) -> Held {
        let all = prompt + steps;
        let Some((evictor, eviction)) = self.compressor.evictor.as_ref().zip(self.eviction) else {
            return Held::Each(all);
        };
        let mut start = prompt;
        if eviction.at_prompt && prompt > eviction.budget {
            let at = PromptEnd {
                shape: self.shape,
                layer,
                prompt,
            };
            match evictor.method.kept(&evictor.params, at) {
                Kept::Each(kept) => start = kept.min(prompt),
                Kept::Total { least, most } => {
                    let grown = self.shape.kv_heads * steps;
                    return Held::Total(least + grown, most + grown);
                }
            }
        }
        // A prompt that nothing is dropped from stays until a selection is due.
        let most = eviction.budget.max(start).saturating_add(eviction.when.run(steps));
        Held::Each(most.min(start + steps))
    }

    /// Bytes beside pages: positions, sums and queries.
    fn worst_side(&self, prompt: usize, max_new: usize) -> usize {
        let Some(eviction) = self.eviction else {
            return 0;
        };
        let steps = max_new.saturating_sub(1);
        let per_entry = 4 + if eviction.sums_after_prompt() { 4 } else { 0 };
        let entries: usize = (0..self.shape.layers)
            .map(|layer| match self.most_held(layer, prompt, steps) {
                Held::Each(n) => n * self.shape.kv_heads,
                Held::Total(_, most) => most,
            })
            .sum();
        let ring = if eviction.queries_after_prompt() {
            eviction.reads.queries
        } else {
            0
        };
        entries * per_entry + ring * self.shape.layers * self.shape.q_heads * self.shape.head_dim * 2
    }

    /// Pages by class that a sequence can come to need.
    fn worst_case(&self, prompt: usize, max_new: usize) -> Vec<(ClassId, usize)> {
        let mut want: Vec<(ClassId, usize)> = vec![(self.window_class, 0)];
        for (layer, plan) in self.plans.iter().enumerate() {
            let (pages, window) = self.worst_pages(layer, prompt, max_new);
            want[0].1 += window;
            if plan.sparse.is_some() {
                continue;
            }
            match want.iter_mut().skip(1).find(|(class, _)| *class == plan.class) {
                Some((_, n)) => *n += pages,
                None => want.push((plan.class, pages)),
            }
        }
        want.extend(self.worst_sparse(prompt, max_new));
        want
    }

    /// Bytes that a sequence of this prompt and so many new tokens can come to hold.
    pub fn worst_case_bytes(&self, prompt: usize, max_new: usize) -> usize {
        let want = self.worst_case(prompt, max_new);
        let pages: usize = want.iter().map(|(class, n)| self.pages.page_bytes(*class) * n).sum();
        pages + self.worst_side(prompt, max_new)
    }

    /// Whether [`KvCache::admit`] would succeed now.
    pub fn fits(&self, prompt: usize, max_new: usize) -> bool {
        let want = self.worst_case(prompt, max_new);
        self.pages.fits(&want, self.worst_side(prompt, max_new))
    }

    /// Reserves the worst case of a sequence and opens its stores; `seed` is the sample's.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] with the bytes wanted and free.
    pub fn admit(&mut self, prompt: usize, max_new: usize, seed: u64) -> Result<SeqId> {
        let reserved = self.worst_case(prompt, max_new);
        let reserved_side = self.worst_side(prompt, max_new);
        self.pages.reserve(&reserved, reserved_side)?;
        let sequence = Sequence {
            stores: vec![Store::default(); self.shape.layers * self.shape.kv_heads],
            rings: Vec::new(),
            seed,
            prompt,
            reserved,
            reserved_side,
            pages_bytes: 0,
            side_bytes: 0,
            bytes_peak: 0,
            stream_pages: 0,
            overflown: false,
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
            self.give_sparse(i / self.shape.kv_heads, &store.sparse);
            let class = self.plans[i / self.shape.kv_heads].class;
            store.pages.iter().for_each(|page| self.pages.give(class, *page));
            store
                .window
                .pages
                .iter()
                .for_each(|page| self.pages.give(self.window_class, *page));
        }
        self.pages.unreserve(&sequence.reserved, sequence.reserved_side);
    }
}
