//! `halves connect`: standard input and output to an address, and a verdict as the exit code.

mod pump;
mod report;
mod traffic;
pub(super) mod verdict;

use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind, IsTerminal};
use std::time::Duration;

use futures_lite::future;
use halves::listener::stdio;
use halves::{Clock, Connection, Endpoint, Executor, Peer};

use super::args::Connect;
use super::format::Format;
use super::interrupt;
use super::log::{Level, Lines};
use super::progress::{Bytes, Progress};
use super::with_log;
use pump::{Broken, pump};
use report::Report;
use traffic::Traffic;
use verdict::{End, Verdict};

/// The pause between two questions about the bytes that the peer has not acknowledged.
const ACKNOWLEDGE_INTERVAL: Duration = Duration::from_millis(5);

/// Connects, copies both directions, and returns the exit code.
pub(super) fn run(connect: &Connect) -> u8 {
    with_log(Format::Text, connect.level(), |log| {
        let traffic = Traffic::new(Clock::default());
        let mut report = Report::new(connect.address.to_string(), traffic);
        let lines = log.lines();
        let session = session(connect, &mut report, lines);
        let end = match Executor::new().block_on(interrupt::or_signal(session)) {
            Ok(Ok(end)) => end,
            Ok(Err(signal)) => End::silent(Verdict::Signaled(signal)),
            Err(error) => End::new(Verdict::Failed, error.to_string()),
        };
        if connect.json {
            lines.print(&report.json(&end));
        } else {
            lines.write(Level::Verbose, &report.closed(&end));
            if let Some(problem) = &end.problem {
                log.complain(problem);
            }
        }
        end.verdict.code()
    })
}

async fn session(connect: &Connect, report: &mut Report, lines: &Lines) -> End {
    match connected(connect, report).await {
        Err(end) => end,
        Ok((stdio, connection)) => {
            report.set_connection(&connection);
            lines.write(Level::Verbose, &report.opened());
            exchange(connect, report, lines, stdio, connection).await
        }
    }
}

/// Opens both sides.
async fn connected(
    connect: &Connect,
    report: &mut Report,
) -> Result<(Connection, Connection), End> {
    let failed = |error: io::Error| {
        let problem = format!("cannot use standard input and output: {error}");
        End::new(Verdict::Failed, problem)
    };
    let target = &connect.address;
    let loaded = target.load_client(connect.connect_timeout, connect.source);
    let options = loaded.map_err(|error| End::new(Verdict::Failed, error.to_string()))?;
    let stdio = stdio().map_err(failed)?;
    let connected = options
        .connect_timed(&target.address, &mut report.timings)
        .await;
    let connection = connected.map_err(|error| End::of_connect(&error))?;
    Ok((stdio, connection))
}

/// Copies both directions until the end, under the idle timeout and with the progress.
async fn exchange(
    connect: &Connect,
    report: &Report,
    lines: &Lines,
    stdio: Connection,
    connection: Connection,
) -> End {
    let traffic = &report.traffic;
    traffic.touch();
    let both = Exchange {
        connect,
        report,
        lines,
    };
    let idle = async {
        if connect.idle_timeout.is_zero() {
            future::pending::<()>().await;
        }
        traffic.idle(connect.idle_timeout).await;
        let time = connect.idle_timeout;
        let problem = format!("{}: no byte in {time:?}", report.address);
        End::new(Verdict::Idle, problem)
    };
    let progress = Progress::of_dialogue(lines, connect.level());
    let shown = async {
        if let Some(progress) = &progress {
            let bytes = || Bytes {
                received: traffic.bytes_in(),
                sent: traffic.bytes_out(),
            };
            progress.show(traffic.clock(), bytes).await;
        }
        future::pending().await
    };
    let limits = future::or(idle, shown);
    future::or(both.run(stdio, connection), limits).await
}

/// The two directions.
struct Exchange<'a> {
    connect: &'a Connect,
    report: &'a Report,
    lines: &'a Lines,
}

impl Exchange<'_> {
    async fn run(&self, stdio: Connection, connection: Connection) -> End {
        let (mut input, mut output) = (stdio.reader, stdio.writer);
        let (mut reader, mut writer) = (connection.reader, connection.writer);
        // Declared after the halves: these are dropped later.
        let cut = CutInput {
            peer: connection.peer.clone(),
            is_complete: Cell::new(false),
        };
        // The error of a peer that takes no more bytes. Its own bytes are still read.
        let refused = RefCell::new(None);
        let there = async {
            let sent = |bytes| self.report.traffic.sent(bytes);
            match pump(&mut input, &mut writer, sent).await {
                Ok(()) => {
                    cut.is_complete.set(true);
                    if self.connect.quit_on_eof {
                        self.acknowledged(&connection.peer).await;
                        return Err(End::silent(Verdict::Complete));
                    }
                }
                Err(Broken::Source(error)) => {
                    let problem = format!("cannot read standard input: {error}");
                    return Err(End::new(Verdict::Failed, problem));
                }
                Err(Broken::Sink(error)) => {
                    let end = End::of_connection(&self.report.address, &error);
                    if end.verdict != Verdict::Reset {
                        return Err(end);
                    }
                    refused.replace(Some(end));
                }
            }
            Ok(())
        };
        let back = async {
            let received = |bytes| self.report.traffic.received(bytes);
            match pump(&mut reader, &mut output, received).await {
                Ok(()) => {
                    if !cut.is_complete.get() && refused.borrow().is_none() {
                        self.hint();
                    }
                    Ok(())
                }
                Err(Broken::Source(error)) => Err(End::of_connection(&self.report.address, &error)),
                Err(Broken::Sink(error)) => Err(output_error(&error)),
            }
        };
        match future::try_zip(there, back).await {
            Ok(_) => refused.take().unwrap_or(End::silent(Verdict::Complete)),
            Err(end) => end,
        }
    }

    /// Waits until the system of the peer has all bytes: if this side closes earlier and the peer
    /// sends more, the kernel drops what it has not sent.
    async fn acknowledged(&self, peer: &Peer) {
        if let Endpoint::Inet(_) = peer.endpoint() {
            while peer.unacknowledged().is_some_and(|bytes| bytes > 0) {
                self.report.traffic.sleep(ACKNOWLEDGE_INTERVAL).await;
            }
        }
    }

    /// Says on a terminal why the command goes on after the peer has ended.
    fn hint(&self) {
        if io::stdin().is_terminal() && io::stderr().is_terminal() {
            let hint = "halves: the peer has ended its output; Ctrl-D ends yours\n";
            self.lines.print_at(Level::Normal, hint);
        }
    }
}

/// Resets the connection when it is dropped before the end of the input is sent.
struct CutInput {
    peer: Peer,
    is_complete: Cell<bool>,
}

impl Drop for CutInput {
    fn drop(&mut self) {
        if !self.is_complete.get() {
            self.peer.abort();
        }
    }
}

fn output_error(error: &io::Error) -> End {
    match error.kind() {
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => End::silent(Verdict::OutputClosed),
        _ => End::new(
            Verdict::Failed,
            format!("cannot write standard output: {error}"),
        ),
    }
}
