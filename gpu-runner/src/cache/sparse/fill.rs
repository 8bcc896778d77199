//! Sealing into pages, factor pages and streams.

use std::ops::Range;
use std::sync::OnceLock;

use half::f16;

use super::{Sparse, OUTLIER_BYTES, STREAM_ENTRIES};
use crate::backend::cpu::seal::Tensor;
use crate::backend::cpu::sparse::factors::Seed;
use crate::backend::cpu::sparse::gear::Block;
use crate::backend::cpu::sparse::Outlier;
use crate::backend::cpu::Pool;
use crate::cache::dump::pack;
use crate::cache::{KvCache, PageId, SeqId};
use crate::Result;

/// Values beyond which a parallel region pays.
const PARALLEL: usize = 1 << 11;

/// Entries of one store that are coded together.
struct Job {
    seq: SeqId,
    head: usize,
    /// Place of the first.
    first: usize,
    /// A gear block that is not the prompt's.
    decode: bool,
    /// Which block of the store.
    block: usize,
    /// [n, d].
    k: Vec<f16>,
    /// [n, d].
    v: Vec<f16>,
}

impl KvCache {
    /// Takes the prompt of a layer: k, v [T, kv_heads, head_dim]; see [`KvCache::prefill_layer`].
    pub(in crate::cache) fn prefill_sparse(
        &mut self,
        pool: &Pool,
        seq: SeqId,
        layer: usize,
        k: &[f16],
        v: &[f16],
    ) -> Result<()> {
        let (heads, d) = (self.shape.kv_heads, self.shape.head_dim);
        let prompt = self.sequence(seq).prompt;
        let (sealed, _) = self.plans[layer].layout.paged(prompt);
        let mut jobs = Vec::new();
        for head in 0..heads {
            self.grow_window(seq, layer, head, sealed, prompt)?;
            let store = self.store_mut(seq, layer, head);
            (store.n, store.seen) = (prompt, prompt);
            store.newest = prompt - 1;
            let row = |x: &[f16], place: usize| -> Vec<f16> { x[(place * heads + head) * d..][..d].to_vec() };
            for place in sealed..prompt {
                let (page, at) = self.store(seq, layer, head).window.at(place);
                for (x, base) in [(k, self.window.k_codes), (v, self.window.v_codes)] {
                    let to = self.arena.f16_of_mut(page, base + at * d * 2, d);
                    to.copy_from_slice(&row(x, place));
                }
            }
            let rows = |place: usize| (row(k, place), row(v, place));
            jobs.extend(self.seal_job(seq, layer, head, sealed, false, &rows)?);
        }
        self.run_jobs(pool, layer, jobs)
    }

    /// Seals what is due after a decode forward; see [`KvCache::after_step`].
    pub(in crate::cache) fn seal_sparse(&mut self, pool: &Pool, layer: usize, seqs: &[SeqId]) -> Result<()> {
        let d = self.shape.head_dim;
        let mut jobs = Vec::new();
        let mut changed = Vec::new();
        for &seq in seqs {
            for head in 0..self.shape.kv_heads {
                let store = self.store(seq, layer, head);
                let (sealed, _) = self.plans[layer].layout.paged(store.n);
                if sealed == store.k_paged {
                    continue;
                }
                let rows: Vec<(Vec<f16>, Vec<f16>)> = (store.k_paged..sealed)
                    .map(|place| {
                        let (page, row) = store.window.at(place);
                        let row = |base: usize| self.arena.f16_of(page, base + row * d * 2, d).to_vec();
                        (row(self.window.k_codes), row(self.window.v_codes))
                    })
                    .collect();
                let first = store.k_paged;
                let row = |place: usize| rows[place - first].clone();
                jobs.extend(self.seal_job(seq, layer, head, sealed, true, &row)?);
                changed.push((seq, head, sealed));
            }
        }
        self.run_jobs(pool, layer, jobs)?;
        for (seq, head, sealed) in changed {
            self.shrink_window(seq, layer, head, sealed);
        }
        Ok(())
    }

    /// Moves the border of the pages of a store to `sealed`: tokens of the head go to their page at once, the others make
    /// a job. `rows(place)` is K and V.
    fn seal_job(
        &mut self,
        seq: SeqId,
        layer: usize,
        head: usize,
        sealed: usize,
        decode: bool,
        rows: &dyn Fn(usize) -> (Vec<f16>, Vec<f16>),
    ) -> Result<Option<Job>> {
        let audited = self.audit_seals;
        let plan = self.plans[layer].sparse.as_ref().expect("a layer with corrections");
        let (sparse, map, head_class) = (plan.sparse, plan.head, plan.head_class);
        let d = self.shape.head_dim;
        let from = self.store(seq, layer, head).k_paged;
        let kept = sparse.head_tokens();
        for place in from..sealed.min(kept) {
            let page = match (self.store(seq, layer, head).sparse.head, head_class) {
                (None, Some(class)) => self.take_page(seq, class)?,
                (page, _) => page.expect("a head has a class"),
            };
            self.store_mut(seq, layer, head).sparse.head = Some(page);
            let (k, v) = rows(place);
            self.arena
                .f16_of_mut(page, map.k_codes + place * d * 2, d)
                .copy_from_slice(&k);
            self.arena
                .f16_of_mut(page, map.v_codes + place * d * 2, d)
                .copy_from_slice(&v);
        }
        let store = self.store_mut(seq, layer, head);
        (store.k_paged, store.v_paged) = (sealed, sealed);
        let places = from.max(kept)..sealed;
        if places.is_empty() {
            return Ok(None);
        }
        if audited {
            store.note_seal(0, places.clone());
            store.note_seal(1, places.clone());
        }
        let mut block = 0;
        if let Sparse::Gear(gear) = sparse {
            if decode {
                block = store.sparse.block(places.start / gear.block, gear.block).1;
            } else {
                store.sparse.prompt_tokens = sealed;
            }
        }
        let (k, v): (Vec<_>, Vec<_>) = places.clone().map(rows).unzip();
        Ok(Some(Job {
            seq,
            head,
            first: places.start,
            decode,
            block,
            k: k.concat(),
            v: v.concat(),
        }))
    }

    /// Codes all jobs side by side, then writes them in order.
    fn run_jobs(&mut self, pool: &Pool, layer: usize, jobs: Vec<Job>) -> Result<()> {
        let results: Vec<OnceLock<Block>> = (0..2 * jobs.len()).map(|_| OnceLock::new()).collect();
        let work = |i: usize| {
            let tensor = if i.is_multiple_of(2) { Tensor::K } else { Tensor::V };
            results[i].get_or_init(|| self.encode(layer, &jobs[i / 2], tensor));
        };
        if jobs.iter().map(|job| job.k.len()).sum::<usize>() > PARALLEL {
            pool.tasks(results.len(), &work);
        } else {
            (0..results.len()).for_each(work);
        }
        let mut results = results.into_iter().map(|r| r.into_inner().expect("every job has run"));
        for job in jobs {
            let (k, v) = (results.next(), results.next());
            let (k, v) = k.zip(v).expect("two results a job");
            self.write_job(layer, &job, &k, &v)?;
        }
        Ok(())
    }

    fn encode(&self, layer: usize, job: &Job, tensor: Tensor) -> Block {
        let d = self.shape.head_dim;
        let plan = self.plans[layer].sparse.as_ref().expect("a layer with corrections");
        let x = if tensor == Tensor::K { &job.k } else { &job.v };
        match (&plan.sparse, &plan.coder) {
            (Sparse::Gear(gear), _) => {
                let seed = Seed {
                    seed: gear.seed,
                    layer,
                    head: job.head,
                    tensor: u64::from(tensor == Tensor::V),
                    block: job.block,
                };
                Sparse::setting(gear, tensor, job.decode).seal(x, d, seed)
            }
            (Sparse::Kvquant(_), Some(coder)) if tensor == Tensor::K => coder.encode_keys(job.head, x, d),
            (Sparse::Kvquant(_), Some(coder)) => coder.encode_values(x, d),
            (Sparse::Kvquant(_), None) => unreachable!("a cache of kvquant is made with its artefact"),
        }
    }

    fn write_job(&mut self, layer: usize, job: &Job, k: &Block, v: &Block) -> Result<()> {
        let d = self.shape.head_dim;
        let n = k.codes.len() / d;
        let plan = self.plans[layer].sparse.as_ref().expect("a layer with corrections");
        let (sparse, map, factor_classes) = (plan.sparse, self.plans[layer].page, plan.factor_classes);
        let (tokens, classes, kind) = (sparse.page_tokens(), plan.classes, usize::from(job.decode));
        // kvquant knows one kind of page.
        let kind = if matches!(sparse, Sparse::Gear(_)) { kind } else { 1 };
        let (tail, stream) = (plan.tails[kind], plan.stream_class);
        let last = (job.first + n - 1) / tokens;
        while self.store(job.seq, layer, job.head).sparse.pages.len() <= last {
            let page = self.take_page(job.seq, classes[kind])?;
            self.store_mut(job.seq, layer, job.head).sparse.pages.push(page);
        }
        if let Some(class) = factor_classes[kind] {
            let page = self.take_page(job.seq, class)?;
            self.store_mut(job.seq, layer, job.head).sparse.factors.push(Some(page));
            let rank = k.factors.q.len() / n;
            for (tensor, block) in [(Tensor::K, k), (Tensor::V, v)] {
                self.put(page, sparse.columns(tensor, rank, d), &block.factors.p);
            }
            if matches!(sparse, Sparse::Gear(gear) if gear.group.is_none()) {
                self.put(page, 0, &k.params);
            }
        } else if matches!(sparse, Sparse::Gear(_)) {
            self.store_mut(job.seq, layer, job.head).sparse.factors.push(None);
        }
        for (tensor, block, [codes, params, rows]) in [
            (Tensor::K, k, [map.k_codes, map.k_params, tail.k_rows]),
            (Tensor::V, v, [map.v_codes, map.v_params, tail.v_rows]),
        ] {
            let bits = usize::from(sparse.bits());
            let by_token = match (&sparse, tensor) {
                // Params of channels: [n / group][2d], or once a block.
                (Sparse::Gear(gear), Tensor::K) => gear.group,
                (Sparse::Kvquant(_), Tensor::K) => None,
                (_, Tensor::V) => Some(1),
            };
            for (i, place) in (job.first..job.first + n).enumerate() {
                let (page, row) = (self.page_of(job, layer, place / tokens), place % tokens);
                let packed = pack(&block.codes[i * d..(i + 1) * d], bits);
                let to = self.arena.bytes_of_mut(page, codes + row * packed.len(), packed.len());
                to.copy_from_slice(&packed);
                if let Some(group) = by_token.filter(|group| i % group == 0) {
                    let width = block.params.len() * group / n;
                    let of = &block.params[i / group * width..][..width];
                    self.put(page, params + row / group * width * 2, of);
                }
                let rank = block.factors.q.len() / n;
                self.put(page, rows + row * rank * 2, &block.factors.q[i * rank..(i + 1) * rank]);
            }
        }
        let per_token = sparse.value_outliers(d);
        for (i, of) in v.outliers.chunks_exact(per_token.max(1)).enumerate() {
            let (page, row) = (
                self.page_of(job, layer, (job.first + i) / tokens),
                (job.first + i) % tokens,
            );
            for (o, outlier) in of.iter().enumerate() {
                let at = tail.outliers + (row * per_token + o) * OUTLIER_BYTES;
                self.put_outlier(page, at, row * d, outlier);
            }
        }
        self.append_outliers(layer, job, job.first..job.first + n, &k.outliers, stream)?;
        self.store_mut(job.seq, layer, job.head).sparse.coded += n;
        Ok(())
    }

    fn page_of(&self, job: &Job, layer: usize, page: usize) -> PageId {
        self.store(job.seq, layer, job.head).sparse.pages[page]
    }

    fn put(&mut self, page: PageId, at: usize, values: &[f16]) {
        self.arena.f16_of_mut(page, at, values.len()).copy_from_slice(values);
    }

    fn put_outlier(&mut self, page: PageId, at: usize, row: usize, outlier: &Outlier) {
        let index = (row + usize::from(outlier.channel)) as u16;
        let to = self.arena.bytes_of_mut(page, at, OUTLIER_BYTES);
        to[..2].copy_from_slice(&index.to_le_bytes());
        to[2..].copy_from_slice(&outlier.difference.to_le_bytes());
    }

    /// Adds outliers of K of `places`, in order, to a store's stream.
    fn append_outliers(
        &mut self,
        layer: usize,
        job: &Job,
        places: Range<usize>,
        outliers: &[Outlier],
        class: crate::cache::ClassId,
    ) -> Result<()> {
        let (d, tokens) = (self.shape.head_dim, self.plans[layer].layout.page_tokens);
        let mut next = outliers.iter().peekable();
        for (i, place) in places.enumerate() {
            let sparse = &mut self.store_mut(job.seq, layer, job.head).sparse;
            while sparse.starts.len() <= place / tokens {
                sparse.starts.push(sparse.outliers as u32);
            }
            while let Some(outlier) = next.next_if(|o| o.token as usize == i) {
                let at = self.store(job.seq, layer, job.head).sparse.outliers;
                if at.is_multiple_of(STREAM_ENTRIES) {
                    let Some(page) = self.take_stream_page(job.seq, class)? else {
                        // The sample fails after this forward; until then its store stays readable.
                        self.sequence_mut(job.seq).overflown = true;
                        continue;
                    };
                    self.store_mut(job.seq, layer, job.head).sparse.stream.push(page);
                }
                let page = self.store(job.seq, layer, job.head).sparse.stream[at / STREAM_ENTRIES];
                self.put_outlier(page, at % STREAM_ENTRIES * OUTLIER_BYTES, place % tokens * d, outlier);
                self.store_mut(job.seq, layer, job.head).sparse.outliers += 1;
            }
        }
        Ok(())
    }
}
