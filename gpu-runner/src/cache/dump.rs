//! The canonical dump of a store, for tests: positions ascending; K by channel as one line a channel (the channel's
//! sealed codes in entry order, then its scales and minima by group); everything else entry by entry, channels
//! ascending. Codes are a bit stream, least significant bit first, and each line starts on a byte.

use half::f16;

use super::layout::{Axis, Part};
use super::{KvCache, PageMap, SeqId};

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
    /// Minima, line by line.
    pub minima: Vec<u16>,
}

impl Dump {
    /// Bytes of all parts but the positions: the payload.
    pub fn payload_bytes(&self) -> usize {
        let of = |s: &Sealed| s.codes.len() + 2 * (s.scales.len() + s.minima.len());
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
    part: Part,
    paged: usize,
    codes: usize,
    params: usize,
    window_rows: usize,
}

impl KvCache {
    /// Dumps a store.
    pub fn dump(&self, seq: SeqId, layer: usize, head: usize) -> Dump {
        let (k, v) = self.halves(seq, layer, head);
        let entries = self.entries(seq, layer, head);
        Dump {
            positions: entries.iter().map(|(position, _)| *position).collect(),
            k: self.sealed(seq, layer, head, &k),
            v: self.sealed(seq, layer, head, &v),
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
        for place in 0..n {
            if place >= half.paged || !half.part.is_quantised() {
                wide.extend(self.f16_row(seq, layer, head, half, place).iter().map(|x| x.to_f32()));
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
            part: plan.layout.k,
            paged: store.k_paged,
            codes: map.k_codes,
            params: map.k_params,
            window_rows: self.window_map().k_codes,
        };
        let v = Half {
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

    /// Code, scale and minimum of one channel of a sealed entry.
    fn code(&self, seq: SeqId, layer: usize, head: usize, half: &Half, place: usize, c: usize) -> (u8, f16, f16) {
        let Part::Int { bits, axis, group } = half.part else {
            unreachable!("only quantised parts have codes");
        };
        let d = self.shape().head_dim;
        let tokens = self.plan(layer).layout.page_tokens;
        let page = self.store(seq, layer, head).pages[place / tokens];
        let row = place % tokens;
        let bit = c * bits as usize;
        let byte = self
            .arena()
            .bytes_of(page, half.codes + row * d * bits as usize / 8 + bit / 8, 1)[0];
        let code = (u16::from(byte) >> (bit % 8) & ((1 << bits) - 1)) as u8;
        let (first, step, index) = match axis {
            Axis::Channel => (row / group * 2 * d, d, c),
            Axis::Token => (row * 2 * (d / group), d / group, c / group),
        };
        let param = |i: usize| self.arena().f16_of(page, half.params + 2 * (first + i), 1)[0];
        (code, param(index), param(step + index))
    }

    fn row(&self, seq: SeqId, layer: usize, head: usize, half: &Half, place: usize) -> Vec<f64> {
        if place >= half.paged || !half.part.is_quantised() {
            return self
                .f16_row(seq, layer, head, half, place)
                .iter()
                .map(|x| x.to_f64())
                .collect();
        }
        let value = |c| {
            let (code, s, m) = self.code(seq, layer, head, half, place, c);
            f64::from(code) * s.to_f64() + m.to_f64()
        };
        (0..self.shape().head_dim).map(value).collect()
    }

    fn unsealed(&self, seq: SeqId, layer: usize, head: usize, half: &Half, entries: &[(u32, usize)]) -> Vec<u16> {
        let f16s = entries
            .iter()
            .filter(|(_, place)| *place >= half.paged || !half.part.is_quantised());
        f16s.flat_map(|(_, place)| self.f16_row(seq, layer, head, half, *place).iter().map(|x| x.to_bits()))
            .collect()
    }

    fn sealed(&self, seq: SeqId, layer: usize, head: usize, half: &Half) -> Sealed {
        let mut sealed = Sealed::default();
        let Part::Int { bits, axis, group } = half.part else {
            return sealed;
        };
        sealed.entries = half.paged;
        // A line is a channel over entries, or an entry over channels.
        let (lines, length) = match axis {
            Axis::Channel => (self.shape().head_dim, half.paged),
            Axis::Token => (half.paged, self.shape().head_dim),
        };
        for line in 0..lines {
            let at = |i: usize| match axis {
                Axis::Channel => self.code(seq, layer, head, half, i, line),
                Axis::Token => self.code(seq, layer, head, half, line, i),
            };
            let codes: Vec<u8> = (0..length).map(|i| at(i).0).collect();
            sealed.codes.extend(pack(&codes, bits as usize));
            sealed
                .scales
                .extend((0..length).step_by(group).map(|i| at(i).1.to_bits()));
            sealed
                .minima
                .extend((0..length).step_by(group).map(|i| at(i).2.to_bits()));
        }
        sealed
    }
}
