//! What is reported of a sequence, beside its tokens.

use crate::cache::KvStats;
use crate::events::Event;
use crate::request::Item;
use base64::Engine as _;
use sha2::{Digest, Sha256};

/// sha256 over ids as little-endian u32, hex.
pub fn ids_sha(ids: &[u32]) -> String {
    let mut hasher = Sha256::new();
    ids.iter().for_each(|id| hasher.update(id.to_le_bytes()));
    hex(&hasher.finalize())
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The event `kept`: `bitmap` holds, per layer and kv head, ceil(seen / 8) bytes.
pub fn kept_event(cell: &str, item: &Item, kv: &KvStats, bitmap: &[u8]) -> Event {
    let layers = kv.kept_layers.len();
    let per_head = kv.seen.div_ceil(8).max(1);
    Event::Kept {
        cell: cell.to_owned(),
        sample: item.sample.clone(),
        replicate: item.replicate,
        seen: kv.seen,
        layers,
        kv_heads: bitmap.len() / per_head / layers.max(1),
        bitmap: base64::engine::general_purpose::STANDARD.encode(bitmap),
    }
}
