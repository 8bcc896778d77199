//! From a sample's text, messages or ids to the prompt that runs, cut if the workload says so.

use super::Loaded;
use crate::request::{Continuation, Item, Truncate};
use crate::tokenizer::{Chat, Message, Tokenizer, Wrap};
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
pub struct Rules<'a> {
    /// `None` for dummy models: only `tokens` can be used.
    tokenizer: Option<&'a Tokenizer>,
    /// Prompts become user messages of this template. A template that does not compile fails sample by sample.
    chat: Option<std::result::Result<Chat, String>>,
    truncate: Truncate,
    truncate_at: Option<usize>,
    /// Most tokens of prompt and answer.
    pub context: usize,
    vocab: usize,
}

impl<'a> Rules<'a> {
    /// The rules of a workload with `chat` and `date` on this model.
    ///
    /// # Errors
    /// `bad_request` for a chat without a template, or a date that is none.
    pub fn new(loaded: &'a Loaded, chat: bool, date: Option<&str>, truncate: Truncate) -> Result<Rules<'a>> {
        let tokenizer = loaded.tokenizer.as_ref();
        let template = loaded.chat_template.as_deref().or_else(|| tokenizer?.chat_template());
        let chat = match (chat, template) {
            (false, _) => None,
            (true, None) => {
                return Err(Error::BadRequest(
                    "the model has no chat template; give chat_template in load, or set chat to false".into(),
                ))
            }
            (true, Some(template)) => match Chat::new(template, date) {
                Ok(chat) => Some(Ok(chat)),
                Err(Error::Template(message)) => Some(Err(message)),
                Err(other) => return Err(other),
            },
        };
        Ok(Rules {
            tokenizer,
            chat,
            truncate,
            truncate_at: None,
            context: loaded.config.context,
            vocab: loaded.config.vocab,
        })
    }

    /// With the limit of `middle_retok` in ids of the text.
    #[must_use]
    pub fn truncate_at(mut self, ids: Option<usize>) -> Rules<'a> {
        self.truncate_at = ids;
        self
    }

    /// The tokenizer, for text.
    ///
    /// # Errors
    /// `bad_request` for a model without one.
    pub fn tokenizer(&self) -> Result<&'a Tokenizer> {
        self.tokenizer
            .ok_or_else(|| Error::BadRequest("a dummy model has no tokenizer; send tokens instead of text".into()))
    }

    /// The prompt of `item`, cut to leave room for `max_new` tokens if it is text and the workload truncates.
    ///
    /// # Errors
    /// `prompt_too_long`, `template`; `bad_request` for ids outside the vocabulary.
    pub fn prompt(&self, item: &Item, max_new: usize) -> Result<Prompt> {
        let whole = |ids: Vec<u32>| Prompt {
            raw: ids.len(),
            truncated: false,
            ids,
        };
        let prompt = if let Some(ids) = &item.tokens {
            self.check_ids(item, ids)?;
            whole(ids.clone())
        } else if let Some(messages) = &item.messages {
            let chat = self
                .chat
                .as_ref()
                .ok_or_else(|| Error::BadRequest(format!("sample {} has messages; set chat to true", item.sample)))?;
            whole(self.tokenizer()?.encode_chat(compiled(chat)?, messages)?)
        } else {
            self.text(item.prompt.as_deref().unwrap_or_default(), max_new)?
        };
        if prompt.ids.is_empty() {
            return Err(Error::BadRequest(format!(
                "sample {} has an empty prompt and the model adds no token of its own; send at least one token",
                item.sample
            )));
        }
        if prompt.ids.len() >= self.context {
            return Err(Error::PromptTooLong(format!(
                "the prompt of sample {} has {} tokens and the context is {}; shorten it or let the workload truncate",
                item.sample,
                prompt.ids.len(),
                self.context
            )));
        }
        Ok(prompt)
    }

    /// The ids of a text as this workload's prompts are encoded, never cut.
    ///
    /// # Errors
    /// `template`; `bad_request` for a model without a tokenizer.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let tokenizer = self.tokenizer()?;
        match &self.chat {
            Some(chat) => tokenizer.encode_chat(compiled(chat)?, &[Message::user(text)]),
            None => tokenizer.encode_plain(text),
        }
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
            Some(Continuation::Text(text)) => self.tokenizer()?.encode_continuation(text)?,
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

    fn wrap(&self, text: &str) -> Result<Wrap> {
        let tokenizer = self.tokenizer()?;
        match &self.chat {
            Some(chat) => tokenizer.wrap_chat(compiled(chat)?, &[Message::user(text)]),
            None => tokenizer.wrap_plain(text),
        }
    }

    fn text(&self, text: &str, max_new: usize) -> Result<Prompt> {
        let ids = self.encode(text)?;
        let (raw, limit) = (ids.len(), self.context.saturating_sub(max_new));
        let whole = Prompt {
            ids,
            raw,
            truncated: false,
        };
        match self.truncate {
            Truncate::None => Ok(whole),
            Truncate::Middle if raw <= limit => Ok(whole),
            Truncate::Middle => {
                let wrap = self.wrap(text)?;
                let room = limit.saturating_sub(wrap.prefix.len() + wrap.suffix.len());
                match wrap.cut_middle(limit) {
                    Some(ids) => Ok(Prompt {
                        ids,
                        raw,
                        truncated: wrap.user.len() > room,
                    }),
                    None => Err(Error::PromptTooLong(format!(
                        "max_new_tokens {max_new} and a template of {} tokens leave no room in a context of {}; lower \
                         max_new_tokens",
                        wrap.prefix.len() + wrap.suffix.len(),
                        self.context
                    ))),
                }
            }
            Truncate::MiddleRetok => {
                let tokenizer = self.tokenizer()?;
                let ids = tokenizer.encode_plain(text)?;
                let (most, half) = self
                    .truncate_at
                    .map_or((self.context, limit / 2), |most| (most, most / 2));
                if ids.len() <= most || half == 0 {
                    return Ok(whole);
                }
                let cut = tokenizer.decode(&ids[..half]) + &tokenizer.decode(&ids[ids.len() - half..]);
                Ok(Prompt {
                    ids: self.encode(&cut)?,
                    raw,
                    truncated: true,
                })
            }
        }
    }
}

fn compiled(chat: &std::result::Result<Chat, String>) -> Result<&Chat> {
    chat.as_ref().map_err(|message| Error::Template(message.clone()))
}
