//! Finds tokens that stand as whole strings in a text.

use super::vocab::{Kind, Vocab};
use std::collections::HashMap;

/// Which tokens to look for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    /// Those that count in any text.
    UserDefined,
    /// Those that only a template may write.
    Control,
    /// Both.
    All,
}

/// A stretch of text, or a token found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece<'t> {
    Text(&'t str),
    Token(u32),
}

/// A byte trie of the tokens: a look-up costs at most the longest token, whatever the text.
#[derive(Debug)]
pub(super) struct Specials {
    /// (node, byte) -> node; node 0 is the root.
    edges: HashMap<(u32, u8), u32>,
    /// Token and whether it is a control token, at the nodes where one ends.
    ends: HashMap<u32, (u32, bool)>,
}

impl Specials {
    pub(super) fn new(vocab: &Vocab) -> Self {
        let mut specials = Self {
            edges: HashMap::new(),
            ends: HashMap::new(),
        };
        for (id, text) in vocab.texts.iter().enumerate() {
            let control = match vocab.kinds[id] {
                Kind::Control | Kind::Unknown => true,
                Kind::UserDefined => false,
                _ => continue,
            };
            // a control token of one character cannot be broken by a mark, so it is never read from text
            if text.is_empty() || (control && text.chars().nth(1).is_none()) {
                continue;
            }
            let mut node = 0;
            for &byte in text.as_bytes() {
                let next = specials.edges.len() as u32 + 1;
                node = *specials.edges.entry((node, byte)).or_insert(next);
            }
            specials.ends.insert(node, (id as u32, control));
        }
        specials
    }

    /// The longest token of a kind that begins at byte `at`: its id and length in bytes.
    pub(super) fn longest_at(&self, text: &[u8], at: usize, which: Which) -> Option<(u32, usize)> {
        let (mut node, mut best) = (0, None);
        for (i, &byte) in text[at..].iter().enumerate() {
            let Some(&next) = self.edges.get(&(node, byte)) else {
                break;
            };
            node = next;
            if let Some(&(id, control)) = self.ends.get(&node) {
                let wanted = which == Which::All || control == (which == Which::Control);
                best = if wanted { Some((id, i + 1)) } else { best };
            }
        }
        best
    }

    /// Cuts at the leftmost, longest tokens; no piece of text is empty.
    pub(super) fn split<'t>(&self, text: &'t str, which: Which) -> Vec<Piece<'t>> {
        let mut pieces = Vec::new();
        let (mut start, mut at) = (0, 0);
        while at < text.len() {
            let Some((id, len)) = self.longest_at(text.as_bytes(), at, which) else {
                at += 1;
                continue;
            };
            if start < at {
                pieces.push(Piece::Text(&text[start..at]));
            }
            pieces.push(Piece::Token(id));
            at += len;
            start = at;
        }
        if start < text.len() {
            pieces.push(Piece::Text(&text[start..]));
        }
        pieces
    }
}
