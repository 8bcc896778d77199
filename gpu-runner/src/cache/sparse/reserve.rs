//! Pages of stores with corrections: classes, what a sequence reserves, taking and giving back.
//!
//! All numbers follow from the lengths but one: outliers of K of kvquant. A channel's calibrated bounds leave a share
//! `sparsity` outside on the calibration tokens, and a prompt of another kind may have more. So a sequence reserves four
//! times the expected number and two a channel more, over all its stores together; what passes that is taken from memory
//! that nobody reserved, and if there is none the sample fails with `out_of_memory`, alone.

use std::sync::Arc;

use super::{Sparse, SparsePlan, SparseStore, OUTLIER_BYTES, STREAM_ENTRIES};
use crate::backend::cpu::sparse::kvquant::{Bounds, Codebook, Coder};
use crate::backend::cpu::sparse::outliers::per_tail;
use crate::cache::{ClassId, KvCache, Layout, PageId, PagePool, SeqId};
use crate::calibrate::Tables;
use crate::compress::{refusal, Resolved};
use crate::model::Shape;
use crate::{Error, Result};

/// Outliers of K that kvquant reserves room for, as a multiple of the expected number.
const GENEROUS: f64 = 4.0;

impl SparsePlan {
    /// Of a layer with this layout, if it has corrections.
    ///
    /// # Errors
    /// `calibration_missing` for kvquant without its artefact.
    pub(in crate::cache) fn new(
        layout: &Layout,
        layer: usize,
        shape: Shape,
        compressor: &Resolved,
        pages: &mut PagePool,
    ) -> Result<Option<SparsePlan>> {
        let Some(sparse) = layout.sparse else {
            return Ok(None);
        };
        let d = shape.head_dim;
        let tails = [sparse.tail(d, false), sparse.tail(d, true)];
        let classes = [pages.class(tails[0].bytes)?, pages.class(tails[1].bytes)?];
        let mut class = |bytes: usize| match bytes {
            0 => Ok(None),
            bytes => pages.class(bytes).map(Some),
        };
        let factor_classes = [class(tails[0].factors)?, class(tails[1].factors)?];
        let head = sparse.head(d);
        let head_class = class(head.bytes)?;
        Ok(Some(SparsePlan {
            coder: coder(&sparse, layer, d, compressor)?,
            stream_class: pages.class(STREAM_ENTRIES * OUTLIER_BYTES)?,
            sparse,
            tails,
            classes,
            factor_classes,
            head,
            head_class,
        }))
    }
}

fn coder(sparse: &Sparse, layer: usize, d: usize, compressor: &Resolved) -> Result<Option<Arc<Coder>>> {
    let Sparse::Kvquant(kvquant) = sparse else {
        return Ok(None);
    };
    let Some(artefact) = &compressor.calibration else {
        let message = "kvquant reads a calibration artefact; give its path in the cell's `artefacts`";
        return Err(refusal("calibration_missing", message.into()));
    };
    let Tables { k, v } = &artefact.layers[layer];
    let norm = |norm: crate::calibrate::Norm| kvquant.qnorm.then_some((norm.scale, norm.shift));
    Ok(Some(Arc::new(Coder {
        keys: Codebook::new(&k.codebook, norm(k.norm)),
        values: Codebook::new(&v.codebook, norm(v.norm)),
        bounds: k.lo.iter().zip(&k.hi).map(|(lo, hi)| Bounds::new(lo, hi)).collect(),
        per_tail: per_tail(d, kvquant.sparsity),
    })))
}

impl KvCache {
    /// Pages of corrections that a sequence reserves.
    pub(in crate::cache) fn worst_sparse(&self, prompt: usize, max_new: usize) -> Vec<(ClassId, usize)> {
        let (heads, d) = (self.shape.kv_heads, self.shape.head_dim);
        let all = prompt + max_new.saturating_sub(1);
        let mut want = Vec::new();
        for plan in self.plans.iter().filter_map(|plan| plan.sparse.as_ref()) {
            let tokens = plan.sparse.page_tokens();
            let (first, later, blocks, outliers) = match plan.sparse {
                Sparse::Gear(gear) => {
                    let (first, sealed) = (prompt / gear.block, all / gear.block);
                    let of_prompt = match first {
                        0 => 0,
                        n => plan.sparse.key_outliers(n * gear.block, d),
                    };
                    let later = sealed - first;
                    let outliers = of_prompt + later * plan.sparse.key_outliers(gear.block, d);
                    (first, later, [usize::from(first > 0), later], outliers)
                }
                Sparse::Kvquant(kvquant) => {
                    let expected = kvquant.sparsity * (all * d) as f64;
                    (0, all.div_ceil(tokens), [0, 0], (expected * GENEROUS) as usize + 2 * d)
                }
            };
            let mut add = |class: Option<ClassId>, n: usize| want.extend(class.map(|class| (class, n * heads)));
            add(Some(plan.classes[0]), first);
            add(Some(plan.classes[1]), later);
            add(plan.factor_classes[0], blocks[0]);
            add(plan.factor_classes[1], blocks[1]);
            add(plan.head_class, 1);
            add(Some(plan.stream_class), outliers.div_ceil(STREAM_ENTRIES));
        }
        want
    }

    /// Takes a page for a sequence.
    pub(super) fn take_page(&mut self, seq: SeqId, class: ClassId) -> Result<PageId> {
        let page = self.pages.take(class)?;
        self.arena.cover(page);
        let bytes = self.pages.page_bytes(class);
        let sequence = self.sequence_mut(seq);
        sequence.pages_bytes += bytes;
        sequence.note_peak();
        Ok(page)
    }

    /// Takes a page of the stream, reserving more if the sequence has used what it reserved; `None` if there is no more.
    pub(super) fn take_stream_page(&mut self, seq: SeqId, class: ClassId) -> Result<Option<PageId>> {
        let sequence = self.sequences[seq.0].as_mut().expect("the sequence is running");
        let own = sequence.reserved.iter().filter(|(c, _)| *c == class);
        if sequence.stream_pages >= own.map(|(_, n)| n).sum() {
            let one = [(class, 1)];
            if !self.pages.fits(&one, 0) {
                return Ok(None);
            }
            self.pages.reserve(&one, 0)?;
            match sequence.reserved.iter_mut().find(|(c, _)| *c == class) {
                Some((_, n)) => *n += 1,
                None => sequence.reserved.extend(one),
            }
        }
        sequence.stream_pages += 1;
        self.take_page(seq, class).map(Some)
    }

    /// Gives the pages of corrections of a layer's store back.
    pub(in crate::cache) fn give_sparse(&mut self, layer: usize, store: &SparseStore) {
        let Some(plan) = &self.plans[layer].sparse else {
            return;
        };
        let tokens = plan.sparse.page_tokens();
        for (i, page) in store.pages.iter().enumerate() {
            self.pages.give(plan.classes[store.kind(i, tokens)], *page);
        }
        for (block, page) in store.factors.iter().enumerate() {
            let Some(page) = page else { continue };
            let kind = usize::from(block > 0 || store.prompt_tokens == 0);
            let class = plan.factor_classes[kind].expect("a factor page has a class");
            self.pages.give(class, *page);
        }
        store
            .stream
            .iter()
            .for_each(|page| self.pages.give(plan.stream_class, *page));
        if let (Some(page), Some(class)) = (store.head, plan.head_class) {
            self.pages.give(class, page);
        }
    }

    /// The failure of a sequence whose outliers found no room, if they did not.
    pub fn overflow(&self, seq: SeqId) -> Option<Error> {
        self.sequence(seq).overflown.then(|| Error::OutOfMemory {
            at: "host",
            message: format!(
                "the keys of this sample have more outliers than its memory holds, and no page of {} bytes is free; lower the \
                 batch, or calibrate on text like this sample's",
                STREAM_ENTRIES * OUTLIER_BYTES
            ),
        })
    }
}
