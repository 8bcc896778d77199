//! The vocabulary fields of a model file, checked.

use crate::gguf::Gguf;
use crate::Result;
use std::collections::HashMap;

/// The kind of a token, by its number in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Normal,
    Unknown,
    Control,
    UserDefined,
    Unused,
    Byte,
}

/// End-of-turn texts that files name by no key of their own; they count where they are control tokens.
const END_TEXTS: [&str; 9] = [
    "<|im_end|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end_of_text|>",
    "<|endoftext|>",
    "<|end|>",
    "<|end_of_turn|>",
    "<end_of_turn>",
    "</s>",
];

/// What the encoders, the decoder and the templates need.
#[derive(Debug)]
pub(super) struct Vocab {
    pub(super) texts: Vec<String>,
    pub(super) kinds: Vec<Kind>,
    pub(super) bos: Option<u32>,
    pub(super) eos: Option<u32>,
    pub(super) unknown: Option<u32>,
    pub(super) padding: Option<u32>,
    pub(super) end_ids: Vec<u32>,
    pub(super) add_bos: bool,
    pub(super) add_eos: bool,
    pub(super) add_space_prefix: bool,
    pub(super) chat_template: Option<String>,
}

impl Vocab {
    /// Reads and checks; the two flags are the defaults of the kind where the file says nothing.
    pub(super) fn read(gguf: &Gguf, add_bos: bool, add_space_prefix: bool) -> Result<Self> {
        let texts: Vec<&str> = gguf.need("tokenizer.ggml.tokens")?;
        if texts.is_empty() || texts.len() > i32::MAX as usize {
            return Err(gguf.error(format!("tokenizer.ggml.tokens has {} entries", texts.len())));
        }
        let mut kinds = read_kinds(gguf, texts.len())?;
        let id = |key: &str| -> Result<Option<u32>> {
            let found: Option<u32> = gguf.get(key)?;
            match found {
                Some(id) if id as usize >= texts.len() => {
                    Err(gguf.error(format!("{key} is {id}, the vocabulary has {} tokens", texts.len())))
                }
                found => Ok(found),
            }
        };
        let bos = id("tokenizer.ggml.bos_token_id")?;
        let eos = id("tokenizer.ggml.eos_token_id")?;
        let unknown = id("tokenizer.ggml.unknown_token_id")?;
        let padding = id("tokenizer.ggml.padding_token_id")?;
        let mut end_ids: Vec<u32> = eos.into_iter().collect();
        end_ids.extend(id("tokenizer.ggml.eot_token_id")?);
        end_ids.extend(id("tokenizer.ggml.eom_token_id")?);
        // what ends a turn or starts a text is a control token, whatever the converter wrote
        for &id in bos.iter().chain(&end_ids) {
            kinds[id as usize] = Kind::Control;
        }
        for (id, text) in texts.iter().enumerate() {
            if kinds[id] == Kind::Control && END_TEXTS.contains(text) {
                end_ids.push(id as u32);
            }
        }
        end_ids.sort_unstable();
        end_ids.dedup();
        check_unique(gguf, &texts, &kinds)?;
        let add_bos = gguf.get("tokenizer.ggml.add_bos_token")?.unwrap_or(add_bos);
        let add_eos = gguf.get("tokenizer.ggml.add_eos_token")?.unwrap_or(false);
        for (flag, id, name) in [(add_bos, bos, "bos"), (add_eos, eos, "eos")] {
            if flag && id.is_none() {
                return Err(gguf.error(format!(
                    "prompts need {name}, but tokenizer.ggml.{name}_token_id is missing"
                )));
            }
        }
        Ok(Self {
            texts: texts.iter().map(|&text| text.to_owned()).collect(),
            kinds,
            bos,
            eos,
            unknown,
            padding,
            end_ids,
            add_bos,
            add_eos,
            add_space_prefix: gguf.get("tokenizer.ggml.add_space_prefix")?.unwrap_or(add_space_prefix),
            chat_template: gguf.get::<&str>("tokenizer.chat_template")?.map(str::to_owned),
        })
    }

    /// Tokens that text may be cut into: id and text. Control, byte and unused tokens are never made from text.
    pub(super) fn pieces(&self) -> impl Iterator<Item = (u32, &str)> {
        let of_text = |kind: Kind| matches!(kind, Kind::Normal | Kind::UserDefined);
        let tokens = self.texts.iter().zip(&self.kinds).enumerate();
        tokens
            .filter(move |(_, (text, &kind))| of_text(kind) && !text.is_empty())
            .map(|(id, (text, _))| (id as u32, text.as_str()))
    }

    pub(super) fn control_id(&self, text: &str) -> Option<u32> {
        let mut tokens = self.texts.iter().zip(&self.kinds);
        tokens
            .position(|(token, &kind)| kind == Kind::Control && token == text)
            .map(|id| id as u32)
    }

    /// The text of an id that [`Self::read`] has checked.
    pub(super) fn text(&self, id: Option<u32>) -> Option<&str> {
        id.map(|id| self.texts[id as usize].as_str())
    }
}

fn read_kinds(gguf: &Gguf, n: usize) -> Result<Vec<Kind>> {
    let key = "tokenizer.ggml.token_type";
    let Some(numbers) = gguf.get::<Vec<i32>>(key)? else {
        return Ok(vec![Kind::Normal; n]);
    };
    if numbers.len() != n {
        return Err(gguf.error(format!("{key} has {} entries for {n} tokens", numbers.len())));
    }
    let kind = |(id, number): (usize, &i32)| match number {
        0 | 1 => Ok(Kind::Normal),
        2 => Ok(Kind::Unknown),
        3 => Ok(Kind::Control),
        4 => Ok(Kind::UserDefined),
        5 => Ok(Kind::Unused),
        6 => Ok(Kind::Byte),
        _ => Err(gguf.error(format!("{key} of token {id} is {number}; 0 to 6 are known"))),
    };
    numbers.iter().enumerate().map(kind).collect()
}

fn check_unique(gguf: &Gguf, texts: &[&str], kinds: &[Kind]) -> Result<()> {
    let mut seen = HashMap::with_capacity(texts.len());
    for (id, (text, &kind)) in texts.iter().zip(kinds).enumerate() {
        if text.is_empty() || kind == Kind::Unused {
            continue;
        }
        if let Some(first) = seen.insert(*text, id) {
            return Err(gguf.error(format!("tokens {first} and {id} are both {text:?}")));
        }
    }
    Ok(())
}
