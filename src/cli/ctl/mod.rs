//! `halves ctl`: a request to a running server through its control socket.

mod client;
mod print;
mod sort;
mod table;
mod top;

use std::io::{self, ErrorKind, Write};

use halves::Executor;

use super::args::Ctl;
use super::format::Format;
use super::log::{Level, Log};
use super::{EXIT_FAILED, EXIT_OUTPUT_CLOSED, with_log};
use client::Client;

pub(super) use sort::Sort;

/// Sends the request, prints the answer, and returns the exit code.
pub(super) fn run(ctl: &Ctl) -> u8 {
    with_log(Format::Text, Level::Normal, |log| {
        let done = Executor::new().block_on(async {
            if ctl.request[0] == "top" {
                top::run(ctl).await
            } else {
                ask(ctl).await
            }
        });
        match done {
            Ok(()) => 0,
            Err(error) => failed(ctl, &error, log),
        }
    })
}

async fn ask(ctl: &Ctl) -> io::Result<()> {
    let request = ctl.request.join(" ");
    let mut client = Client::connect(&ctl.address).await?;
    client.send(&request).await?;
    let answer = match ctl.request[0].as_str() {
        // The server bounds the time of a restart.
        "restart" => client.answer().await,
        _ => client.answer_in_time().await,
    };
    let mut answer = answer?.ok_or_else(no_answer)?;
    loop {
        let text = if ctl.json {
            print::lines(answer.clone())
        } else {
            print::text(&answer)
        };
        if let Some(problem) = print::problem(&answer) {
            return Err(io::Error::other(problem));
        }
        print(&text)?;
        if ctl.request[0] != "watch" {
            return Ok(());
        }
        answer = match client.answer().await? {
            Some(answer) => answer,
            None => return Ok(()),
        };
        print("\n")?;
    }
}

fn no_answer() -> io::Error {
    io::Error::new(ErrorKind::UnexpectedEof, "it has closed the connection")
}

/// Writes text to standard output at once.
fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| io::Error::new(error.kind(), OutputError(error)))
}

/// An error of standard output.
#[derive(Debug)]
struct OutputError(io::Error);

impl std::fmt::Display for OutputError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "cannot write standard output: {}", self.0)
    }
}

impl std::error::Error for OutputError {}

fn failed(ctl: &Ctl, error: &io::Error, log: &Log) -> u8 {
    let is_output = matches!(error.get_ref(), Some(inner) if inner.is::<OutputError>());
    if is_output && error.kind() == ErrorKind::BrokenPipe {
        return EXIT_OUTPUT_CLOSED;
    }
    let problem = match error.kind() {
        _ if is_output => error.to_string(),
        ErrorKind::Other => error.to_string(),
        _ => format!("{}: {error}", ctl.address),
    };
    log.complain(&problem);
    EXIT_FAILED
}

#[cfg(test)]
mod tests {
    use crate::cli::admin::ConnectionRow;

    /// A connection with this number.
    pub(super) fn row(id: u64) -> ConnectionRow {
        ConnectionRow {
            id,
            peer: "192.0.2.7:1".to_owned(),
            local: "127.0.0.1:7".to_owned(),
            listener: 0,
            phase: "open".to_owned(),
            age_ms: 61_000,
            idle_ms: 61_000,
            bytes_in: 1024,
            bytes_out: 2,
            in_rate: 0,
            out_rate: 5,
            waits: "read".to_owned(),
            waiting_ms: 61_000,
            unsent: Some(0),
            deadline: Some("idle".to_owned()),
            deadline_ms: Some(240_000),
        }
    }
}
