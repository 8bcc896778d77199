//! Ids to text.

use super::byte_level;
use super::sentencepiece;
use super::vocab::{Kind, Vocab};
use super::Tokenizer;

/// The bytes of every id, one after the other.
#[derive(Debug)]
pub(super) struct Bytes {
    data: Vec<u8>,
    /// Id i is data[ends[i - 1]..ends[i]].
    ends: Vec<usize>,
    /// The first id of a text loses its leading space, which the encoder put there.
    strip_space: bool,
}

impl Bytes {
    pub(super) fn of_byte_level(vocab: &Vocab) -> Self {
        let bytes: Vec<Option<u8>> = (0..0x180)
            .map(|c| char::from_u32(c).and_then(byte_level::byte_of))
            .collect();
        // a character outside the alphabet stands for itself
        Self::new(vocab, false, |_, text, out| {
            for c in text.chars() {
                match bytes.get(c as usize).copied().flatten() {
                    Some(byte) => out.push(byte),
                    None => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
                }
            }
        })
    }

    pub(super) fn of_sentencepiece(vocab: &Vocab) -> Self {
        Self::new(
            vocab,
            vocab.add_space_prefix,
            |kind, text, out| match sentencepiece::byte_of(text) {
                Some(byte) if kind == Kind::Byte => out.push(byte),
                _ => out.extend_from_slice(text.replace('\u{2581}', " ").as_bytes()),
            },
        )
    }

    fn new(vocab: &Vocab, strip_space: bool, write: impl Fn(Kind, &str, &mut Vec<u8>)) -> Self {
        let (mut data, mut ends) = (Vec::new(), Vec::with_capacity(vocab.texts.len()));
        for (text, &kind) in vocab.texts.iter().zip(&vocab.kinds) {
            match kind {
                Kind::Control | Kind::Unknown => {}
                Kind::UserDefined => data.extend_from_slice(text.as_bytes()),
                _ => write(kind, text, &mut data),
            }
            ends.push(data.len());
        }
        Self {
            data,
            ends,
            strip_space,
        }
    }

    fn get(&self, id: u32) -> &[u8] {
        let at = id as usize;
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        &self.data[start..self.ends[at]]
    }
}

/// Turns ids into text as they come. Only whole characters leave it: a character that is spread over several tokens
/// comes with its last one. All that was pushed out, with what [`Self::finish`] adds, is [`Tokenizer::decode`]'s text.
#[derive(Debug, Clone, Default)]
pub struct Decoder {
    /// Bytes of a character that is not complete.
    pending: Vec<u8>,
    started: bool,
}

impl Decoder {
    /// Appends the text that is certain after one more id. An id past the vocabulary stands for nothing.
    pub fn push(&mut self, tokenizer: &Tokenizer, id: u32, text: &mut String) {
        if id as usize >= tokenizer.vocab_len() {
            return;
        }
        let mut bytes = tokenizer.bytes.get(id);
        if !self.started && !bytes.is_empty() {
            self.started = true;
            if tokenizer.bytes.strip_space {
                bytes = bytes.strip_prefix(b" ").unwrap_or(bytes);
            }
        }
        self.pending.extend_from_slice(bytes);
        let kept = whole(&self.pending, text);
        self.pending.drain(..kept);
    }

    /// Appends what an incomplete character leaves: one U+FFFD.
    pub fn finish(&mut self, text: &mut String) {
        text.push_str(&String::from_utf8_lossy(&self.pending));
        self.pending.clear();
    }
}

/// Appends all but an incomplete character at the end; returns the bytes used.
fn whole(bytes: &[u8], text: &mut String) -> usize {
    let mut used = 0;
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        used += chunk.valid().len();
        let invalid = chunk.invalid();
        if invalid.is_empty() {
            continue;
        }
        // the last bytes may only be the beginning of a character
        let cut_short = used + invalid.len() == bytes.len()
            && std::str::from_utf8(invalid).is_err_and(|error| error.error_len().is_none());
        if cut_short {
            break;
        }
        text.push(char::REPLACEMENT_CHARACTER);
        used += invalid.len();
    }
    used
}
