//! A weight matrix in panel form.

use super::panel::{Inputs, Layout, PANEL_ROWS};
use super::slab::Region;
use super::Pool;
use crate::quant::WeightType;

/// Rows of one tensor, as the file has them.
#[derive(Clone, Copy)]
pub struct Rows<'a> {
    /// Their type.
    pub ty: WeightType,
    /// How many.
    pub rows: usize,
    /// Their bytes, row after row.
    pub bytes: &'a [u8],
    /// If given, packed row i is the file's row order[i]: the channel order of half-split architectures.
    pub order: Option<&'a [usize]>,
}

/// Sixteen rows, or fewer at the end of a tensor.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PanelAt {
    pub ty: WeightType,
    /// First output row.
    pub row: usize,
    pub rows: usize,
    /// Offset of its bytes.
    pub at: usize,
}

/// A matrix [rows, cols] of one or more tensors stacked (Q, K and V; gate and up), each of its own type, with an
/// optional bias.
pub struct PackedMatrix {
    rows: usize,
    cols: usize,
    inputs: Inputs,
    panels: Vec<PanelAt>,
    region: Region,
    len: usize,
    bias: Option<Vec<f32>>,
}

impl std::fmt::Debug for PackedMatrix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PackedMatrix [{}, {}], {} bytes", self.rows, self.cols, self.len)
    }
}

impl PackedMatrix {
    /// Packs tensors of `cols` columns, the rows of the second after those of the first; parallel over panels.
    ///
    /// # Panics
    /// If a tensor's bytes or its order do not fit its shape: the loader has checked them.
    pub fn pack(cols: usize, parts: &[Rows], pool: &Pool) -> PackedMatrix {
        let (mut panels, mut sources) = (Vec::new(), Vec::new());
        let (mut rows, mut len, mut inputs) = (0, 0, Inputs::default());
        for part in parts {
            let row_bytes = part.ty.row_bytes(cols);
            assert_eq!(part.bytes.len(), part.rows * row_bytes, "bytes of {} rows", part.rows);
            if let Some(order) = part.order {
                assert!(order.len() == part.rows && order.iter().all(|&i| i < part.rows));
            }
            let layout = Layout::of(part.ty);
            inputs = inputs.or(Inputs::of(part.ty));
            for first in (0..part.rows).step_by(PANEL_ROWS) {
                panels.push(PanelAt {
                    ty: part.ty,
                    row: rows + first,
                    rows: PANEL_ROWS.min(part.rows - first),
                    at: len,
                });
                sources.push((part, first));
                len += cols.div_ceil(layout.cols) * layout.bytes;
            }
            rows += part.rows;
        }
        let region = Region::new(len);
        let base = Bytes(region.start());
        pool.tasks(panels.len(), &|i| {
            let (panel, (part, first)) = (&panels[i], sources[i]);
            let layout = Layout::of(panel.ty);
            let panel_len = cols.div_ceil(layout.cols) * layout.bytes;
            // SAFETY: panels lie one after the other within the region's `len` bytes, one task each; the bytes are
            // written before a slice of them is made.
            let out = unsafe {
                base.at(panel.at).write_bytes(0, panel_len);
                std::slice::from_raw_parts_mut(base.at(panel.at), panel_len)
            };
            let row_bytes = panel.ty.row_bytes(cols);
            for row in 0..panel.rows {
                let source = part.order.map_or(first + row, |order| order[first + row]);
                let bytes = &part.bytes[source * row_bytes..][..row_bytes];
                for (block, step) in bytes.chunks(layout.file_bytes).zip(out.chunks_exact_mut(layout.bytes)) {
                    (layout.pack)(block, row, step);
                }
            }
        });
        PackedMatrix {
            rows,
            cols,
            inputs,
            panels,
            region,
            len,
            bias: None,
        }
    }

    /// Adds `bias` [rows] to every output.
    ///
    /// # Panics
    /// If it has another length.
    #[must_use]
    pub fn with_bias(mut self, bias: Vec<f32>) -> PackedMatrix {
        assert_eq!(bias.len(), self.rows, "a bias has one value per output row");
        self.bias = Some(bias);
        self
    }

    /// Lets quantised rows read their input as two int8 blocks, the second for what the first rounds away: about 15 bits
    /// instead of 8, for one more pass of products over weights that are in the cache by then.
    #[must_use]
    pub fn sharp(mut self) -> PackedMatrix {
        self.inputs.residual = self.inputs.int8;
        self
    }

    /// Output rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Input columns.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// The forms in which it reads its input.
    pub fn inputs(&self) -> Inputs {
        self.inputs
    }

    /// Bytes held, which one pass over the matrix reads.
    pub fn bytes(&self) -> usize {
        self.len
    }

    pub(crate) fn panels(&self) -> &[PanelAt] {
        &self.panels
    }

    pub(crate) fn bias(&self) -> Option<&[f32]> {
        self.bias.as_deref()
    }

    /// The first byte of a panel.
    pub(crate) fn panel_bytes(&self, panel: &PanelAt) -> *const u8 {
        debug_assert!(panel.at < self.len);
        // SAFETY: `at` is an offset within the region.
        unsafe { self.region.start().add(panel.at) }
    }

    /// The panels of one of `parts` threads: those that begin in its share of the bytes.
    pub(crate) fn share(&self, part: usize, parts: usize) -> std::ops::Range<usize> {
        let bound = |i: usize| self.panels.partition_point(|panel| panel.at * parts < self.len * i);
        bound(part)..bound(part + 1)
    }
}

struct Bytes(*mut u8);
// SAFETY: threads write disjoint panels, see `pack`.
unsafe impl Sync for Bytes {}

impl Bytes {
    /// # Safety
    /// `offset` lies within the region.
    unsafe fn at(&self, offset: usize) -> *mut u8 {
        self.0.add(offset)
    }
}
