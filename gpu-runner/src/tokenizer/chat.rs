//! Renders a chat template: Jinja as the models' own tokenizers set it up (trimmed blocks, Python methods, `tojson`
//! without escapes, loop controls), but without a clock and within a budget.

use super::dates::Date;
use crate::{Error, Result};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Value};
use minijinja::{Environment, ErrorKind};
use serde::Serialize;

/// What a render may cost: instructions, and 64 bytes of text made or read count as one. A hostile template meets
/// this within a second; a prompt of 8 MiB passes with a hundredth.
const FUEL: u64 = 4_000_000;
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
    environment: Environment<'static>,
}

impl Template {
    pub(super) fn compile(source: &str) -> Result<Self> {
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.map_err(refused)?);
        environment.set_fuel(Some(FUEL));
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_filter("tojson", tojson);
        environment.add_function(
            "raise_exception",
            |message: String| -> Result<Value, minijinja::Error> {
                Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
            },
        );
        environment
            .add_template_owned(NAME, source.to_owned())
            .map_err(refused)?;
        Ok(Self { environment })
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
        let template = self.environment.get_template(NAME).map_err(refused)?;
        template.render(context).map_err(refused)
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
    let mut out = Vec::new();
    let written = match indent {
        Some(width) => {
            let indent = " ".repeat(width.min(16));
            let formatter = serde_json::ser::PrettyFormatter::with_indent(indent.as_bytes());
            value.serialize(&mut serde_json::Serializer::with_formatter(&mut out, formatter))
        }
        None => value.serialize(&mut serde_json::Serializer::with_formatter(&mut out, Spaced)),
    };
    let bad = |error: String| minijinja::Error::new(ErrorKind::BadSerialization, error);
    written.map_err(|error| bad(error.to_string()))?;
    String::from_utf8(out)
        .map(Value::from)
        .map_err(|error| bad(error.to_string()))
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
