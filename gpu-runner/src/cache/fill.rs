//! What a forward does to the stores: prompt, append, drop, seal, and the pages for it.

use half::f16;

use super::layout::WINDOW_TOKENS;
use super::{KvCache, SeqId};
use crate::backend::cpu::seal::{self, SealJob, Tensor};
use crate::backend::cpu::Pool;
use crate::compress::{Budget, Selection, StepRule};
use crate::{Error, Result};

impl KvCache {
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
