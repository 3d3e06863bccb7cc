//! The command `halves-bench`: parses its arguments and runs one of its three modes.

use halves_bench::options::{Options, Request, USAGE};
use halves_bench::{compare, instructions, ladder};
use std::process::ExitCode;

fn main() -> ExitCode {
    let outcome = match Options::parse(std::env::args_os().skip(1)) {
        Ok(Request::Help) => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Ok(Request::Compare(options)) => compare::run(&options),
        Ok(Request::Instructions(options)) => instructions::run(&options),
        Ok(Request::Ladder(options)) => ladder::run(&options),
        Err(error) => {
            eprintln!("halves-bench: {error}; see --help");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("halves-bench: {error}");
            ExitCode::FAILURE
        }
    }
}
