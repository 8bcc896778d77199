//! Sealing what is due after a decode forward.

use super::{KvCache, SeqId};
use crate::backend::cpu::seal::{self, SealJob, Tensor};
use crate::backend::cpu::Pool;
use crate::Result;

impl KvCache {
    /// Seals, in these sequences, what the layout says that a store of so many entries has sealed.
    pub(super) fn seal_due(&mut self, pool: &Pool, layer: usize, seqs: &[SeqId]) -> Result<()> {
        if self.plans[layer].sparse.is_some() {
            return self.seal_sparse(pool, layer, seqs);
        }
        let (heads, d) = (self.shape.kv_heads, self.shape.head_dim);
        let mut jobs = Vec::new();
        let mut windows = Vec::new();
        for &seq in seqs {
            for head in 0..heads {
                let store = self.store(seq, layer, head);
                let (k, v) = self.plans[layer].layout.paged(store.n);
                // After a selection that took entries of the window there are more sealed ones than the schedule asks for.
                let (k, v) = (k.max(store.k_paged), v.max(store.v_paged));
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
}
