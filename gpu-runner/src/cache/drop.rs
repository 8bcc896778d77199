//! Dropping entries: the selection at a prompt's end, and those after decode forwards.

use half::f16;

use super::{KvCache, Observed, SeqId, Watched};
use crate::backend::cpu::scores::CpuKernels;
use crate::backend::cpu::Pool;
use crate::compress::select::{select, Rule};
use crate::compress::{Eviction, PromptEnd, View, When};
use crate::{Error, Result};

impl KvCache {
    /// The tokens of a prompt that stay, ascending, per kv head; `None` if no selection is due.
    pub(super) fn keep_after_prompt(
        &self,
        pool: &Pool,
        seq: SeqId,
        layer: usize,
        k: &[f16],
        v: &[f16],
        observed: &Observed,
    ) -> Result<Option<Vec<Vec<u32>>>> {
        let prompt = self.sequence(seq).prompt;
        let Some((evictor, eviction)) = self.compressor.evictor.as_ref().zip(self.eviction) else {
            return Ok(None);
        };
        if !eviction.at_prompt || prompt <= eviction.budget {
            return Ok(None);
        }
        let kernels = CpuKernels {
            pool: Some(pool),
            isa: self.isa,
        };
        let positions: Vec<u32> = (0..prompt as u32).collect();
        let queries: Vec<f32> = observed.queries.iter().map(|x| x.to_f32()).collect();
        let weights = self.prompt_weights(&kernels, eviction, k, &queries);
        let view = View {
            shape: self.shape,
            layer,
            seed: self.sequence(seq).seed,
            seen: prompt,
            heads: self.prompt_heads(eviction, &positions, k, v, observed, &weights),
            queries: &queries,
            kernels: &kernels,
        };
        let scores = evictor.method.score(&evictor.params, &view);
        let at = PromptEnd {
            shape: self.shape,
            layer,
            prompt,
        };
        let budgets = evictor.method.share(&evictor.params, at, &scores);
        let mut kept: Vec<Vec<u32>> = Vec::with_capacity(self.shape.kv_heads);
        for (head, budget) in budgets.into_iter().enumerate() {
            if eviction.one_set && head > 0 {
                kept.push(kept[0].clone());
                continue;
            }
            let stays = select(rule(eviction, budget), &positions, &scores[head]).ok_or_else(nan)?;
            kept.push(stays.into_iter().map(|i| i as u32).collect());
        }
        Ok(Some(kept))
    }

    /// After attention of a decode step in one layer: observes, drops and seals what is due in these sequences. Returns
    /// the rows of `seqs` with a score that is NaN; nothing was dropped there.
    ///
    /// # Errors
    /// [`Error::Internal`] if the sequence outgrows what was admitted.
    pub fn after_step(
        &mut self,
        pool: &Pool,
        layer: usize,
        seqs: &[SeqId],
        watched: &Watched<'_>,
    ) -> Result<Vec<usize>> {
        let mut bad = Vec::new();
        if let Some(eviction) = self.eviction {
            let mut due = Vec::new();
            for (row, &seq) in seqs.iter().enumerate() {
                self.watch(eviction, seq, layer, row, watched);
                let forward = self.store(seq, layer, 0).seen - self.sequence(seq).prompt;
                let full = (0..self.shape.kv_heads).any(|head| self.store(seq, layer, head).n > eviction.budget);
                if eviction.when.due(forward) && full {
                    due.push((row, seq, forward));
                }
            }
            for ((row, seq, forward), stays) in due.iter().zip(self.choose_all(pool, eviction, layer, &due, watched)) {
                let Some(stays) = stays else {
                    bad.push(*row);
                    continue;
                };
                for (head, stays) in stays.iter().enumerate() {
                    self.keep_only(*seq, layer, head, stays, *forward);
                }
            }
        }
        if self.plans[layer].layout.has_window() {
            self.seal_due(pool, layer, seqs)?;
        }
        Ok(bad)
    }

    /// What each of the sequences (row, sequence, forward) keeps: by sequence on all threads where there are several.
    fn choose_all(
        &self,
        pool: &Pool,
        eviction: Eviction,
        layer: usize,
        due: &[(usize, SeqId, usize)],
        watched: &Watched<'_>,
    ) -> Vec<Option<Vec<Vec<usize>>>> {
        if let [(row, seq, _)] = due {
            return vec![self.choose(Some(pool), eviction, *seq, layer, *row, watched)];
        }
        pool.map(due.len(), &|i| {
            let (row, seq, _) = due[i];
            self.choose(None, eviction, seq, layer, row, watched)
        })
    }

    /// Places that stay, ascending, per kv head; `None` if a score is NaN.
    fn choose(
        &self,
        pool: Option<&Pool>,
        eviction: Eviction,
        seq: SeqId,
        layer: usize,
        row: usize,
        watched: &Watched<'_>,
    ) -> Option<Vec<Vec<usize>>> {
        let evictor = self.compressor.evictor.as_ref()?;
        let kernels = CpuKernels { pool, isa: self.isa };
        let sequence = self.sequence(seq);
        let queries = sequence.rings.get(layer).map_or_else(Vec::new, |ring| ring.wide());
        let view = View {
            shape: self.shape,
            layer,
            seed: sequence.seed,
            seen: self.store(seq, layer, 0).seen,
            heads: self.step_heads(eviction, seq, layer, row, watched),
            queries: &queries,
            kernels: &kernels,
        };
        let scores = evictor.method.score(&evictor.params, &view);
        let mut all: Vec<Vec<usize>> = Vec::with_capacity(self.shape.kv_heads);
        for (head, of_head) in view.heads.iter().enumerate() {
            if eviction.one_set && head > 0 {
                all.push(all[0].clone());
                continue;
            }
            all.push(select(
                rule(eviction, eviction.budget),
                of_head.positions,
                &scores[head],
            )?);
        }
        Some(all)
    }

    /// Drops all entries of a store but those at the places `stays`, ascending, after decode forward `forward`.
    fn keep_only(&mut self, seq: SeqId, layer: usize, head: usize, stays: &[usize], forward: usize) {
        let step = self.eviction.is_some_and(|e| e.when == When::Step);
        let windowed = self.plans[layer].layout.has_window();
        let store = self.store(seq, layer, head);
        let (n, paged) = (store.n, store.k_paged);
        if stays.len() == n {
            return;
        }
        if step && stays.len() + 1 == n {
            // The first place that is not its own rank is the one that goes.
            let victim = stays
                .iter()
                .enumerate()
                .find(|(i, p)| i != *p)
                .map_or(n - 1, |(i, _)| i);
            if !windowed {
                // The next token takes the place; nothing moves.
                self.store_mut(seq, layer, head).drop_one(victim, forward);
                return;
            }
            if victim < paged {
                self.move_row(seq, layer, head, paged - 1, victim);
                let store = self.store_mut(seq, layer, head);
                let before = store.side_bytes();
                store.swap_out(victim, paged - 1);
                (store.k_paged, store.v_paged) = (paged - 1, paged - 1);
                store.window.shift += 1;
                store.n -= 1;
                store.newest = store.n - 1;
                store.note_drop(1, forward);
                // The pages stay: the oldest entry of the window is sealed into the free row in this very step.
                let freed = before - store.side_bytes();
                self.sequence_mut(seq).side_bytes -= freed;
                return;
            }
        }
        // Rows move down, so that entries stay in order. Sealed ones come first.
        let sealed = stays.iter().take_while(|place| windowed && **place < paged).count();
        let in_pages = if windowed { sealed } else { stays.len() };
        for (to, &from) in stays[..in_pages].iter().enumerate() {
            self.move_row(seq, layer, head, from, to);
        }
        for (i, &from) in stays[in_pages..].iter().enumerate() {
            self.move_window_row(seq, layer, head, from, paged + i);
        }
        let store = self.store_mut(seq, layer, head);
        let before = store.side_bytes();
        store.positions = stays.iter().map(|place| store.positions[*place]).collect();
        if !store.sums.is_empty() {
            store.sums = stays.iter().map(|place| store.sums[*place]).collect();
        }
        (store.k_paged, store.v_paged) = (in_pages, in_pages);
        if windowed {
            store.window.shift += paged - in_pages;
        }
        store.n = stays.len();
        store.newest = store.n.saturating_sub(1);
        store.note_drop(n - stays.len(), forward);
        let freed = before - store.side_bytes();
        self.trim(seq, layer, head, freed);
    }

    /// Gives back the pages that hold no entry any more; `side` bytes beside them went already.
    fn trim(&mut self, seq: SeqId, layer: usize, head: usize, side: usize) {
        let plan = &self.plans[layer];
        let (class, bytes, tokens) = (plan.class, plan.page.bytes, plan.layout.page_tokens);
        let index = layer * self.shape.kv_heads + head;
        let sequence = self.sequences[seq.0].as_mut().expect("the sequence is running");
        let store = &mut sequence.stores[index];
        sequence.side_bytes -= side;
        while store.pages.len() > store.k_paged.max(store.v_paged).div_ceil(tokens) {
            let page = store.pages.pop().expect("there is one more than needed");
            self.pages.give(class, page);
            sequence.pages_bytes -= bytes;
        }
        let end = store.n + store.window.shift;
        while store.window.last_first().is_some_and(|first| first >= end) {
            let page = store.window.pages.pop_back().expect("it has a last page");
            self.pages.give(self.window_class, page);
            sequence.pages_bytes -= self.window.bytes;
        }
    }

    /// Copies K and V of one place in pages to another.
    fn move_row(&mut self, seq: SeqId, layer: usize, head: usize, from: usize, to: usize) {
        if from == to {
            return;
        }
        let (d, plan) = (self.shape.head_dim, &self.plans[layer]);
        let tokens = plan.layout.page_tokens;
        let store = self.store(seq, layer, head);
        let (source, target) = (store.pages[from / tokens], store.pages[to / tokens]);
        let segments = [
            (plan.page.k_codes, plan.layout.k.row_bytes(d)),
            (plan.page.k_params, plan.layout.k.param_bytes(d, 1)),
            (plan.page.v_codes, plan.layout.v.row_bytes(d)),
            (plan.page.v_params, plan.layout.v.param_bytes(d, 1)),
        ];
        for (at, bytes) in segments {
            let (read, write) = (at + from % tokens * bytes, at + to % tokens * bytes);
            self.arena.copy(source, read, target, write, bytes);
        }
    }

    /// Copies K and V of one place of the window to another.
    fn move_window_row(&mut self, seq: SeqId, layer: usize, head: usize, from: usize, to: usize) {
        if from == to {
            return;
        }
        let bytes = self.shape.head_dim * 2;
        let window = &self.store(seq, layer, head).window;
        let ((source, read), (target, write)) = (window.at(from), window.at(to));
        for at in [self.window.k_codes, self.window.v_codes] {
            self.arena
                .copy(source, at + read * bytes, target, at + write * bytes, bytes);
        }
    }
}

fn rule(eviction: Eviction, budget: usize) -> Rule {
    Rule {
        budget,
        sinks: eviction.sinks,
        recent: eviction.recent,
    }
}

fn nan() -> Error {
    Error::Numeric("a score of an entry is a NaN; the weights or the prompt are damaged".into())
}
