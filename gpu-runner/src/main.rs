//! The command line of the engine: parse, run, print the error chain once, exit.

use clap::{Parser, Subcommand};
use gpu_runner::serve::{exit, serve, stdout_events};
use gpu_runner::{bench_model, devices, dump_kv, inspect, list, resolve, selftest};
use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

/// Runs language-model cells with the KV cache really stored compressed.
#[derive(Parser)]
#[command(name = "gpu-runner", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Requests on stdin, events on stdout, until stdin ends.
    Serve,
    /// Runs the request lines of a file and exits.
    Run {
        /// What `serve` would have got.
        file: PathBuf,
    },
    /// Compressors, page formats, weight types, architectures, error kinds.
    List {
        /// One JSON object.
        #[arg(long)]
        json: bool,
    },
    /// The processor, its instruction sets, memory, GPUs.
    Devices {
        /// One JSON object.
        #[arg(long)]
        json: bool,
        /// Also times copies, reads and multiply-adds.
        #[arg(long)]
        measure: bool,
    },
    /// What a model file holds.
    Inspect {
        /// A GGUF file.
        model: PathBuf,
        /// One JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Lines {compressor, shape?} on stdin, effective configurations on stdout.
    Resolve {
        /// Accepted for symmetry: the answer is always JSON.
        #[arg(long)]
        json: bool,
    },
    /// Times kernels, or `prefill` and `decode` of a whole model.
    Bench(bench_model::Args),
    /// Writes exact K, V, queries, kept positions and the dequantised cache of one prompt as .npy files.
    DumpKv(dump_kv::Args),
    /// Checks every kernel of this machine against the reference.
    Selftest {
        /// One JSON object.
        #[arg(long)]
        json: bool,
    },
}

fn main() -> ExitCode {
    let start = Instant::now();
    let code = run(Cli::parse().command, start).unwrap_or_else(|error| {
        eprintln!("gpu-runner: {error:#}");
        exit::USAGE
    });
    // The reader thread may still wait for a line: leaving `main` ends it.
    ExitCode::from(code as u8)
}

fn run(command: Command, start: Instant) -> anyhow::Result<i32> {
    let mut out = io::stdout().lock();
    match command {
        Command::Serve => {
            drop(out);
            return Ok(serve(Box::new(io::stdin()), true, stdout_events(start)));
        }
        Command::Run { file } => {
            drop(out);
            let input = File::open(&file).map_err(|e| anyhow::anyhow!("{}: {e}", file.display()))?;
            return Ok(serve(Box::new(input), false, stdout_events(start)));
        }
        Command::List { json: true } => writeln!(out, "{}", list::list()?)?,
        Command::List { json: false } => write!(out, "{}", list::text()?)?,
        Command::Devices { json, measure } => devices::print(json, measure, &mut out)?,
        Command::Inspect { model, json } => writeln!(out, "{}", inspect::run(&model, json)?.trim_end())?,
        Command::Resolve { .. } => resolve::run(io::stdin().lock(), out)?,
        Command::Bench(args) => args.run(&mut out)?,
        Command::DumpKv(args) => args.run(&mut out)?,
        Command::Selftest { json } => return Ok(selftest::print(json, &mut out)?),
    }
    Ok(exit::DONE)
}
