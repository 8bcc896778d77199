//! Text to token ids and back, from the model file's own vocabulary, and chat prompts from its template.
//!
//! Two kinds of vocabulary are read: `gpt2` (byte-level BPE, by the `tokenizers` crate, with the pre-tokenizer that
//! the file names) and `llama` (SentencePiece pieces with scores, by the BPE of `sentencepiece.rs`). A kind or a
//! pre-tokenizer that is not known is refused, never guessed.
//!
//! Control tokens (`<|im_end|>`, `<s>`) exist only where a chat template or a flag of the file puts them: the same
//! characters in a user's text are text. User-defined tokens (such as `<tool_call>`) are no control tokens, and are
//! found in any text, as the models' own tokenizers do.

mod byte_level;
mod chat;
mod dates;
mod decode;
mod pre;
mod prompt;
mod sentencepiece;
mod specials;
mod vocab;

use crate::gguf::Gguf;
use crate::{Error, Result};
pub use decode::Decoder;
pub use pre::{PreTokenizer, PRE_TOKENIZERS};
pub use prompt::{Chat, Message, Wrap};
use vocab::Vocab;

/// How a kind of vocabulary cuts text into ids.
#[derive(Debug)]
enum Encoder {
    ByteLevel(Box<byte_level::ByteLevel>),
    SentencePiece(Box<sentencepiece::SentencePiece>),
}

/// The tokenizer of one model file.
#[derive(Debug)]
pub struct Tokenizer {
    vocab: Vocab,
    encoder: Encoder,
    /// All tokens that may be found as whole strings.
    specials: specials::Specials,
    /// Bytes that each id stands for; empty for control tokens.
    bytes: decode::Bytes,
}

impl Tokenizer {
    /// Builds the tokenizer from the fields `tokenizer.ggml.*`.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for an unknown kind of vocabulary or pre-tokenizer, [`Error::ModelFile`] for missing or
    /// contradicting fields.
    pub fn from_gguf(gguf: &Gguf) -> Result<Self> {
        let model: &str = gguf.need("tokenizer.ggml.model")?;
        let (vocab, encoder) = match model {
            "gpt2" => {
                let pre = pre::by_name(gguf.get("tokenizer.ggml.pre")?)?;
                let vocab = Vocab::read(gguf, pre.add_bos, false)?;
                let merges: Vec<&str> = gguf.need("tokenizer.ggml.merges")?;
                let byte_level = byte_level::ByteLevel::new(&vocab, &merges, pre).map_err(|why| gguf.error(why))?;
                (vocab, Encoder::ByteLevel(Box::new(byte_level)))
            }
            "llama" => {
                let vocab = Vocab::read(gguf, true, true)?;
                let scores: Vec<f32> = gguf.need("tokenizer.ggml.scores")?;
                let pieces = sentencepiece::SentencePiece::new(&vocab, &scores).map_err(|why| gguf.error(why))?;
                (vocab, Encoder::SentencePiece(Box::new(pieces)))
            }
            other => {
                return Err(Error::Unsupported(format!(
                    "{}: vocabulary kind {other} is not supported; gpt2 and llama are",
                    gguf.path().display()
                )))
            }
        };
        let bytes = match encoder {
            Encoder::ByteLevel(_) => decode::Bytes::of_byte_level(&vocab),
            Encoder::SentencePiece(_) => decode::Bytes::of_sentencepiece(&vocab),
        };
        let specials = specials::Specials::new(&vocab);
        Ok(Self {
            vocab,
            encoder,
            specials,
            bytes,
        })
    }

    /// `gpt2` or `llama`.
    pub fn kind(&self) -> &'static str {
        match self.encoder {
            Encoder::ByteLevel(_) => "gpt2",
            Encoder::SentencePiece(_) => "llama",
        }
    }

    /// Ids in the vocabulary.
    pub fn vocab_len(&self) -> usize {
        self.vocab.texts.len()
    }

    /// Whether the model wants BOS in front of every prompt.
    pub fn add_bos(&self) -> bool {
        self.vocab.add_bos
    }

    /// Whether the file asks for EOS behind every plain prompt.
    pub fn add_eos(&self) -> bool {
        self.vocab.add_eos
    }

    /// The id of BOS, if the file names one.
    pub fn bos(&self) -> Option<u32> {
        self.vocab.bos
    }

    /// Ids that end a generation, ascending: the file's EOS, end of turn and end of message, and control tokens with
    /// one of the known end-of-turn texts.
    pub fn end_ids(&self) -> &[u32] {
        &self.vocab.end_ids
    }

    /// The chat template of the file.
    pub fn chat_template(&self) -> Option<&str> {
        self.vocab.chat_template.as_deref()
    }

    /// A token as it is written in the vocabulary.
    pub fn token_text(&self, id: u32) -> Option<&str> {
        self.vocab.texts.get(id as usize).map(String::as_str)
    }

    /// The id of a control token by its text.
    pub fn control_id(&self, text: &str) -> Option<u32> {
        self.vocab.control_id(text)
    }

    /// Ids of a text: no BOS, control tokens are text. The first piece gets the space that SentencePiece vocabularies
    /// put in front.
    ///
    /// # Errors
    /// [`Error::BadRequest`] for a text that cannot be cut (see `byte_level`).
    pub fn encode_text(&self, text: &str) -> Result<Vec<u32>> {
        let mut ids = Vec::new();
        self.encode_user(text, true, &mut ids)?;
        Ok(ids)
    }

    /// Ids of a text that goes on behind other text: as [`Self::encode_text`], without the space in front.
    ///
    /// # Errors
    /// As [`Self::encode_text`].
    pub fn encode_continuation(&self, text: &str) -> Result<Vec<u32>> {
        let mut ids = Vec::new();
        self.encode_user(text, false, &mut ids)?;
        Ok(ids)
    }

    /// Ids of a prompt without a chat template: BOS and EOS as the file's flags say, and the text between them.
    ///
    /// # Errors
    /// As [`Self::encode_text`].
    pub fn encode_plain(&self, text: &str) -> Result<Vec<u32>> {
        Ok(self.wrap_plain(text)?.join())
    }

    /// Text with user-defined tokens found in it, control tokens not.
    fn encode_user(&self, text: &str, mut at_start: bool, ids: &mut Vec<u32>) -> Result<()> {
        for piece in self.specials.split(text, specials::Which::UserDefined) {
            self.encode_piece(piece, &mut at_start, ids)?;
        }
        Ok(())
    }

    /// One piece; `at_start` says whether text here begins a segment, and is updated for the next piece.
    fn encode_piece(&self, piece: specials::Piece, at_start: &mut bool, ids: &mut Vec<u32>) -> Result<()> {
        match piece {
            specials::Piece::Token(id) => ids.push(id),
            specials::Piece::Text(text) => match &self.encoder {
                Encoder::ByteLevel(encoder) => encoder.encode(text, ids)?,
                Encoder::SentencePiece(encoder) => encoder.encode(text, *at_start && self.vocab.add_space_prefix, ids),
            },
        }
        // every segment behind a whole token begins anew, as in the original SentencePiece converters
        *at_start = matches!(piece, specials::Piece::Token(_));
        Ok(())
    }

    /// Text of ids: control tokens are left out, bytes that are no UTF-8 become U+FFFD.
    pub fn decode(&self, ids: &[u32]) -> String {
        let mut decoder = Decoder::default();
        let mut text = String::new();
        for &id in ids {
            decoder.push(self, id, &mut text);
        }
        decoder.finish(&mut text);
        text
    }
}
