//! Stores with corrections, dequantised in f64 from what their sections of the design say, and dumped. Slow and plain:
//! tests hold attention against it.

use half::f16;

use super::{Gear, Sparse, SparsePlan, SparseStore, OUTLIER_BYTES};
use crate::backend::cpu::seal::Tensor;
use crate::cache::dump::{pack, Dump, Sealed};
use crate::cache::{KvCache, PageId, SeqId};

/// K or V of one store.
struct Half<'a> {
    cache: &'a KvCache,
    plan: &'a SparsePlan,
    store: &'a SparseStore,
    tensor: Tensor,
    head: usize,
    codes: usize,
    params: usize,
    d: usize,
}

impl KvCache {
    fn sparse_half(&self, seq: SeqId, layer: usize, head: usize, tensor: Tensor) -> Half<'_> {
        let plan = self.plan(layer);
        let map = &plan.page;
        let (codes, params) = match tensor {
            Tensor::K => (map.k_codes, map.k_params),
            Tensor::V => (map.v_codes, map.v_params),
        };
        Half {
            cache: self,
            plan: plan.sparse.as_ref().expect("a layer with corrections"),
            store: &self.store(seq, layer, head).sparse,
            tensor,
            head,
            codes,
            params,
            d: self.shape().head_dim,
        }
    }

    /// One sealed entry, or one of the head, dequantised.
    pub(in crate::cache) fn sparse_row(
        &self,
        seq: SeqId,
        layer: usize,
        head: usize,
        tensor: Tensor,
        place: usize,
    ) -> Vec<f64> {
        let half = self.sparse_half(seq, layer, head, tensor);
        if place < half.plan.sparse.head_tokens() {
            return half.head_row(place).iter().map(|x| x.to_f64()).collect();
        }
        half.row(place)
    }

    /// Dumps a store with corrections.
    pub(in crate::cache) fn sparse_dump(&self, seq: SeqId, layer: usize, head: usize) -> Dump {
        let store = self.store(seq, layer, head);
        let part = |tensor| {
            let half = self.sparse_half(seq, layer, head, tensor);
            let base = match tensor {
                Tensor::K => self.window_map().k_codes,
                Tensor::V => self.window_map().v_codes,
            };
            let kept = half.plan.sparse.head_tokens().min(store.k_paged);
            let in_head = (0..kept).flat_map(|place| half.head_row(place));
            let in_window = (store.k_paged..store.n).flat_map(|place| {
                let (page, row) = store.window.at(place);
                self.arena().f16_of(page, base + row * half.d * 2, half.d)
            });
            let f16s: Vec<u16> = in_head.chain(in_window).map(|x| x.to_bits()).collect();
            (half.sealed(kept..store.k_paged), f16s)
        };
        let ((k, k_f16), (v, v_f16)) = (part(Tensor::K), part(Tensor::V));
        Dump {
            positions: (0..store.n as u32).collect(),
            k,
            v,
            k_f16,
            v_f16,
        }
    }
}

impl Half<'_> {
    fn head_row(&self, place: usize) -> &[f16] {
        let (page, map) = (
            self.store.head.expect("entries of the head have their page"),
            &self.plan.head,
        );
        let base = if self.tensor == Tensor::K {
            map.k_codes
        } else {
            map.v_codes
        };
        self.cache.arena().f16_of(page, base + place * self.d * 2, self.d)
    }

    fn at(&self, place: usize) -> (PageId, usize, usize) {
        let tokens = self.plan.sparse.page_tokens();
        (self.store.pages[place / tokens], place / tokens, place % tokens)
    }

    fn halves(&self, page: PageId, at: usize, len: usize) -> &[f16] {
        self.cache.arena().f16_of(page, at, len)
    }

    fn codes(&self, place: usize) -> Vec<u8> {
        let (page, _, row) = self.at(place);
        let bits = usize::from(self.plan.sparse.bits());
        let bytes = self.d * bits / 8;
        let line = self.cache.arena().bytes_of(page, self.codes + row * bytes, bytes);
        let bit = |i: usize| line[i / 8] >> (i % 8) & 1;
        (0..self.d)
            .map(|c| (0..bits).map(|b| bit(c * bits + b) << b).sum())
            .collect()
    }

    /// Scales and minima of a token of gear, by channel.
    fn scales(&self, gear: &Gear, place: usize) -> Vec<(f16, f16)> {
        let (page, index, row) = self.at(place);
        let d = self.d;
        let pairs = |params: &[f16], group: usize| -> Vec<(f16, f16)> {
            let half = params.len() / 2;
            (0..d).map(|c| (params[c / group], params[half + c / group])).collect()
        };
        match (self.tensor, gear.group) {
            (Tensor::K, Some(group)) => pairs(self.halves(page, self.params + row / group * 4 * d, 2 * d), 1),
            (Tensor::K, None) => pairs(self.halves(self.factor_page(index), 0, 2 * d), 1),
            (Tensor::V, group) => {
                let group = group.unwrap_or(d);
                let width = 2 * d / group;
                pairs(self.halves(page, self.params + row * width * 2, width), group)
            }
        }
    }

    fn factor_page(&self, index: usize) -> PageId {
        self.store.factors[self.store.block(index, self.plan.sparse.page_tokens()).1]
            .expect("a block with factors has their page")
    }

    /// The token's row of Q, and the columns of Pm [rank][d].
    fn factors(&self, place: usize) -> (&[f16], &[f16]) {
        let (page, index, row) = self.at(place);
        let tokens = self.plan.sparse.page_tokens();
        let kind = self.store.kind(index, tokens);
        let rank = self
            .plan
            .sparse
            .rank(kind == 1, self.store.block(index, tokens).0, self.d);
        if rank == 0 {
            return (&[], &[]);
        }
        let tail = &self.plan.tails[kind];
        let rows = if self.tensor == Tensor::K {
            tail.k_rows
        } else {
            tail.v_rows
        };
        let columns = self.plan.sparse.columns(self.tensor, rank, self.d);
        (
            self.halves(page, rows + row * rank * 2, rank),
            self.halves(self.factor_page(index), columns, rank * self.d),
        )
    }

    /// Outliers of a token: channel and difference.
    fn outliers(&self, place: usize) -> Vec<(usize, f16)> {
        let (page, index, row) = self.at(place);
        let arena = self.cache.arena();
        let all: Vec<(usize, u16)> = match self.tensor {
            Tensor::K => self
                .store
                .of_page(index)
                .map(|i| self.store.outlier(arena, i))
                .collect(),
            Tensor::V => {
                let each = self.plan.sparse.value_outliers(self.d);
                let kind = match self.plan.sparse {
                    Sparse::Gear(gear) => self.store.kind(index, gear.block),
                    Sparse::Kvquant(_) => 1,
                };
                let at = self.plan.tails[kind].outliers + row * each * OUTLIER_BYTES;
                let words = self.halves(page, at, 2 * each);
                words
                    .chunks_exact(2)
                    .map(|pair| (usize::from(pair[0].to_bits()), pair[1].to_bits()))
                    .collect()
            }
        };
        let own = all.into_iter().filter(|(at, _)| at / self.d == row);
        own.map(|(at, bits)| (at % self.d, f16::from_bits(bits))).collect()
    }

    fn row(&self, place: usize) -> Vec<f64> {
        let codes = self.codes(place);
        let mut row: Vec<f64> = match (&self.plan.sparse, &self.plan.coder) {
            (Sparse::Gear(gear), _) => {
                let scales = self.scales(gear, place);
                let (q, p) = self.factors(place);
                let correction = |c: usize| -> f64 {
                    q.iter()
                        .enumerate()
                        .map(|(k, q)| q.to_f64() * p[k * self.d + c].to_f64())
                        .sum()
                };
                let value = |c: usize| f64::from(codes[c]) * scales[c].0.to_f64() + scales[c].1.to_f64();
                (0..self.d).map(|c| value(c) + correction(c)).collect()
            }
            (Sparse::Kvquant(_), Some(coder)) if self.tensor == Tensor::K => {
                let bounds = &coder.bounds[self.head];
                let value = |c: usize| f64::from(coder.keys.decoded[usize::from(codes[c])]);
                (0..self.d)
                    .map(|c| f64::from(bounds.zero[c]) + f64::from(bounds.range[c]) * value(c))
                    .collect()
            }
            (Sparse::Kvquant(_), Some(coder)) => {
                let params = self.value_params(place);
                let value = |c: usize| f64::from(coder.values.decoded[usize::from(codes[c])]);
                (0..self.d)
                    .map(|c| params[0].to_f64() + params[1].to_f64() * value(c))
                    .collect()
            }
            (Sparse::Kvquant(_), None) => unreachable!("a cache of kvquant is made with its artefact"),
        };
        for (c, difference) in self.outliers(place) {
            row[c] += difference.to_f64();
        }
        row
    }

    /// Zero and range of a token's V of kvquant.
    fn value_params(&self, place: usize) -> &[f16] {
        let (page, _, row) = self.at(place);
        self.halves(page, self.params + row * 4, 2)
    }

    fn sealed(&self, places: std::ops::Range<usize>) -> Sealed {
        let mut sealed = Sealed {
            entries: places.len(),
            ..Sealed::default()
        };
        let bits = usize::from(self.plan.sparse.bits());
        let bits_of = |values: &[f16]| -> Vec<u16> { values.iter().map(|x| x.to_bits()).collect() };
        let by_channel = matches!((&self.plan.sparse, self.tensor), (Sparse::Gear(_), Tensor::K));
        if by_channel {
            let all: Vec<Vec<u8>> = places.clone().map(|place| self.codes(place)).collect();
            for c in 0..self.d {
                let line: Vec<u8> = all.iter().map(|row| row[c]).collect();
                sealed.codes.extend(pack(&line, bits));
            }
        } else {
            places
                .clone()
                .for_each(|place| sealed.codes.extend(pack(&self.codes(place), bits)));
        }
        let mut last_block = None;
        // Of K of gear, by group: params go channel by channel, as codes do.
        let mut rows: Vec<Vec<(f16, f16)>> = Vec::new();
        for place in places {
            let (_, index, _) = self.at(place);
            match &self.plan.sparse {
                Sparse::Gear(gear) => {
                    let block = self.store.block(index, gear.block).1;
                    let first = last_block != Some(block);
                    let group = match (self.tensor, gear.group) {
                        (Tensor::K, Some(group)) => Some(group).filter(|group| place.is_multiple_of(*group)).map(|_| 1),
                        (Tensor::K, None) => first.then_some(1),
                        (Tensor::V, group) => Some(group.unwrap_or(self.d)),
                    };
                    if let (Some(_), true) = (group, by_channel) {
                        rows.push(self.scales(gear, place));
                    } else if let Some(step) = group {
                        let scales = self.scales(gear, place);
                        sealed.scales.extend(scales.iter().step_by(step).map(|s| s.0.to_bits()));
                        sealed.minima.extend(scales.iter().step_by(step).map(|s| s.1.to_bits()));
                    }
                    let (q, p) = self.factors(place);
                    if first {
                        sealed.factors.extend(bits_of(p));
                    }
                    sealed.factors.extend(bits_of(q));
                    last_block = Some(block);
                }
                Sparse::Kvquant(_) if self.tensor == Tensor::V => {
                    let params = self.value_params(place);
                    sealed.minima.push(params[0].to_bits());
                    sealed.scales.push(params[1].to_bits());
                }
                Sparse::Kvquant(_) => {}
            }
            let outliers = self.outliers(place).into_iter();
            sealed
                .outliers
                .extend(outliers.map(|(c, x)| (place as u32, c as u16, x.to_bits())));
        }
        for c in 0..self.d {
            sealed.scales.extend(rows.iter().map(|row| row[c].0.to_bits()));
            sealed.minima.extend(rows.iter().map(|row| row[c].1.to_bits()));
        }
        sealed
    }
}
