//! The command: reads its arguments, does what they ask, says how it went by its exit code.

mod args;
mod escape;
mod files;
mod format;
mod hint;
mod inherited;
mod log;
mod nearest;
mod queue;
mod room;
mod rules;
mod serve;
mod services;
mod signals;
mod stderr;
mod supervisor;
mod terminal;
mod together;
mod values;
mod watchdog;
mod words;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use args::Request;
use format::Format;
use halves::Address;
use log::{Level, Log};

/// Could not start, or failed while running.
const FAILED: u8 = 1;
/// The arguments make no sense.
const USAGE: u8 = 2;
/// The drain deadline passed, and connections were aborted.
const ABORTED: u8 = 3;
/// The end was forced by a signal, whose number is added.
const FORCED: u8 = 128;

/// Runs the command with this process's arguments.
pub(crate) fn run() -> ExitCode {
    // First of all, as there are no threads yet.
    inherited::receive_sockets();
    // Before anything is said.
    if inherited::keep_log_from_client(io::stdin()).is_err() {
        return ExitCode::from(FAILED);
    }
    let code = match args::parse(std::env::args_os().skip(1)) {
        Ok(Request::Print(text)) => print(&text),
        Ok(Request::Serve(options)) => {
            let is_output = |address: &Address| {
                matches!(address, Address::Stdio | Address::Fd { number: 1, .. })
            };
            if options.listen.iter().any(is_output)
                && inherited::keep_log_from_client(io::stdout()).is_err()
            {
                return ExitCode::from(FAILED);
            }
            let timed = options.log_time || io::stderr().is_terminal();
            let format = options.log.with_time(timed);
            with_log(format, options.level(), |log| serve::run(*options, log))
        }
        Err(problem) => with_log(Format::Text, Level::Normal, |log| {
            log.complain(&problem);
            log.complain("'halves serve --help' shows what there is");
            USAGE
        }),
    };
    ExitCode::from(code)
}

/// What was asked for goes to standard output.
fn print(text: &str) -> u8 {
    let mut out = io::stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => 0,
        Err(_) => FAILED,
    }
}

/// Everything else goes to standard error, which may be stalled: so all of it goes through the
/// log's queue, also the complaint of a command that ends at once.
fn with_log(format: Format, level: Level, then: impl FnOnce(&Log) -> u8) -> u8 {
    match Log::start(format, level) {
        Ok(log) => then(&log),
        Err(error) => {
            let _ = writeln!(io::stderr(), "halves: cannot start a thread: {error}");
            FAILED
        }
    }
}
