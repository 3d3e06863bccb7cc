//! The command: parses the arguments, runs the request, and reports the result as an exit code.

mod admin;
mod args;
mod check;
mod completions;

mod conflicts;
mod connect;
mod control;
mod ctl;
mod exec;
mod forced_exit;
mod format;
mod hint;
mod inherited;
mod interrupt;
mod layered_listeners;
mod layers;
mod listen_address;
mod log;
mod log_queue;
mod manual;
mod metrics;
mod orders;
mod privileges;
mod progress;
mod proxy;
mod records;
mod replay;
mod resources;
mod restart;
mod rules;
mod serve;
mod server_command;
mod service;
mod setting;
mod signals;
mod supervisor;
mod target_address;
mod tcpserver;
mod text_file;
mod units;
mod values;
mod words;

use std::io::{self, IsTerminal, Write};
use std::mem;
use std::os::fd::OwnedFd;
use std::process::ExitCode;

use args::{Request, ServerOptions};
use format::Format;
use halves::Address;
use listen_address::ListenAddress;
use log::{Level, Log};
use restart::Origin;
use server_command::ServerCommand;

/// The server could not start, or failed while running.
const EXIT_FAILED: u8 = 1;
/// Bad usage.
const EXIT_USAGE: u8 = 2;
/// The drain deadline passed and connections were aborted.
const EXIT_ABORTED: u8 = 3;
/// Added to the number of the second signal, which forced the end.
const EXIT_SIGNALED: u8 = 128;
/// Standard output was closed: as if PIPE had ended the process.
const EXIT_OUTPUT_CLOSED: u8 = EXIT_SIGNALED + SIGNAL_PIPE;
/// The number of the signal PIPE.
const SIGNAL_PIPE: u8 = 13;

/// Runs the command with the arguments of this process.
pub(crate) fn run() -> ExitCode {
    // Called first, while the process has one thread.
    let channel = inherited::receive_descriptors();
    // Called before anything is written to standard error.
    if inherited::keep_log_from_client(io::stdin()).is_err() {
        return ExitCode::from(EXIT_FAILED);
    }
    if let Some(words) = tcpserver::words() {
        return ExitCode::from(tcpserver::run(&words));
    }
    let code = match args::parse(std::env::args_os().skip(1)) {
        Ok(Request::Print(text)) => print(&text),
        Ok(Request::Serve(command, options)) => run_server(*options, command, channel),
        Ok(Request::Check(command, options)) => check::run(&command, &options),
        Ok(Request::Connect(connect)) => connect::run(&connect),
        Ok(Request::Ctl(ctl)) => ctl::run(&ctl),
        Ok(Request::Replay(arguments)) => replay::run(&arguments),
        Ok(Request::Completions(shell)) => print(&completions::script(shell)),
        Ok(Request::Man) => print(&manual::page()),
        Err(error) => {
            // Closed by the exit of this process, so that the old one reports the exit status.
            mem::forget(channel);
            with_log(Format::Text, Level::Normal, |log| {
                log.complain(&error.problem);
                log.complain(&error.hint);
                EXIT_USAGE
            })
        }
    };
    ExitCode::from(code)
}

/// Runs a server. It replaces the process at the other end of `channel`, if there is one.
fn run_server(
    options: ServerOptions,
    command: ServerCommand,
    channel: Option<io::Result<OwnedFd>>,
) -> u8 {
    let is_output = |listen: &ListenAddress| {
        matches!(
            listen.address,
            Address::Stdio | Address::Fd { number: 1, .. }
        )
    };
    if options.listen.iter().any(is_output)
        && inherited::keep_log_from_client(io::stdout()).is_err()
    {
        return EXIT_FAILED;
    }
    let timed = options.log_time || io::stderr().is_terminal();
    let format = options.log.with_time(timed);
    with_log(format, options.level(), |log| {
        // First, as it sets the limit of open files, which the service may pass on.
        let started = Origin::find(channel).map_err(|error| error.to_string());
        let started = started.and_then(|origin| Ok((origin, command.service(&options)?)));
        match started {
            Ok((origin, service)) => serve::run(options, service, origin, log),
            Err(problem) => {
                log.complain(&problem);
                EXIT_FAILED
            }
        }
    })
}

/// Writes help or the version to standard output.
fn print(text: &str) -> u8 {
    let mut out = io::stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => 0,
        Err(_) => EXIT_FAILED,
    }
}

/// Calls `then` with a log. Standard error may be stalled, so every message goes through the queue
/// of the log, also the error of a command that ends at once.
fn with_log(format: Format, level: Level, then: impl FnOnce(&Log) -> u8) -> u8 {
    match Log::start(format, level) {
        Ok(log) => then(&log),
        Err(error) => {
            let _ = writeln!(io::stderr(), "halves: cannot start a thread: {error}");
            EXIT_FAILED
        }
    }
}
