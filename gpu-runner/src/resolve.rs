//! The command `resolve`: compressor configurations in, effective ones out, line by line. No model is needed, so cell
//! keys are made with it and no rule of a compressor is written twice.

use crate::compress::resolve_line;
use serde_json::{json, Value};
use std::io::{BufRead, Write};

/// Answers every line of `input`.
///
/// # Errors
/// What reading or writing says.
pub fn run(input: impl BufRead, mut output: impl Write) -> std::io::Result<()> {
    for line in input.lines() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let answer = match serde_json::from_str::<Value>(&line) {
            Ok(value) => resolve_line(&value),
            Err(e) => json!({"error": {
                "kind": "bad_request", "code": "bad_request", "message": format!("the line is not JSON: {e}"),
            }}),
        };
        writeln!(output, "{answer}")?;
        output.flush()?;
    }
    Ok(())
}
