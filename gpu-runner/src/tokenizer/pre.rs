//! The pre-tokenizers of `gpt2` vocabularies, by the name in `tokenizer.ggml.pre`.
//!
//! A pre-tokenizer cuts text into words; merges never cross a cut, so a wrong pattern gives wrong ids without any
//! error. That is why an unknown name is refused. Aliases are only names under which the same pattern is published.

use crate::{Error, Result};

/// One pre-tokenizer.
#[derive(Debug, Clone, Copy)]
pub struct PreTokenizer {
    /// Names in model files.
    pub names: &'static [&'static str],
    /// Applied in order; each cuts the pieces of the one before, and a match is a piece of its own.
    pub(super) patterns: &'static [&'static str],
    /// Text is brought to Unicode NFC first.
    pub(super) nfc: bool,
    /// A word that is a token is taken whole, without its merges.
    pub(super) ignore_merges: bool,
    /// BOS in front of prompts where the file does not say.
    pub(super) add_bos: bool,
}

const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
const LLAMA3: &str = concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}",
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
);
const QWEN2: &str = concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}",
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
);

/// All pre-tokenizers that the engine has.
pub const PRE_TOKENIZERS: [PreTokenizer; 4] = [
    PreTokenizer {
        names: &["gpt-2"],
        patterns: &[GPT2],
        nfc: false,
        ignore_merges: false,
        add_bos: false,
    },
    // every digit alone, then the pattern of gpt-2
    PreTokenizer {
        names: &["smollm"],
        patterns: &[r"\p{N}", GPT2],
        nfc: false,
        ignore_merges: false,
        add_bos: false,
    },
    PreTokenizer {
        names: &["llama-bpe", "llama3", "llama-v3"],
        patterns: &[LLAMA3],
        nfc: false,
        ignore_merges: true,
        add_bos: true,
    },
    PreTokenizer {
        names: &["qwen2", "deepseek-r1-qwen"],
        patterns: &[QWEN2],
        nfc: true,
        ignore_merges: false,
        add_bos: false,
    },
];

/// The row of a name; a file without one is refused, too.
pub(super) fn by_name(name: Option<&str>) -> Result<&'static PreTokenizer> {
    let row = name.and_then(|name| PRE_TOKENIZERS.iter().find(|row| row.names.contains(&name)));
    row.ok_or_else(|| {
        let known: Vec<_> = PRE_TOKENIZERS.iter().flat_map(|row| row.names).copied().collect();
        let found = name.map_or("tokenizer.ggml.pre is missing".into(), |name| {
            format!("pre-tokenizer {name} is unknown")
        });
        Error::Unsupported(format!("{found}; the engine has {}", known.join(", ")))
    })
}
