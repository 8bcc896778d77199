//! How entries enter the stores: a prompt, a token, and the pages for them.

use half::f16;

use super::layout::WINDOW_TOKENS;
use super::{KvCache, Observed, SeqId};
use crate::backend::cpu::seal::{self, SealJob, Tensor};
use crate::backend::cpu::Pool;
use crate::{Error, Result};

impl KvCache {
    /// Takes the whole prompt of one layer: k, v [T, kv_heads, head_dim] f16, K in [`KvCache::key_form`]. Drops what
    /// the compressor drops after a prompt, seals what is due, keeps the rest.
    ///
    /// # Errors
    /// [`Error::Internal`] if lengths do not fit what was admitted; [`Error::Numeric`] for a score that is NaN.
    pub fn prefill_layer(
        &mut self,
        pool: &Pool,
        seq: SeqId,
        layer: usize,
        k: &[f16],
        v: &[f16],
        observed: &Observed,
    ) -> Result<()> {
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
        if self.plans[layer].sparse.is_some() {
            return self.prefill_sparse(pool, seq, layer, k, v);
        }
        // Tokens that stay, ascending, per head; `None` for all of them.
        let kept = self.keep_after_prompt(pool, seq, layer, k, v, observed)?;
        let token = |head: usize, place: usize| match &kept {
            Some(kept) => kept[head][place] as usize,
            None => place,
        };
        let tracks = self.eviction.is_some();
        let sums = self.eviction.is_some_and(|e| e.sums_after_prompt());
        let mut jobs = Vec::new();
        for head in 0..heads {
            let held = kept.as_ref().map_or(prompt, |kept| kept[head].len());
            let (k_paged, v_paged) = self.plans[layer].layout.paged(held);
            self.grow_pages(seq, layer, head, k_paged.max(v_paged))?;
            self.grow_window(seq, layer, head, k_paged.min(v_paged), held)?;
            let audited = self.audit_seals;
            let plan = &self.plans[layer];
            let sequence = self.sequences[seq.0].as_mut().expect("checked by `sequence`");
            let store = &mut sequence.stores[layer * heads + head];
            (store.n, store.seen, store.k_paged, store.v_paged) = (held, prompt, k_paged, v_paged);
            store.newest = held.saturating_sub(1);
            store.budget = kept.as_ref().map(|_| held);
            if held < prompt {
                store.note_drop(prompt - held, 0);
            }
            if tracks {
                store.positions = (0..held).map(|place| token(head, place) as u32).collect();
            }
            if audited {
                store.note_seal(0, 0..k_paged);
                store.note_seal(1, 0..v_paged);
            }
            if sums {
                store.sums = (0..held)
                    .map(|place| observed.sums[head * prompt + token(head, place)])
                    .collect();
            }
            sequence.side_bytes += store.side_bytes();
            SealJob::split(&mut jobs, store, plan.layout.page_tokens, head, Tensor::K, 0..k_paged);
            SealJob::split(&mut jobs, store, plan.layout.page_tokens, head, Tensor::V, 0..v_paged);
            for place in k_paged.min(v_paged)..held {
                let (page, row) = store.window.at(place);
                let from = (token(head, place) * heads + head) * d;
                self.arena
                    .f16_of_mut(page, self.window.k_codes + row * d * 2, d)
                    .copy_from_slice(&k[from..from + d]);
                self.arena
                    .f16_of_mut(page, self.window.v_codes + row * d * 2, d)
                    .copy_from_slice(&v[from..from + d]);
            }
        }
        let row = |job: &SealJob, place: usize| {
            let from = (token(job.head, place) * heads + job.head) * d;
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
        self.keep_prompt_queries(seq, layer, observed);
        self.sequence_mut(seq).note_peak();
        Ok(())
    }

    /// Appends one token's K and V to a layer: k, v [kv_heads, head_dim] f16, K in [`KvCache::key_form`].
    ///
    /// # Errors
    /// [`Error::Internal`] if the sequence outgrows what was admitted.
    pub fn append(&mut self, seq: SeqId, layer: usize, k: &[f16], v: &[f16]) -> Result<()> {
        let (heads, d) = (self.shape.kv_heads, self.shape.head_dim);
        let tracks = self.eviction.is_some();
        let sums = self.eviction.is_some_and(|e| e.sums_after_prompt());
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
            if !windowed {
                (store.k_paged, store.v_paged) = (store.k_paged.max(place + 1), store.v_paged.max(place + 1));
            }
            let before = store.side_bytes();
            if tracks {
                put(&mut store.positions, place, store.seen as u32);
            }
            if sums {
                put(&mut store.sums, place, 0.0);
            }
            sequence.side_bytes += store.side_bytes() - before;
            store.hole = None;
            store.newest = place;
            store.n += 1;
            store.seen += 1;
        }
        self.sequence_mut(seq).note_peak();
        Ok(())
    }

    /// Makes pages for places 0..`places` of a store.
    pub(super) fn grow_pages(&mut self, seq: SeqId, layer: usize, head: usize, places: usize) -> Result<()> {
        let plan = &self.plans[layer];
        let (class, need) = (plan.class, places.div_ceil(plan.layout.page_tokens));
        let bytes = plan.page.bytes;
        let sequence = self.sequences[seq.0].as_mut().expect("the sequence is running");
        let store = &mut sequence.stores[layer * self.shape.kv_heads + head];
        while store.pages.len() < need {
            let page = self.pages.take(class)?;
            self.arena.cover(page);
            store.pages.push(page);
            sequence.pages_bytes += bytes;
        }
        sequence.note_peak();
        Ok(())
    }

    /// Makes the window of a store hold entries `first..end`.
    pub(super) fn grow_window(
        &mut self,
        seq: SeqId,
        layer: usize,
        head: usize,
        first: usize,
        end: usize,
    ) -> Result<()> {
        let (class, bytes) = (self.window_class, self.window.bytes);
        let sequence = self.sequences[seq.0].as_mut().expect("the sequence is running");
        let window = &mut sequence.stores[layer * self.shape.kv_heads + head].window;
        let (first, end) = (first + window.shift, end + window.shift);
        if window.pages.is_empty() {
            window.first = first / WINDOW_TOKENS;
        }
        while first < end && (window.first + window.pages.len()) * WINDOW_TOKENS < end {
            let page = self.pages.take(class)?;
            self.arena.cover(page);
            window.pages.push_back(page);
            sequence.pages_bytes += bytes;
        }
        sequence.note_peak();
        Ok(())
    }

    /// Gives back the pages of the window before entry `first`, and the last one if no entry is left.
    pub(super) fn shrink_window(&mut self, seq: SeqId, layer: usize, head: usize, first: usize) {
        let (class, bytes) = (self.window_class, self.window.bytes);
        let sequence = self.sequences[seq.0].as_mut().expect("the sequence is running");
        let store = &mut sequence.stores[layer * self.shape.kv_heads + head];
        let empty = first == store.n;
        let first = first + store.window.shift;
        while let Some(&page) = store.window.pages.front() {
            if !empty && (store.window.first + 1) * WINDOW_TOKENS > first {
                break;
            }
            store.window.pages.pop_front();
            store.window.first += 1;
            self.pages.give(class, page);
            sequence.pages_bytes -= bytes;
        }
    }
}

/// Sets element `at`, which exists or is the next.
fn put<T>(list: &mut Vec<T>, at: usize, value: T) {
    match list.get_mut(at) {
        Some(old) => *old = value,
        None => list.push(value),
    }
}
