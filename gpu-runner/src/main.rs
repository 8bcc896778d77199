//! The command line of the engine: parse, run, print the error chain once, exit.

fn main() {}
