//! Storage of codes with corrections: `gear` and `kvquant`.
//!
//! A store's codes lie in pages as those of other quantisers. What comes on top has a fixed size per token (rows of Q,
//! outliers of V) and lies in the same page, or does not: outliers of K go to a *stream*, a list of small pages that the
//! store fills from its first token to its last; the columns of Pm, and K params that serve a whole block, go to one
//! *factor page* a block; tokens that stay f16 for good go to one *head page*. So the bytes of a store stay close to its
//! payload, and nothing is sized by a worst case. Refused: outliers beside each page with room for the worst (a quarter of
//! them would be empty), and one list of outliers a sequence (heads would wait for one another).

mod fill;
mod layout;
mod read;
mod reserve;
mod table;

pub use layout::{Gear, Kvquant, Sparse, Tail};
pub(crate) use table::SparsePlan;
pub use table::SparseStore;

/// Outliers in a page of the stream.
pub(crate) const STREAM_ENTRIES: usize = 128;

/// Bytes of an outlier: u16 token in page * d + channel, f16 difference.
pub(crate) const OUTLIER_BYTES: usize = 4;
