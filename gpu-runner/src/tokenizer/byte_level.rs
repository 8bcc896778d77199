//! `gpt2` vocabularies: BPE over bytes, each byte written as one printable character.
//!
//! A byte that the vocabulary lacks leaves no id, as in the models' own tokenizers (SmolLM2 lacks some control
//! characters). The `tokenizers` crate stops a pattern silently when its engine gives up on backtracking, which long
//! runs of whitespace can cause; [`MAX_WHITESPACE_RUN`] refuses such texts before.

use super::pre::PreTokenizer;
use super::vocab::Vocab;
use crate::{Error, Result};
use std::collections::HashMap;
use tokenizers::models::bpe::{Merges, BPE};
use tokenizers::normalizers::unicode::NFC;
use tokenizers::pre_tokenizers::byte_level::ByteLevel as Bytes;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{PreTokenizerWrapper, SplitDelimiterBehavior};

/// Longest run of whitespace characters that is encoded. The regex engine gives up at 1,000,000 steps back.
pub(super) const MAX_WHITESPACE_RUN: usize = 200_000;

/// The encoder.
#[derive(Debug)]
pub(super) struct ByteLevel {
    tokenizer: tokenizers::Tokenizer,
}

impl ByteLevel {
    pub(super) fn new(vocab: &Vocab, merges: &[&str], pre: &PreTokenizer) -> Result<Self, String> {
        let ids: HashMap<&str, u32> = vocab.pieces().map(|(id, text)| (text, id)).collect();
        let merges = parse_merges(merges, &ids)?;
        let model = BPE::builder()
            .vocab_and_merges(
                ids.iter().map(|(text, &id)| (text.to_string(), id)).collect::<Ids>(),
                merges,
            )
            .ignore_merges(pre.ignore_merges)
            .build()
            .map_err(|e| format!("the merges do not fit the vocabulary: {e}"))?;
        let mut tokenizer = tokenizers::Tokenizer::new(model);
        let mut steps: Vec<PreTokenizerWrapper> = Vec::new();
        for pattern in pre.patterns {
            let pattern = SplitPattern::Regex((*pattern).to_owned());
            let split = Split::new(pattern, SplitDelimiterBehavior::Isolated, false);
            steps.push(split.map_err(|e| format!("pattern of the pre-tokenizer: {e}"))?.into());
        }
        steps.push(Bytes::new(false, false, false).into());
        tokenizer.with_pre_tokenizer(Some(Sequence::new(steps)));
        if pre.nfc {
            tokenizer
                .with_normalizer(Some(NFC))
                .map_err(|e| format!("normalizer: {e}"))?;
        }
        Ok(Self { tokenizer })
    }

    pub(super) fn encode(&self, text: &str, ids: &mut Vec<u32>) -> Result<()> {
        let run = longest_whitespace_run(text);
        if run > MAX_WHITESPACE_RUN {
            return Err(Error::BadRequest(format!(
                "the text has {run} whitespace characters in a row; at most {MAX_WHITESPACE_RUN} can be tokenized"
            )));
        }
        let encoding = self.tokenizer.encode_fast(text, false);
        let encoding = encoding.map_err(|e| Error::Internal(format!("tokenizing {} bytes: {e}", text.len())))?;
        ids.extend_from_slice(encoding.get_ids());
        Ok(())
    }
}

type Ids = tokenizers::models::bpe::Vocab;

/// `left right` lines to pairs. The crate indexes a buffer by the merged length, so what a damaged file would make it
/// read is refused here.
fn parse_merges(merges: &[&str], ids: &HashMap<&str, u32>) -> Result<Merges, String> {
    let mut pairs = Vec::with_capacity(merges.len());
    for (rank, merge) in merges.iter().enumerate() {
        // a part may itself be a space in vocabularies that are not byte-level: the cut is never at byte 0
        let cut = merge.char_indices().skip(1).find(|&(_, c)| c == ' ').map(|(at, _)| at);
        let (left, right) = match cut {
            Some(at) => (&merge[..at], &merge[at + 1..]),
            None => return Err(format!("merge {rank} ({merge:?}) is no pair")),
        };
        let product = [left, right].concat();
        for part in [left, right, product.as_str()] {
            if !ids.contains_key(part) {
                return Err(format!(
                    "merge {rank} ({merge:?}) needs the token {part:?}, which the vocabulary lacks"
                ));
            }
        }
        pairs.push((left.to_owned(), right.to_owned()));
    }
    Ok(pairs)
}

fn longest_whitespace_run(text: &str) -> usize {
    let (mut longest, mut run) = (0, 0);
    for c in text.chars() {
        run = if c.is_whitespace() { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    longest
}

/// The byte that a character of a byte-level token stands for: printable Latin-1 characters are themselves, the other
/// bytes follow each other from U+0100 in ascending order.
pub(super) fn byte_of(c: char) -> Option<u8> {
    let printable = |byte: u32| matches!(byte, 33..=126 | 161..=172 | 174..=255);
    let code = c as u32;
    if code < 256 {
        return printable(code).then_some(code as u8);
    }
    (0..256)
        .filter(|&byte| !printable(byte))
        .nth((code - 256) as usize)
        .map(|byte| byte as u8)
}
