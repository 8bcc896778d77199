//! From a sample's text, messages or ids to the prompt that runs, cut if the workload says so.

use crate::request::{Continuation, Item, Message, Truncate};
use crate::tokenizer::Tokenizer;
use crate::{Error, Result};

/// A prompt in ids.
#[derive(Debug, Clone, Default)]
pub struct Prompt {
    /// What runs.
    pub ids: Vec<u32>,
    /// Tokens before a cut.
    pub raw: usize,
    /// Whether it was cut.
    pub truncated: bool,
}

/// What prompts of a cell are made with.
#[derive(Clone, Copy)]
pub struct Rules<'a> {
    /// `None` for dummy models: only `tokens` can be used.
    pub tokenizer: Option<&'a Tokenizer>,
    /// Used instead of the file's template.
    pub template: Option<&'a str>,
    /// Prompts become user messages.
    pub chat: bool,
    /// For `strftime_now`.
    pub date: Option<&'a str>,
    /// What happens to long prompts.
    pub truncate: Truncate,
    /// Most tokens of prompt and answer.
    pub context: usize,
    /// Size of the vocabulary.
    pub vocab: usize,
}

impl<'a> Rules<'a> {
    /// The tokenizer, for text.
    ///
    /// # Errors
    /// `bad_request` for a model without one.
    pub fn tokenizer(&self) -> Result<&'a Tokenizer> {
        self.tokenizer
            .ok_or_else(|| Error::BadRequest("a dummy model has no tokenizer; send tokens instead of text".into()))
    }

    /// The prompt of `item` that leaves room for `max_new` tokens if it may be cut, and for one in any case.
    ///
    /// # Errors
    /// `prompt_too_long`, `template`; `bad_request` for ids outside the vocabulary.
    pub fn prompt(&self, item: &Item, max_new: usize) -> Result<Prompt> {
        let (ids, raw, truncated) = if let Some(ids) = &item.tokens {
            self.check_ids(item, ids)?;
            (ids.clone(), ids.len(), false)
        } else if let Some(messages) = &item.messages {
            let ids = self.chat(messages)?;
            let raw = ids.len();
            (ids, raw, false)
        } else {
            self.text(item.prompt.as_deref().unwrap_or_default(), max_new)?
        };
        if ids.is_empty() {
            return Err(Error::BadRequest(format!(
                "sample {} has an empty prompt and the model adds no token of its own; send at least one token",
                item.sample
            )));
        }
        if ids.len() >= self.context {
            return Err(Error::PromptTooLong(format!(
                "the prompt of sample {} has {} tokens and the context is {}; shorten it or let the workload truncate",
                item.sample,
                ids.len(),
                self.context
            )));
        }
        Ok(Prompt { ids, raw, truncated })
    }

    /// The ids of a continuation.
    ///
    /// # Errors
    /// `bad_request` if there is none, or for ids outside the vocabulary.
    pub fn continuation(&self, item: &Item) -> Result<Vec<u32>> {
        let ids = match &item.continuation {
            Some(Continuation::Ids(ids)) => {
                self.check_ids(item, ids)?;
                ids.clone()
            }
            Some(Continuation::Text(text)) => self.tokenizer()?.encode_text(text)?,
            None => Vec::new(),
        };
        if ids.is_empty() {
            return Err(Error::BadRequest(format!(
                "sample {} has no continuation to score; send text or ids",
                item.sample
            )));
        }
        Ok(ids)
    }

    fn check_ids(&self, item: &Item, ids: &[u32]) -> Result<()> {
        match ids.iter().find(|id| **id as usize >= self.vocab) {
            Some(id) => Err(Error::BadRequest(format!(
                "sample {} has token id {id}; the vocabulary has {} ids from 0",
                item.sample, self.vocab
            ))),
            None => Ok(()),
        }
    }

    fn chat(&self, messages: &[Message]) -> Result<Vec<u32>> {
        self.tokenizer()?.encode_chat(messages, self.template, self.date)
    }

    /// A single text: (ids, tokens before the cut, whether it was cut).
    fn text(&self, text: &str, max_new: usize) -> Result<(Vec<u32>, usize, bool)> {
        let parts = self.parts(text)?;
        let raw = parts.len();
        match self.truncate {
            Truncate::None => Ok((parts.concat(), raw, false)),
            Truncate::Middle => {
                let room = self.context.saturating_sub(max_new + parts.prefix.len() + parts.suffix.len());
                if parts.user.len() <= room {
                    return Ok((parts.concat(), raw, false));
                }
                if room == 0 {
                    return Err(Error::PromptTooLong(format!(
                        "max_new_tokens {max_new} and a template of {} tokens leave no room in a context of {}; lower \
                         max_new_tokens",
                        parts.prefix.len() + parts.suffix.len(),
                        self.context
                    )));
                }
                let (head, tail) = (room.div_ceil(2), room / 2);
                let mut user = parts.user[..head].to_vec();
                user.extend_from_slice(&parts.user[parts.user.len() - tail..]);
                Ok((Parts { user, ..parts }.concat(), raw, true))
            }
            Truncate::MiddleRetok => {
                let tokenizer = self.tokenizer()?;
                let mut ids = tokenizer.bos();
                ids.extend(tokenizer.encode_text(text)?);
                let half = self.context.saturating_sub(max_new) / 2;
                if ids.len() <= self.context || half == 0 {
                    return Ok((parts.concat(), raw, false));
                }
                let cut = tokenizer.decode(&ids[..half]) + &tokenizer.decode(&ids[ids.len() - half..]);
                Ok((self.parts(&cut)?.concat(), raw, true))
            }
        }
    }

    /// The text as ids between what the template (or BOS) puts around it.
    fn parts(&self, text: &str) -> Result<Parts> {
        let tokenizer = self.tokenizer()?;
        if self.chat {
            let (prefix, user, suffix) = tokenizer.encode_user(text, self.template, self.date)?;
            Ok(Parts { prefix, user, suffix })
        } else {
            Ok(Parts {
                prefix: tokenizer.bos(),
                user: tokenizer.encode_text(text)?,
                suffix: Vec::new(),
            })
        }
    }
}

struct Parts {
    prefix: Vec<u32>,
    user: Vec<u32>,
    suffix: Vec<u32>,
}

impl Parts {
    fn len(&self) -> usize {
        self.prefix.len() + self.user.len() + self.suffix.len()
    }

    fn concat(&self) -> Vec<u32> {
        [&self.prefix[..], &self.user, &self.suffix].concat()
    }
}
