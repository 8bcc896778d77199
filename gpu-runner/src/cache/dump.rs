//! The canonical dump of a store, for tests: positions ascending; K by channel as one line a channel (the channel's
//! sealed codes in entry order, then its scales and minima by group); everything else entry by entry, channels
//! ascending. Codes are a bit stream, least significant bit first, and each line starts on a byte; signed codes are two's
//! complement.

use half::f16;
use half::slice::HalfFloatSliceExt;

use super::layout::{Axis, Part};
use super::{KvCache, PageId, PageMap, SeqId};
use crate::backend::cpu::codec;
use crate::backend::cpu::seal::Tensor;

/// One store, taken out of its pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dump {
    /// Original positions.
    pub positions: Vec<u32>,
    /// Sealed K.
    pub k: Sealed,
    /// Sealed V.
    pub v: Sealed,
    /// f16 K, entry by entry, as bits.
    pub k_f16: Vec<u16>,
    /// f16 V, entry by entry, as bits.
    pub v_f16: Vec<u16>,
}

/// The sealed part of K or V: packed lines, and their scales and minima as bits of f16.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sealed {
    /// How many entries.
    pub entries: usize,
    /// Packed codes.
    pub codes: Vec<u8>,
    /// Scales, line by line.
    pub scales: Vec<u16>,
    /// Minima, line by line; zeros of kvquant.
    pub minima: Vec<u16>,
    /// Low-rank factors as bits of f16: at the first entry of a block the columns of Pm, [rank][head_dim]; then a row of Q an
    /// entry.
    pub factors: Vec<u16>,
    /// Position, channel and difference (bits of f16) of outliers.
    pub outliers: Vec<(u32, u16, u16)>,
}

impl Dump {
    /// Bytes of all parts but the positions: the payload.
    pub fn payload_bytes(&self) -> usize {
        let of =
            |s: &Sealed| s.codes.len() + 2 * (s.scales.len() + s.minima.len() + s.factors.len()) + 4 * s.outliers.len();
        of(&self.k) + of(&self.v) + 2 * (self.k_f16.len() + self.v_f16.len())
    }
}

/// Packs codes of `bits` into bytes, code j at bits [b·j, b·j + b) of the little-endian number.
pub fn pack(codes: &[u8], bits: usize) -> Vec<u8> {
    let mut bytes = vec![0u8; (codes.len() * bits).div_ceil(8)];
    for (j, code) in codes.iter().enumerate() {
        let (byte, shift) = (j * bits / 8, j * bits % 8);
        let wide = u16::from(*code) << shift;
        bytes[byte] |= wide as u8;
        if shift + bits > 8 {
            bytes[byte + 1] |= (wide >> 8) as u8;
        }
    }
    bytes
}

/// One half (K or V) of a store, to be read entry by entry.
struct Half {
    tensor: Tensor,
    part: Part,
    paged: usize,
    codes: usize,
    params: usize,
    window_rows: usize,
}

impl KvCache {
    /// Dumps a store.
    pub fn dump(&self, seq: SeqId, layer: usize, head: usize) -> Dump {
        if self.plan(layer).sparse.is_some() {
            return self.sparse_dump(seq, layer, head);
        }
        let (k, v) = self.halves(seq, layer, head);
        let entries = self.entries(seq, layer, head);
        Dump {
            positions: entries.iter().map(|(position, _)| *position).collect(),
            k: self.sealed(seq, layer, head, &k, &entries),
            v: self.sealed(seq, layer, head, &v, &entries),
            k_f16: self.unsealed(seq, layer, head, &k, &entries),
            v_f16: self.unsealed(seq, layer, head, &v, &entries),
        }
    }

    /// K and V of a store as attention must read them, dequantised in f64: [n, head_dim] each, in order of positions.
    /// K is in the store's key form.
    pub fn dequantised(&self, seq: SeqId, layer: usize, head: usize) -> (Vec<f64>, Vec<f64>) {
        let (k, v) = self.halves(seq, layer, head);
        let entries = self.entries(seq, layer, head);
        let rows = |half: &Half| {
            let rows = entries
                .iter()
                .map(|(_, place)| self.row(seq, layer, head, half, *place));
            rows.flatten().collect()
        };
        (rows(&k), rows(&v))
    }

    /// K of a store by place, dequantised: [n, head_dim].
    pub(super) fn wide_keys(&self, seq: SeqId, layer: usize, head: usize) -> Vec<f32> {
        self.wide(seq, layer, head, &self.halves(seq, layer, head).0)
    }

    /// V of a store by place, dequantised: [n, head_dim].
    pub(super) fn wide_values(&self, seq: SeqId, layer: usize, head: usize) -> Vec<f32> {
        self.wide(seq, layer, head, &self.halves(seq, layer, head).1)
    }

    fn wide(&self, seq: SeqId, layer: usize, head: usize, half: &Half) -> Vec<f32> {
        let (n, d) = (self.store(seq, layer, head).n, self.shape().head_dim);
        let mut wide = Vec::with_capacity(n * d);
        if let Part::Token { codec, rotation } = half.part {
            // Scores at every step read whole stores: by the kernels of attention, a page at a time.
            let (row_bytes, param_bytes) = (half.part.row_bytes(d), half.part.param_row_bytes(d));
            let tokens = self.plan(layer).layout.page_tokens;
            let paged = half.paged.min(n);
            wide.resize(paged * d, 0.0);
            for (out, page) in wide.chunks_mut(tokens * d).zip(&self.store(seq, layer, head).pages) {
                let rows = out.len() / d;
                let codes = self.arena().bytes_of(*page, half.codes, rows * row_bytes);
                let params = self.arena().bytes_of(*page, half.params, rows * param_bytes);
                codec::decode(self.isa, codec, rotation, d, codes, params, out);
            }
        }
        for place in wide.len() / d..n {
            if place >= half.paged || !half.part.is_quantised() {
                let at = wide.len();
                wide.resize(at + d, 0.0);
                self.f16_row(seq, layer, head, half, place)
                    .convert_to_f32_slice(&mut wide[at..]);
            } else {
                wide.extend(self.row(seq, layer, head, half, place).into_iter().map(|x| x as f32));
            }
        }
        wide
    }

    fn halves(&self, seq: SeqId, layer: usize, head: usize) -> (Half, Half) {
        let (store, plan) = (self.store(seq, layer, head), self.plan(layer));
        let map: &PageMap = &plan.page;
        let k = Half {
            tensor: Tensor::K,
            part: plan.layout.k,
            paged: store.k_paged,
            codes: map.k_codes,
            params: map.k_params,
            window_rows: self.window_map().k_codes,
        };
        let v = Half {
            tensor: Tensor::V,
            part: plan.layout.v,
            paged: store.v_paged,
            codes: map.v_codes,
            params: map.v_params,
            window_rows: self.window_map().v_codes,
        };
        (k, v)
    }

    /// f16 values of an entry that is not quantised.
    fn f16_row(&self, seq: SeqId, layer: usize, head: usize, half: &Half, place: usize) -> &[f16] {
        let (store, d) = (self.store(seq, layer, head), self.shape().head_dim);
        let tokens = self.plan(layer).layout.page_tokens;
        let (page, at) = match place < half.paged {
            true => (store.pages[place / tokens], half.codes + place % tokens * d * 2),
            false => {
                let (page, row) = store.window.at(place);
                (page, half.window_rows + row * d * 2)
            }
        };
        self.arena().f16_of(page, at, d)
    }

    /// Where the row of a sealed entry lies: its page and its row there.
    fn place(&self, seq: SeqId, layer: usize, head: usize, place: usize) -> (PageId, usize) {
        let tokens = self.plan(layer).layout.page_tokens;
        (self.store(seq, layer, head).pages[place / tokens], place % tokens)
    }

    /// Code of one channel of a sealed entry.
    fn code(&self, seq: SeqId, layer: usize, head: usize, half: &Half, place: usize, c: usize) -> u8 {
        let (page, row) = self.place(seq, layer, head, place);
        let (d, bits) = (self.shape().head_dim, half.part.bits());
        let at = half.codes + row * half.part.row_bytes(d) + c * bits / 8;
        // A code of 3 bits may lie in two bytes, but never past the end of its row.
        let bytes = self.arena().bytes_of(page, at, (c * bits % 8 + bits).div_ceil(8));
        let word = bytes.iter().rev().fold(0u16, |word, byte| word << 8 | u16::from(*byte));
        (word >> (c * bits % 8)) as u8 & (((1u16 << bits) - 1) as u8)
    }

    /// Scales and minima of a sealed entry, if each entry has its own, or of its group and all channels: [scales][minima].
    fn params(&self, seq: SeqId, layer: usize, head: usize, half: &Half, place: usize) -> &[f16] {
        let (page, row) = self.place(seq, layer, head, place);
        let d = self.shape().head_dim;
        let (at, len) = match half.part {
            Part::Int {
                axis: Axis::Channel,
                group,
                ..
            } => (row / group * 4 * d, 2 * d),
            part => (row * part.param_row_bytes(d), part.param_row_bytes(d) / 2),
        };
        self.arena().f16_of(page, half.params + at, len)
    }

    fn row(&self, seq: SeqId, layer: usize, head: usize, half: &Half, place: usize) -> Vec<f64> {
        let d = self.shape().head_dim;
        let code = |c| self.code(seq, layer, head, half, place, c);
        let params = || self.params(seq, layer, head, half, place);
        match half.part {
            Part::Sparse { .. } if place < half.paged => self.sparse_row(seq, layer, head, half.tensor, place),
            Part::Int { axis, group, .. } if place < half.paged => {
                let params = params();
                let (scales, minima) = params.split_at(params.len() / 2);
                let index = |c| if axis == Axis::Channel { c } else { c / group };
                (0..d)
                    .map(|c| f64::from(code(c)) * scales[index(c)].to_f64() + minima[index(c)].to_f64())
                    .collect()
            }
            Part::Token { codec, rotation } if place < half.paged => {
                let params = params();
                let mut row: Vec<f64> = (0..d).map(|c| codec::value(codec, code(c), c, d, params)).collect();
                codec::rotation::undo_f64(rotation, &mut row);
                row
            }
            _ => self
                .f16_row(seq, layer, head, half, place)
                .iter()
                .map(|x| x.to_f64())
                .collect(),
        }
    }

    fn unsealed(&self, seq: SeqId, layer: usize, head: usize, half: &Half, entries: &[(u32, usize)]) -> Vec<u16> {
        let f16s = entries
            .iter()
            .filter(|(_, place)| *place >= half.paged || !half.part.is_quantised());
        f16s.flat_map(|(_, place)| self.f16_row(seq, layer, head, half, *place).iter().map(|x| x.to_bits()))
            .collect()
    }

    fn sealed(&self, seq: SeqId, layer: usize, head: usize, half: &Half, entries: &[(u32, usize)]) -> Sealed {
        let mut sealed = Sealed::default();
        if !half.part.is_quantised() {
            return sealed;
        }
        let paged = entries
            .iter()
            .map(|(_, place)| *place)
            .filter(|place| *place < half.paged);
        let places: Vec<usize> = paged.collect();
        sealed.entries = places.len();
        let (d, bits) = (self.shape().head_dim, half.part.bits());
        let code = |place, c| self.code(seq, layer, head, half, place, c);
        let bits_of = |params: &[f16]| -> Vec<u16> { params.iter().map(|x| x.to_bits()).collect() };
        if let Part::Int {
            axis: Axis::Channel,
            group,
            ..
        } = half.part
        {
            for c in 0..d {
                let codes: Vec<u8> = places.iter().map(|place| code(*place, c)).collect();
                sealed.codes.extend(pack(&codes, bits));
                // Entries that share groups are never dropped alone, so ranks are places.
                for place in places.iter().step_by(group) {
                    let params = self.params(seq, layer, head, half, *place);
                    sealed.scales.push(params[c].to_bits());
                    sealed.minima.push(params[d + c].to_bits());
                }
            }
            return sealed;
        }
        for place in places {
            let codes: Vec<u8> = (0..d).map(|c| code(place, c)).collect();
            sealed.codes.extend(pack(&codes, bits));
            let params = self.params(seq, layer, head, half, place);
            let (scales, minima) = params.split_at(half.part.scales(d));
            sealed.scales.extend(bits_of(scales));
            sealed.minima.extend(bits_of(minima));
        }
        sealed
    }
}
