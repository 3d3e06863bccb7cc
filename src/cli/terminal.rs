//! The terminal that the command was started at, and whether it is gone.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::{Errno, retry_on_intr};
use rustix::termios::tcgetpgrp;

/// How long after a signal a terminal may take to go.
const SOON: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 500_000_000,
};

/// Whether standard error or standard input is the controlling terminal of the process.
pub(super) fn is_ours() -> bool {
    is_controlling(io::stderr()) || is_controlling(io::stdin())
}

/// Whether the process has no controlling terminal any more: that was closed, or its session has
/// ended.
pub(super) fn is_gone() -> bool {
    matches!(controlling(), Err(Errno::NXIO))
}

/// Waits a moment for it to go, and returns whether it is gone.
pub(super) fn goes_soon() -> bool {
    if let Ok(terminal) = controlling() {
        // With no event asked for, this returns early at a hang-up, and at nothing else.
        let mut asked = [PollFd::new(&terminal, PollFlags::empty())];
        let _ = retry_on_intr(|| poll(&mut asked, Some(&SOON)));
    }
    is_gone()
}

/// Opened anew each time: as long as it is open here, its other end does not hear that the standard
/// streams are closed.
fn controlling() -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    open("/dev/tty", flags, Mode::empty())
}

fn is_controlling(fd: impl AsFd) -> bool {
    // The system tells the group in the foreground of the controlling terminal only. A group of
    // another namespace has no number here.
    matches!(tcgetpgrp(fd), Ok(_) | Err(Errno::OPNOTSUPP))
}
