//! `llama` vocabularies: SentencePiece BPE over characters, with bytes for what no piece covers.
//!
//! SentencePiece joins, again and again, the two neighbours whose joint text is the piece of the highest score; equal
//! scores go to the leftmost. Ranked merges for a general BPE (what converters make of scores) order equal scores by
//! id instead: with `zy` and `xz` equal and `zy` first in the file, `xzy` would be `x`, `zy` and not `xz`, `y`. So
//! the loop is written out here; the pairs that can join are listed once, at load.

use super::vocab::{Kind, Vocab};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

/// A pair that can join: the rank of its piece (0 = highest score) and the piece.
#[derive(Debug, Clone, Copy)]
struct Join {
    rank: u32,
    piece: u32,
}

/// The encoder.
#[derive(Debug)]
pub(super) struct SentencePiece {
    /// Characters that begin a piece or are one. A character that is no piece has a number past the vocabulary.
    chars: HashMap<char, u32>,
    joins: HashMap<(u32, u32), Join>,
    /// Ids of the 256 byte tokens; the unknown token where the file lacks one.
    bytes: [u32; 256],
    vocab_len: u32,
}

/// A run of text during the joins; `prev` and `next` are indexes, `NONE` at the ends.
struct Symbol {
    prev: u32,
    next: u32,
    id: u32,
    /// Raised at each join, so that queued joins of an older state are told apart.
    version: u32,
}

const NONE: u32 = u32::MAX;

impl SentencePiece {
    pub(super) fn new(vocab: &Vocab, scores: &[f32]) -> Result<Self, String> {
        let n = vocab.texts.len();
        if scores.len() != n {
            return Err(format!(
                "tokenizer.ggml.scores has {} entries for {n} tokens",
                scores.len()
            ));
        }
        let pieces: HashMap<&str, u32> = vocab.pieces().map(|(id, text)| (text, id)).collect();
        let mut order: Vec<f32> = pieces.values().map(|&id| scores[id as usize]).collect();
        order.sort_by(|a, b| b.total_cmp(a));
        order.dedup();
        let mut chars = HashMap::new();
        for text in pieces.keys() {
            for c in text.chars() {
                let past = n as u32 + chars.len() as u32;
                chars
                    .entry(c)
                    .or_insert_with(|| pieces.get(c.to_string().as_str()).copied().unwrap_or(past));
            }
        }
        let mut joins = HashMap::new();
        // a part is a piece or a lone character, which may have no piece of its own
        let part = |text: &str| {
            let mut letters = text.chars();
            let lone = letters.next().filter(|_| letters.next().is_none());
            pieces
                .get(text)
                .copied()
                .or_else(|| lone.and_then(|c| chars.get(&c).copied()))
        };
        for (text, &piece) in &pieces {
            let score = scores[piece as usize];
            let rank = order.partition_point(|&other| other > score) as u32;
            for (cut, _) in text.char_indices().skip(1) {
                if let (Some(left), Some(right)) = (part(&text[..cut]), part(&text[cut..])) {
                    joins.insert((left, right), Join { rank, piece });
                }
            }
        }
        Ok(Self {
            chars,
            joins,
            bytes: byte_tokens(vocab)?,
            vocab_len: n as u32,
        })
    }

    /// Appends the ids of a text. Spaces become U+2581; with `prefix` one more stands in front.
    pub(super) fn encode(&self, text: &str, prefix: bool, ids: &mut Vec<u32>) {
        if text.is_empty() {
            return;
        }
        let letters: Vec<char> = prefix
            .then_some(' ')
            .into_iter()
            .chain(text.chars())
            .map(|c| if c == ' ' { '\u{2581}' } else { c })
            .collect();
        let count = letters.len() as u32;
        let symbol = |(i, c): (u32, &char)| Symbol {
            prev: if i == 0 { NONE } else { i - 1 },
            next: if i + 1 == count { NONE } else { i + 1 },
            id: self.chars.get(c).copied().unwrap_or(NONE),
            version: 0,
        };
        let mut symbols: Vec<Symbol> = (0..count).zip(&letters).map(symbol).collect();
        let mut queue = BinaryHeap::new();
        for left in 0..count {
            self.consider(&symbols, left, &mut queue);
        }
        while let Some(Reverse((_, left, versions, piece))) = queue.pop() {
            let right = symbols[left as usize].next;
            // the left side may have been swallowed (version 2^32 - 1) or either may have grown since
            if right == NONE || versions != (symbols[left as usize].version, symbols[right as usize].version) {
                continue;
            }
            let after = symbols[right as usize].next;
            symbols[right as usize].version = NONE;
            let joined = &mut symbols[left as usize];
            (joined.id, joined.next, joined.version) = (piece, after, joined.version + 1);
            let before = joined.prev;
            if after != NONE {
                symbols[after as usize].prev = left;
            }
            self.consider(&symbols, left, &mut queue);
            if before != NONE {
                self.consider(&symbols, before, &mut queue);
            }
        }
        let mut at = 0;
        while at != NONE {
            let symbol = &symbols[at as usize];
            if symbol.id < self.vocab_len {
                ids.push(symbol.id);
            } else {
                // never joined, so it is still the one character that stood here
                let mut utf8 = [0; 4];
                let bytes = letters[at as usize].encode_utf8(&mut utf8).bytes();
                ids.extend(bytes.map(|byte| self.bytes[byte as usize]));
            }
            at = symbol.next;
        }
    }

    /// Queues the join of a symbol with its right neighbour, if they form a piece.
    fn consider(&self, symbols: &[Symbol], left: u32, queue: &mut BinaryHeap<Reverse<Queued>>) {
        let symbol = &symbols[left as usize];
        if symbol.next == NONE {
            return;
        }
        let right = &symbols[symbol.next as usize];
        if let Some(join) = self.joins.get(&(symbol.id, right.id)) {
            queue.push(Reverse((join.rank, left, (symbol.version, right.version), join.piece)));
        }
    }
}

/// Rank, left symbol, versions of both sides, piece; the lowest rank comes first, then the leftmost.
type Queued = (u32, u32, (u32, u32), u32);

/// The tokens `<0x00>` to `<0xFF>`.
fn byte_tokens(vocab: &Vocab) -> Result<[u32; 256], String> {
    let mut found = [None; 256];
    for (id, text) in vocab.texts.iter().enumerate() {
        if let Some(byte) = byte_of(text).filter(|_| vocab.kinds[id] == Kind::Byte) {
            found[byte as usize] = Some(id as u32);
        }
    }
    let mut out = [0; 256];
    for (byte, id) in found.iter().enumerate() {
        let id = id.or(vocab.unknown);
        out[byte] =
            id.ok_or_else(|| format!("the vocabulary has neither a token <0x{byte:02X}> nor an unknown token"))?;
    }
    Ok(out)
}

/// The byte of a token that is written `<0xNN>`.
pub(super) fn byte_of(text: &str) -> Option<u8> {
    let hex = text.strip_prefix("<0x")?.strip_suffix('>')?;
    (hex.len() == 2).then(|| u8::from_str_radix(hex, 16).ok()).flatten()
}
