//! HUP, USR1 and USR2: HUP reloads rules and certificates, USR1 logs statistics, USR2 restarts. TERM
//! and INT are handled by `Shutdown::on_signals`. HUP drains the server if its terminal has closed.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::thread;

use async_signal::Signal;
use halves::Signals;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::{Errno, retry_on_intr};
use rustix::termios::tcgetpgrp;

use super::orders::Orders;

/// The time in which a terminal may close after a HUP.
const HANGUP_TIMEOUT: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 500_000_000,
};

/// Gives the orders of HUP, USR1 and USR2.
pub(super) struct SignalHandler {
    pub(super) orders: Arc<Orders>,
    /// True if the command was started at a terminal, as [`is_at_terminal`] returns.
    pub(super) at_terminal: bool,
}

/// Catches HUP, USR1 and USR2 from now on. They stay pending until [`SignalHandler::watch`].
pub(super) fn catch() -> io::Result<Signals> {
    // A write beyond the file size limit raises XFSZ, which by default ends the process; the error
    // of the write is enough. With no listener, this installs a handler that does nothing. Children
    // get the default back, which they would not if the signal were ignored.
    drop(Signals::catch(&[Signal::Xfsz])?);
    Signals::catch(&[Signal::Hup, Signal::Usr1, Signal::Usr2])
}

/// Returns true if standard error or standard input is the controlling terminal of the process.
pub(super) fn is_at_terminal() -> bool {
    is_controlling(io::stderr()) || is_controlling(io::stdin())
}

impl SignalHandler {
    /// Handles the signals for the rest of the process, on a thread of its own: reloads read files,
    /// and the executor and the blocking pool may be busy.
    pub(super) fn watch(self, signals: Signals) -> io::Result<()> {
        signals.watch("halves-orders", move |signal| match signal {
            Signal::Hup => self.hang_up(),
            Signal::Usr2 => self.restart(),
            _ => self.orders.log_stats(),
        })
    }

    /// Restarts on a thread of its own, so that other signals are handled meanwhile.
    fn restart(&self) {
        let orders = self.orders.clone();
        let thread = thread::Builder::new().name("halves-restart".into());
        if let Err(error) = thread.spawn(move || orders.restart()) {
            self.orders.restart_failed(&error.to_string());
        }
    }

    /// Reloads rules and certificates. The system and shells also send HUP when a terminal closes; a
    /// shell that is about to exit sends it just before. In both cases the server drains.
    fn hang_up(&self) {
        if self.at_terminal && is_terminal_gone() {
            return self.orders.shutdown.drain();
        }
        let _ = self.orders.reload();
        if self.at_terminal && terminal_goes_soon() {
            self.orders.shutdown.drain();
        }
    }
}

/// Returns true if the process has no controlling terminal: the terminal has closed, or the session
/// has ended.
fn is_terminal_gone() -> bool {
    matches!(open_terminal(), Err(Errno::NXIO))
}

/// Waits up to [`HANGUP_TIMEOUT`] for the terminal to close, and returns true if it is gone.
fn terminal_goes_soon() -> bool {
    if let Ok(terminal) = open_terminal() {
        // With no event requested, poll(2) returns early only at a hang-up.
        let mut polled = [PollFd::new(&terminal, PollFlags::empty())];
        let _ = retry_on_intr(|| poll(&mut polled, Some(&HANGUP_TIMEOUT)));
    }
    is_terminal_gone()
}

/// Opens the controlling terminal. It is closed after each use: an open descriptor would hide the
/// close of the standard streams from the other end.
fn open_terminal() -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    open("/dev/tty", flags, Mode::empty())
}

fn is_controlling(fd: impl AsFd) -> bool {
    // The system returns the foreground group of the controlling terminal only. A group of another
    // namespace has no number here.
    matches!(tcgetpgrp(fd), Ok(_) | Err(Errno::OPNOTSUPP))
}
