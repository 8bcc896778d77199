//! A sequence's way in and out: the worst case is reserved before it starts, so that nothing is ever preempted.

use super::layout::WINDOW_TOKENS;
use super::pool::ClassId;
use super::stats;
use super::table::{Sequence, Store};
use super::{KvCache, KvStats, SeqId};
use crate::compress::{Selection, StepRule};
use crate::Result;

impl KvCache {
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
}
