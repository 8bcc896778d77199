//! Chat prompts: render, then tell the template's tokens from the user's text.
//!
//! The template is rendered with the messages in it, because templates trim, test and join them. Before that, every
//! control token that is spelled in a message is broken by a mark, a private-use character that occurs in no message;
//! after it, the render is cut at control tokens, which can then only be the template's own, the marks are taken
//! out, and the stretches between are encoded as text. So a stretch that has both template and user text ("user\n" and
//! the first word) is tokenized as one, exactly as if the whole prompt had been one string.

use super::chat::{Names, Template};
use super::dates::Date;
use super::specials::{Piece, Which};
use super::Tokenizer;
use crate::{Error, Result};
use std::collections::HashSet;
use std::ops::RangeInclusive;

/// One message of a chat.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// `system`, `user` or `assistant`; the template decides what it takes.
    pub role: String,
    /// The text.
    pub content: String,
}

impl Message {
    /// A user's message.
    pub fn user(content: impl Into<String>) -> Self {
        Self {
            role: "user".into(),
            content: content.into(),
        }
    }
}

/// A compiled chat template with its date: what a workload keeps for all its samples.
#[derive(Debug)]
pub struct Chat {
    template: Template,
    date: Option<Date>,
    /// For the choice of marks: they must not occur in the template.
    source: String,
}

impl Chat {
    /// Compiles a template. `date` (`YYYY-MM-DD`) feeds `strftime_now`, which is undefined without one.
    ///
    /// # Errors
    /// [`Error::Template`] if it does not compile, [`Error::BadRequest`] for a date that is none.
    pub fn new(template: &str, date: Option<&str>) -> Result<Self> {
        let date = date.map(Date::parse).transpose()?;
        Ok(Self {
            template: Template::compile(template)?,
            date,
            source: template.to_owned(),
        })
    }
}

/// A prompt in three parts, so that a text which is too long can be cut in its middle. `prefix` and `suffix` are what
/// the template (or BOS and EOS) puts around the last user message, `user` is that message, each tokenized alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrap {
    /// Ids in front of the text.
    pub prefix: Vec<u32>,
    /// Ids of the text, without BOS.
    pub user: Vec<u32>,
    /// Ids behind the text.
    pub suffix: Vec<u32>,
}

impl Wrap {
    /// All three parts.
    pub fn join(&self) -> Vec<u32> {
        [&self.prefix[..], &self.user, &self.suffix].concat()
    }

    /// At most `limit` ids: of `user` the first ceil(P / 2) and the last floor(P / 2) stay, P = what prefix and suffix
    /// leave. `None` if they leave nothing.
    pub fn cut_middle(&self, limit: usize) -> Option<Vec<u32>> {
        let room = limit
            .checked_sub(self.prefix.len() + self.suffix.len())
            .filter(|&room| room > 0)?;
        if self.user.len() <= room {
            return Some(self.join());
        }
        let (head, tail) = (&self.user[..room.div_ceil(2)], &self.user[self.user.len() - room / 2..]);
        Some([&self.prefix, head, tail, &self.suffix].concat())
    }
}

impl Tokenizer {
    /// The prompt of a chat, up to where the assistant begins. BOS stands in front if the file asks for it and the
    /// template has not written it.
    ///
    /// # Errors
    /// [`Error::Template`] if the template refuses the messages, fails or exceeds its budget.
    pub fn encode_chat(&self, chat: &Chat, messages: &[Message]) -> Result<Vec<u32>> {
        let marks = self.marks(chat, messages)?;
        let rendered = self.render(chat, messages, &marks, None)?;
        let mut ids = Vec::new();
        self.encode_rendered(&rendered, &marks, true, &mut ids)?;
        self.put_bos(&mut ids);
        Ok(ids)
    }

    /// The prompt's text as the template renders it, for logs and tests.
    ///
    /// # Errors
    /// As [`Self::encode_chat`].
    pub fn render_chat(&self, chat: &Chat, messages: &[Message]) -> Result<String> {
        let marks = self.marks(chat, messages)?;
        Ok(self.render(chat, messages, &marks, None)?.replace(marks.inside, ""))
    }

    /// The same prompt in parts around the last user message. `user` is what the template made of the message (it may
    /// trim it). Joined, the parts can differ from [`Self::encode_chat`] where the text would have merged with what
    /// stands beside it; so this is only for texts that must be cut.
    ///
    /// # Errors
    /// As [`Self::encode_chat`]; also if there is no user message, or if the template writes it not exactly once or
    /// changes its other text with it.
    pub fn wrap_chat(&self, chat: &Chat, messages: &[Message]) -> Result<Wrap> {
        let fail = |why: &str| Error::Template(format!("{why}; the prompt cannot be cut in its middle"));
        let last = messages.iter().rposition(|message| message.role == "user");
        let last = last.ok_or_else(|| fail("there is no user message"))?;
        let marks = self.marks(chat, messages)?;
        let frame = self.render(chat, messages, &marks, Some(last))?;
        let mut parts = frame.split(marks.place);
        let (Some(before), Some(after), None) = (parts.next(), parts.next(), parts.next()) else {
            return Err(fail(
                "the chat template does not write the last user message exactly once",
            ));
        };
        let rendered = self.render(chat, messages, &marks, None)?;
        let middle = rendered.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
        let middle = middle.ok_or_else(|| fail("the chat template changes its own text with the user message"))?;
        let mut wrap = Wrap {
            prefix: vec![],
            user: vec![],
            suffix: vec![],
        };
        let at_start = self.encode_rendered(before, &marks, true, &mut wrap.prefix)?;
        let at_start = self.encode_rendered(middle, &marks, at_start, &mut wrap.user)?;
        self.encode_rendered(after, &marks, at_start, &mut wrap.suffix)?;
        self.put_bos(&mut wrap.prefix);
        Ok(wrap)
    }

    /// A prompt without a template in parts: BOS, text, EOS, as the file's flags say.
    ///
    /// # Errors
    /// As [`Self::encode_text`].
    pub fn wrap_plain(&self, text: &str) -> Result<Wrap> {
        let flagged = |flag: bool, id: Option<u32>| id.filter(|_| flag).into_iter().collect();
        let (vocab, user) = (&self.vocab, self.encode_text(text)?);
        Ok(Wrap {
            prefix: flagged(vocab.add_bos, vocab.bos),
            user,
            suffix: flagged(vocab.add_eos, vocab.eos),
        })
    }

    fn put_bos(&self, ids: &mut Vec<u32>) {
        if let Some(bos) = self
            .vocab
            .bos
            .filter(|&bos| self.vocab.add_bos && ids.first() != Some(&bos))
        {
            ids.insert(0, bos);
        }
    }

    /// Renders; the content of message `place` is replaced by the mark for it.
    fn render(&self, chat: &Chat, messages: &[Message], marks: &Marks, place: Option<usize>) -> Result<String> {
        let broken = |(i, message): (usize, &Message)| {
            let content = if place == Some(i) {
                marks.place.to_string()
            } else {
                self.break_controls(&message.content, marks.inside)
            };
            (self.break_controls(&message.role, marks.inside), content)
        };
        let broken: Vec<(String, String)> = messages.iter().enumerate().map(broken).collect();
        let messages: Vec<(&str, &str)> = broken
            .iter()
            .map(|(role, content)| (role.as_str(), content.as_str()))
            .collect();
        let vocab = &self.vocab;
        let names = Names {
            bos: vocab.text(vocab.bos),
            eos: vocab.text(vocab.eos),
            unknown: vocab.text(vocab.unknown),
            padding: vocab.text(vocab.padding),
        };
        chat.template.render(&messages, &names, chat.date)
    }

    /// Puts a mark behind the first character of every control token that the text spells.
    fn break_controls(&self, text: &str, mark: char) -> String {
        let mut out = String::with_capacity(text.len());
        for (at, c) in text.char_indices() {
            out.push(c);
            if self.specials.longest_at(text.as_bytes(), at, Which::Control).is_some() {
                out.push(mark);
            }
        }
        out
    }

    /// Ids of a part of a render; returns whether the next part begins a segment.
    fn encode_rendered(&self, text: &str, marks: &Marks, mut at_start: bool, ids: &mut Vec<u32>) -> Result<bool> {
        for piece in self.specials.split(text, Which::All) {
            match piece {
                Piece::Text(text) => {
                    let text = text.replace(marks.inside, "");
                    self.encode_piece(Piece::Text(&text), &mut at_start, ids)?;
                }
                token => self.encode_piece(token, &mut at_start, ids)?,
            }
        }
        Ok(at_start)
    }

    fn marks(&self, chat: &Chat, messages: &[Message]) -> Result<Marks> {
        let texts = messages
            .iter()
            .flat_map(|message| [&message.content, &message.role])
            .chain([&chat.source]);
        let used: HashSet<char> = texts
            .flat_map(|text| text.chars())
            .filter(|c| PRIVATE.contains(c))
            .collect();
        let mut free = PRIVATE.rev().filter(|c| !used.contains(c));
        match (free.next(), free.next()) {
            (Some(inside), Some(place)) => Ok(Marks { inside, place }),
            _ => Err(Error::Template(
                "the messages use up all private-use characters; shorten them".into(),
            )),
        }
    }
}

const PRIVATE: RangeInclusive<char> = '\u{e000}'..='\u{f8ff}';

/// Two characters that occur in no message and not in the template.
struct Marks {
    /// Breaks control tokens that are spelled in a message.
    inside: char,
    /// Stands for the message that may be cut.
    place: char,
}
