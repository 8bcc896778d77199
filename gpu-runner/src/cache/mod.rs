//! The paged, compressed KV cache.
//!
//! One *store* per (sequence, layer, kv head), ragged from the start: pages that really hold packed codes, and an f16
//! window in front of them. The cache executes what a compressor declares; it knows no method by name. One engine
//! thread owns a cache; attention reads it from all threads in between. Refused: a contiguous cache per sequence
//! (evictors and ragged heads would copy it), and attention over a dequantised copy (it would hide a wrong scale).

mod admission;
mod drop;
pub mod dump;
mod fill;
mod layout;
mod observe;
mod pool;
mod seal_due;
pub mod sparse;
mod stats;
mod table;

pub use layout::{Axis, Flush, KeyForm, Layout, PageMap, Part, Rotation, TokenCodec, ALIGN, GGML_BLOCK, WINDOW_TOKENS};
pub use observe::{Observed, Watched};
pub use pool::{ClassId, PageId, PagePool, SLAB};
pub use stats::{expected, witness, Expected, Held, KvStats};
pub use table::{QueryRing, Sequence, Store, Window};

use sparse::SparsePlan;
use std::sync::Arc;

use crate::backend::cpu::arena::Arena;
use crate::backend::cpu::Isa;
use crate::compress::{Eviction, Resolved};
use crate::model::rope::Rope;
use crate::model::Shape;
use crate::{Error, Result};

/// A running sequence of one cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SeqId(usize);

/// What is fixed for a layer when the cache is made.
#[derive(Debug)]
pub struct LayerPlan {
    /// How entries lie.
    pub layout: Layout,
    /// Offsets in a page.
    pub page: PageMap,
    /// Protected first tokens, for slots.
    pub sinks: usize,
    /// What lies beside the codes of methods with corrections.
    pub sparse: Option<SparsePlan>,
    class: ClassId,
}

/// The cache of one cell.
pub struct KvCache {
    shape: Shape,
    compressor: Resolved,
    eviction: Option<Eviction>,
    plans: Vec<LayerPlan>,
    window: PageMap,
    window_class: ClassId,
    pages: PagePool,
    arena: Arena,
    rope: Arc<Rope>,
    isa: Isa,
    sequences: Vec<Option<Sequence>>,
    audit_seals: bool,
}

impl KvCache {
    /// An empty cache that never holds more than `limit_bytes`, of pages (whole slabs of 2 MiB) and what lies beside them.
    ///
    /// # Errors
    /// A head dimension without kernels, or one that the compressor refuses.
    pub fn new(shape: Shape, compressor: &Resolved, rope: Arc<Rope>, isa: Isa, limit_bytes: usize) -> Result<KvCache> {
        if !matches!(shape.head_dim, 64 | 128) {
            let text = format!(
                "head dimension {} has no attention kernel; 64 and 128 have",
                shape.head_dim
            );
            return Err(Error::Unsupported(text));
        }
        if shape.kv_heads == 0 || !shape.q_heads.is_multiple_of(shape.kv_heads) {
            let text = format!(
                "{} query heads do not divide among {} kv heads",
                shape.q_heads, shape.kv_heads
            );
            return Err(Error::Unsupported(text));
        }
        compressor.check(Some(shape))?;
        let eviction = compressor.eviction();
        let mut pages = PagePool::new(limit_bytes);
        let window = Layout::window_page(shape.head_dim);
        let window_class = pages.class(window.bytes)?;
        let plans = (0..shape.layers)
            .map(|layer| {
                let layout = compressor.layout(layer, shape);
                let page = layout.page(shape.head_dim);
                let sparse = SparsePlan::new(&layout, layer, shape, compressor, &mut pages)?;
                Ok(LayerPlan {
                    layout,
                    page,
                    sinks: eviction.map_or(0, |e| e.sinks),
                    sparse,
                    class: pages.class(page.bytes)?,
                })
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(KvCache {
            shape,
            compressor: compressor.clone(),
            eviction,
            plans,
            window,
            window_class,
            pages,
            arena: Arena::default(),
            rope,
            isa,
            sequences: Vec::new(),
            audit_seals: false,
        })
    }

    /// The shape it was made for.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The plan of a layer.
    pub fn plan(&self, layer: usize) -> &LayerPlan {
        &self.plans[layer]
    }

    /// Which K [`KvCache::prefill_layer`] and [`KvCache::append`] take.
    pub fn key_form(&self) -> KeyForm {
        self.plans.first().map_or(KeyForm::PostRope, |p| p.layout.key_form)
    }

    /// The rotation that slot positions are read with.
    pub fn rope(&self) -> &Rope {
        &self.rope
    }

    /// Offsets in a page of the window.
    pub fn window_map(&self) -> &PageMap {
        &self.window
    }

    /// The bytes of pages.
    pub fn arena(&self) -> &Arena {
        &self.arena
    }

    /// The hard limit and what is left of it, in bytes.
    pub fn limit_and_free_bytes(&self) -> (usize, usize) {
        (self.pages.limit_bytes(), self.pages.free_bytes())
    }

    /// Pages that sequences hold now: 0 when all are released.
    pub fn live_pages(&self) -> usize {
        self.pages.live_pages()
    }

    /// Counts every seal from now on, so that a test can see that no entry is sealed twice.
    pub fn audit_seals(&mut self) {
        self.audit_seals = true;
    }

    /// A store.
    ///
    /// # Panics
    /// If the sequence was released.
    pub fn store(&self, seq: SeqId, layer: usize, head: usize) -> &Store {
        &self.sequence(seq).stores[layer * self.shape.kv_heads + head]
    }

    /// The index to rotate the next token's query with, and its K where keys are stored rotated: tokens seen, or under
    /// slot positions the entries held before the append.
    pub fn query_position(&self, seq: SeqId, layer: usize) -> usize {
        let store = self.store(seq, layer, 0);
        match self.plans[layer].layout.key_form {
            KeyForm::PostRope => store.seen,
            KeyForm::PreRope => store.n,
        }
    }

    /// Tokens that entered the cache of a sequence.
    pub fn seen(&self, seq: SeqId) -> usize {
        self.sequence(seq).stores.last().map_or(0, |s| s.seen)
    }

    /// Adds to a sequence's count of values clamped to +-65504 on store.
    pub fn add_clamped(&mut self, seq: SeqId, clamped: u64) {
        self.sequence_mut(seq).clamped += clamped;
    }

    /// Which tokens are held: per (layer, kv head) ceil(seen / 8) bytes, bit p mod 8 of byte p / 8 = token p.
    pub fn kept_bitmap(&self, seq: SeqId) -> Vec<u8> {
        let bytes = self.seen(seq).div_ceil(8);
        let mut bitmap = vec![0; bytes * self.shape.layers * self.shape.kv_heads];
        for (i, map) in bitmap.chunks_exact_mut(bytes.max(1)).enumerate() {
            for position in self.positions(seq, i / self.shape.kv_heads, i % self.shape.kv_heads) {
                map[position as usize / 8] |= 1 << (position % 8);
            }
        }
        bitmap
    }

    /// Original positions of a store's entries, ascending.
    pub fn positions(&self, seq: SeqId, layer: usize, head: usize) -> Vec<u32> {
        self.entries(seq, layer, head)
            .into_iter()
            .map(|(position, _)| position)
            .collect()
    }

    /// (original position, place) of a store's entries, by position.
    pub(crate) fn entries(&self, seq: SeqId, layer: usize, head: usize) -> Vec<(u32, usize)> {
        let store = self.store(seq, layer, head);
        let held = (0..store.places()).filter(|place| Some(*place) != store.hole);
        let mut entries: Vec<(u32, usize)> = held.map(|place| (store.position(place), place)).collect();
        entries.sort_unstable();
        entries
    }

    fn sequence(&self, seq: SeqId) -> &Sequence {
        self.sequences[seq.0].as_ref().expect("the sequence is running")
    }

    fn store_mut(&mut self, seq: SeqId, layer: usize, head: usize) -> &mut Store {
        let index = layer * self.shape.kv_heads + head;
        &mut self.sequence_mut(seq).stores[index]
    }

    fn sequence_mut(&mut self, seq: SeqId) -> &mut Sequence {
        self.sequences[seq.0].as_mut().expect("the sequence is running")
    }
}
