//! Signals that do not end the process: HUP reads the rules again, USR1 says statistics. (Those
//! that end it are the library's: `Shutdown::on_signals`.) When the terminal is closed, HUP ends it
//! all the same.

use std::io;

use async_signal::Signal;
use halves::{Handle, Reason, Shutdown, Signals};

use super::format::Line;
use super::log::{Level, Lines};
use super::rules::{Problem, RuleSources};
use super::supervisor::Notices;
use super::terminal;

/// What the signals are about.
pub(super) struct Orders {
    pub(super) handle: Handle,
    pub(super) shutdown: Shutdown,
    /// Whether the command was started at a terminal, which may be closed.
    pub(super) at_terminal: bool,
    pub(super) sources: RuleSources,
    pub(super) lines: Lines,
    pub(super) notices: Notices,
}

/// Catches them from now on: until they are watched, they wait.
pub(super) fn catch() -> io::Result<Signals> {
    // XFSZ comes with a write beyond the limit on the size of a file, and would end the process. What
    // counts is the write's error. Nothing listens for it, so this leaves a handler that does nothing;
    // programs that are started from here have the default again, which they would not have of a
    // signal that is ignored.
    drop(Signals::catch(&[Signal::Xfsz])?);
    Signals::catch(&[Signal::Hup, Signal::Usr1])
}

/// Does what they ask for the rest of the process's life, on a thread of its own: files are read,
/// and the executor and the blocking pool may be busy.
pub(super) fn watch(signals: Signals, mut orders: Orders) -> io::Result<()> {
    signals.watch("halves-orders", move |signal| match signal {
        Signal::Hup => orders.hang_up(),
        _ => orders.say_stats(),
    })
}

impl Orders {
    /// HUP asks for the rules to be read again. The system and shells also send it when a terminal is
    /// closed. A shell that is about to exit sends it just before.
    fn hang_up(&mut self) {
        if self.at_terminal && terminal::is_gone() {
            return self.shutdown.drain();
        }
        self.reload();
        if self.at_terminal && terminal::goes_soon() {
            self.shutdown.drain();
        }
    }

    fn reload(&mut self) {
        self.notices.reloading();
        match self.sources.load() {
            Ok((rules, count)) => {
                self.handle.set_rules(rules);
                let line = Line::new("reloaded").number("rules", count);
                self.lines.say(Level::Normal, &line);
            }
            Err(problem) => self.lines.say(Level::Quiet, &kept(&problem)),
        }
        self.notices.reloaded();
    }

    /// Whoever asks wants to know, at every level.
    fn say_stats(&self) {
        self.lines.say(Level::Quiet, &stats(&self.handle));
    }
}

fn kept(problem: &Problem) -> Line {
    let line = Line::new("reload_failed").word("file", &problem.file.display());
    let line = match problem.line {
        Some(number) => line.number("line", number),
        None => line,
    };
    line.text("error", &problem.what)
        .remark("the rules stay as they are")
}

fn stats(handle: &Handle) -> Line {
    // In this order: a connection that ends in between is missed, and counted the next time; the
    // other way round it would be counted twice.
    let (stats, live) = (handle.stats(), handle.connections());
    let bytes_in: u64 = live.iter().map(|connection| connection.bytes_in).sum();
    let bytes_out: u64 = live.iter().map(|connection| connection.bytes_out).sum();
    let mut line = Line::new("stats")
        .number("open", stats.open)
        .number("accepted", stats.accepted);
    for &reason in Reason::ALL {
        if stats.ended[reason] > 0 {
            line = line.number(reason.as_str(), stats.ended[reason]);
        }
    }
    line.number("in", stats.bytes_in + bytes_in)
        .number("out", stats.bytes_out + bytes_out)
}
