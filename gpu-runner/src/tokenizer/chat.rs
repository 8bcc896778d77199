//! Renders a chat template: Jinja as the models' own tokenizers set it up (trimmed blocks, Python methods, `tojson`
//! without escapes, loop controls), but without a clock and within a budget.
//!
//! A model file is not trusted, so neither is its template. Fuel bounds instructions and the bytes of strings. It does
//! not see a list that holds itself many times over while that is written out, compared or dropped: writing is bounded
//! here, and for the rest each render has a thread of its own, with a deadline and a stack that is deeper than fuel
//! can nest values. What remains: a template built to join such a list to a string (`~`) meets the deadline, but its
//! thread cannot be stopped and goes on taking memory.

use super::dates::Date;
use crate::{Error, Result};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Value, ValueKind};
use minijinja::{escape_formatter, Environment, ErrorKind};
use serde::Serialize;
use std::io::Write;
use std::sync::{mpsc, Arc};
use std::thread;
use std::time::Duration;

/// What a render may cost: instructions, and 64 bytes of text made or read count as one. A hostile template meets
/// this within a second; a template that copies a prompt of 8 MiB six times passes.
const FUEL: u64 = 1_500_000;
/// Only virtual: a template that nests nothing touches a few pages of it.
const STACK_BYTES: usize = 1 << 30;
/// Far more than any template needs, so that a busy machine fails no sample.
const DEADLINE: Duration = Duration::from_secs(20);
/// Longest text that a list or a mapping may be written out as.
const MAX_WRITTEN: usize = 16 << 20;
const NAME: &str = "chat template";

/// Texts of the special tokens that templates may name.
pub(super) struct Names<'a> {
    pub(super) bos: Option<&'a str>,
    pub(super) eos: Option<&'a str>,
    pub(super) unknown: Option<&'a str>,
    pub(super) padding: Option<&'a str>,
}

/// A compiled template.
#[derive(Debug)]
pub(super) struct Template {
    environment: Arc<Environment<'static>>,
}

impl Template {
    pub(super) fn compile(source: &str) -> Result<Self> {
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.map_err(refused)?);
        environment.set_fuel(Some(FUEL));
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_filter("tojson", tojson);
        environment.set_formatter(|out, state, value| match value.kind() {
            ValueKind::Seq | ValueKind::Map | ValueKind::Iterable | ValueKind::Plain => {
                let mut text = Limited(Vec::new());
                write!(text, "{value}").map_err(|_| too_long())?;
                escape_formatter(out, state, &Value::from(text.into_string()?))
            }
            _ => escape_formatter(out, state, value),
        });
        environment.add_function(
            "raise_exception",
            |message: String| -> Result<Value, minijinja::Error> {
                Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
            },
        );
        environment
            .add_template_owned(NAME, source.to_owned())
            .map_err(refused)?;
        Ok(Self {
            environment: Arc::new(environment),
        })
    }

    /// The prompt up to where the assistant begins. `messages`: role and content.
    pub(super) fn render(&self, messages: &[(&str, &str)], names: &Names, date: Option<Date>) -> Result<String> {
        let message = |&(role, content): &(&str, &str)| minijinja::context! { role, content };
        // what is not there must be undefined, because templates ask `is defined`
        let text = |text: Option<&str>| text.map_or(Value::UNDEFINED, Value::from);
        let strftime = |date: Date| {
            Value::from_function(move |pattern: String| {
                date.format(&pattern)
                    .map_err(|why| minijinja::Error::new(ErrorKind::InvalidOperation, why))
            })
        };
        let context = minijinja::context! {
            messages => messages.iter().map(message).collect::<Vec<Value>>(),
            add_generation_prompt => true,
            tools => (),
            documents => (),
            bos_token => text(names.bos),
            eos_token => text(names.eos),
            unk_token => text(names.unknown),
            pad_token => text(names.padding),
            strftime_now => date.map_or(Value::UNDEFINED, strftime),
        };
        let (sender, receiver) = mpsc::channel();
        let environment = Arc::clone(&self.environment);
        let work = move || {
            let rendered = environment
                .get_template(NAME)
                .and_then(|template| template.render(context));
            // nobody listens past the deadline
            let _ = sender.send(rendered);
        };
        let thread = thread::Builder::new()
            .name("chat-template".into())
            .stack_size(STACK_BYTES)
            .spawn(work);
        thread.map_err(|e| Error::Internal(format!("a thread for the chat template cannot be started: {e}")))?;
        match receiver.recv_timeout(DEADLINE) {
            Ok(rendered) => rendered.map_err(refused),
            Err(_) => Err(Error::Template(format!(
                "the chat template did not end within {DEADLINE:?}"
            ))),
        }
    }
}

fn refused(error: minijinja::Error) -> Error {
    let line = error.line().map_or(String::new(), |line| format!(" at line {line}"));
    let detail = error.detail().map_or(String::new(), |detail| format!(": {detail}"));
    Error::Template(format!("the chat template failed{line}: {}{detail}", error.kind()))
}

/// `json.dumps(value, ensure_ascii=False, indent=indent)`.
fn tojson(value: Value, options: Kwargs) -> Result<Value, minijinja::Error> {
    let indent: Option<usize> = options.get("indent")?;
    options.assert_all_used()?;
    let mut out = Limited(Vec::new());
    let written = match indent {
        Some(width) => {
            let indent = " ".repeat(width.min(16));
            let formatter = serde_json::ser::PrettyFormatter::with_indent(indent.as_bytes());
            value.serialize(&mut serde_json::Serializer::with_formatter(&mut out, formatter))
        }
        None => value.serialize(&mut serde_json::Serializer::with_formatter(&mut out, Spaced)),
    };
    written.map_err(|error| minijinja::Error::new(ErrorKind::BadSerialization, error.to_string()))?;
    out.into_string().map(Value::from)
}

fn too_long() -> minijinja::Error {
    minijinja::Error::new(
        ErrorKind::InvalidOperation,
        format!("a value is longer than {MAX_WRITTEN} bytes"),
    )
}

/// Text that stops growing.
struct Limited(Vec<u8>);

impl Limited {
    fn into_string(self) -> Result<String, minijinja::Error> {
        String::from_utf8(self.0).map_err(|e| minijinja::Error::new(ErrorKind::BadSerialization, e.to_string()))
    }
}

impl Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_WRITTEN {
            return Err(std::io::Error::other(format!("longer than {MAX_WRITTEN} bytes")));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Python's separators, `, ` and `: `.
struct Spaced;

impl serde_json::ser::Formatter for Spaced {
    fn begin_array_value<W: ?Sized + std::io::Write>(&mut self, out: &mut W, first: bool) -> std::io::Result<()> {
        if first {
            Ok(())
        } else {
            out.write_all(b", ")
        }
    }

    fn begin_object_key<W: ?Sized + std::io::Write>(&mut self, out: &mut W, first: bool) -> std::io::Result<()> {
        if first {
            Ok(())
        } else {
            out.write_all(b", ")
        }
    }

    fn begin_object_value<W: ?Sized + std::io::Write>(&mut self, out: &mut W) -> std::io::Result<()> {
        out.write_all(b": ")
    }
}
