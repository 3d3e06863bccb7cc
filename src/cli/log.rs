//! The log: one line for each event, depending on the level.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::panic::{self, PanicHookInfo};
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use halves::server::Closed;
use halves::service::Exited;
use halves::time::unix_time;
use halves::{Event, Listeners, Peer};

use super::format::{Format, Line, one_line};
use super::hint::{HintOptions, hint};
use super::log_queue::{LogQueue, Stderr};

/// The remark on a drain, for text logs.
const FORCE_REMARK: &str = "signal again to cut connections now";

/// The log on standard error. Its drop waits a moment until the last lines are written.
pub(super) struct Log {
    lines: Lines,
}

/// The level of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// Problems only.
    Quiet,
    /// Problems, and the end of each connection.
    #[default]
    Normal,
    /// Also the start of each connection.
    Verbose,
}

/// Writes lines to the log. Each part of the command that logs has a clone.
#[derive(Clone)]
pub(super) struct Lines {
    queue: Arc<LogQueue>,
    format: Format,
    level: Level,
}

impl Log {
    pub(super) fn start(format: Format, level: Level) -> io::Result<Self> {
        let dropped_line = move |dropped: u64| {
            let line = Line::new("log").number("dropped", dropped);
            format.render(&line, unix_time())
        };
        Ok(Self {
            lines: Lines {
                queue: LogQueue::start(Stderr, dropped_line)?,
                format,
                level,
            },
        })
    }

    pub(super) fn lines(&self) -> &Lines {
        &self.lines
    }

    /// Returns the observer for [`Server::on_event`](halves::Server::on_event).
    pub(super) fn observer(&self) -> impl Fn(&Event) + Send + Sync + 'static {
        let lines = self.lines.clone();
        move |event| {
            if let Some(line) = line(event, lines.level) {
                lines.write(lines.level, &line);
            }
        }
    }

    /// Logs the error with which the command fails.
    pub(super) fn complain(&self, problem: &str) {
        if self.lines.format.is_text() {
            let problem = one_line(problem);
            self.lines.queue.push(&format!("halves: {problem}\n"));
        } else {
            let line = Line::new("failed").text("error", problem);
            self.lines.write(Level::Quiet, &line);
        }
    }

    /// Logs each panic in one line through the queue. The default hook writes to standard error,
    /// and may block on it.
    pub(super) fn catch_panics(&self) {
        let lines = self.lines.clone();
        panic::set_hook(Box::new(move |info| {
            lines.write(Level::Quiet, &panicked(info));
        }));
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.lines.queue.flush();
    }
}

impl Lines {
    /// Logs each listening address, each connection that is open from the start, and a hint how to
    /// try the server. `options` returns those of the listener with an index.
    pub(super) fn listening(
        &self,
        listeners: &Listeners,
        service: &str,
        options: impl Fn(usize) -> HintOptions,
    ) {
        if self.level < Level::Normal {
            return;
        }
        let (local, listens) = (listeners.local_addrs(), listeners.listens());
        let ends = || local.iter().zip(&listens).enumerate();
        let mut hint = ends()
            .filter(|(_, (_, listens))| **listens)
            .find_map(|(n, (end, _))| Some((n, hint(end, options(n))?)));
        for (n, (end, &listens)) in ends() {
            let mut line = Line::new(if listens { "listening" } else { "serving" })
                .word("local", end)
                .word("service", service);
            if let Some(layers) = options(n).layers.names() {
                line = line.word("layers", layers);
            }
            if !self.format.is_text()
                && let Some((_, hint)) = hint.take_if(|(at, _)| *at == n)
            {
                line = line.text("try", &hint);
            }
            self.write(Level::Normal, &line);
        }
        if let Some((_, hint)) = hint {
            self.queue.push(&format!("  {hint}\n"));
        }
    }

    /// Writes text at every level, without a format.
    pub(super) fn print(&self, text: &str) {
        self.queue.push(text);
    }

    /// Writes text if the level of the log is at least this one.
    pub(super) fn print_at(&self, level: Level, text: &str) {
        if level <= self.level {
            self.queue.push(text);
        }
    }

    /// Logs a line if the level of the log is at least this one.
    pub(super) fn write(&self, level: Level, line: &Line) {
        if level <= self.level {
            self.queue.push(&self.format.render(line, unix_time()));
        }
    }
}

fn line(event: &Event, level: Level) -> Option<Line> {
    let line = match event {
        Event::Opened(peer) if level >= Level::Verbose => connection("opened", peer, level),
        // `Event::Refused` has a line for it, unless that is suppressed.
        Event::Closed(closed) if level < Level::Verbose && closed.reason.is_refusal() => {
            return None;
        }
        Event::Closed(closed) if level >= Level::Normal || closed.reason.is_failure() => {
            ended(closed, level)
        }
        Event::Refused {
            peer,
            reason,
            error,
        } if level >= Level::Normal => {
            let line = connection("refused", peer, level).word("reason", reason);
            match error {
                Some(error) => line.text("error", error),
                None => line,
            }
        }
        &Event::Suppressed {
            refused,
            accept_failed,
        } if level >= Level::Normal || accept_failed > 0 => {
            let line = Line::new("suppressed");
            let line = count(line, "refused", refused);
            count(line, "accept_failed", accept_failed)
        }
        Event::Unsent { peer, bytes } => connection("unsent", peer, level).number("bytes", *bytes),
        Event::AcceptFailed(error) => Line::new("accept_failed").text("error", error),
        Event::LimitReached(limit) => Line::new("limit").word("reached", limit),
        Event::LimitOver(limit) => Line::new("limit").word("over", limit),
        Event::Delaying { delay } if level >= Level::Normal => Line::new("draining")
            .time("delay", *delay)
            .remark(FORCE_REMARK),
        Event::Draining {
            connections,
            deadline,
        } if level >= Level::Normal => Line::new("draining")
            .number("connections", *connections)
            .time("deadline", *deadline)
            .remark(FORCE_REMARK),
        Event::StillDraining { connections, left } if level >= Level::Normal => {
            Line::new("draining")
                .number("connections", *connections)
                .time("left", in_seconds(*left))
        }
        Event::Ended(report) if level >= Level::Normal || report.aborted > 0 => {
            let line = Line::new("ended")
                .number("finished", report.finished)
                .number("aborted", report.aborted);
            let line = count(line, "refused", report.stats.ended.refused());
            count(line, "accept_failed", report.stats.accept_errors)
        }
        _ => return None,
    };
    Some(line)
}

fn connection(event: &'static str, peer: &Peer, level: Level) -> Line {
    let line = Line::new(event)
        .number("conn", peer.id())
        .word("peer", peer);
    let line = credentials(line, peer);
    if level >= Level::Verbose {
        line.word("local", &peer.local())
    } else {
        line
    }
}

/// Adds the user and the process of a peer, if the system identifies it.
pub(super) fn credentials(line: Line, peer: &Peer) -> Line {
    let Some(credentials) = peer.credentials() else {
        return line;
    };
    let line = line.number("uid", credentials.uid);
    match credentials.pid {
        Some(pid) => line.number("pid", pid),
        None => line,
    }
}

fn ended(closed: &Closed, level: Level) -> Line {
    let line = connection("closed", &closed.peer, level)
        .word("reason", &closed.reason)
        .number("in", closed.peer.bytes_in())
        .number("out", closed.peer.bytes_out())
        .number("ms", closed.age.as_millis());
    let line = match closed.peer.extension::<Exited>() {
        Some(exited) => exit(line, exited.status),
        None => line,
    };
    match &closed.error {
        Some(error) => line.text("error", error),
        None => line,
    }
}

/// Adds the status of a child, or the signal that ended it.
fn exit(line: Line, status: ExitStatus) -> Line {
    match (status.code(), status.signal()) {
        (Some(code), _) => line.number("status", code),
        (None, Some(signal)) => line.number("signal", signal),
        (None, None) => line,
    }
}

/// Adds a count, unless it is 0.
fn count(line: Line, key: &'static str, count: u64) -> Line {
    match count {
        0 => line,
        count => line.number(key, count),
    }
}

/// Rounds up to seconds, so that a report every five seconds shows multiples of five.
fn in_seconds(left: Duration) -> Duration {
    match left.as_secs() {
        _ if left == Duration::MAX => left,
        secs => Duration::from_secs(secs + u64::from(left.subsec_nanos() > 0)),
    }
}

fn panicked(info: &PanicHookInfo<'_>) -> Line {
    let line = Line::new("panicked").text("message", info.payload_as_str().unwrap_or_default());
    match info.location() {
        Some(location) => line.word("at", location),
        None => line,
    }
}

#[cfg(test)]
mod tests;
