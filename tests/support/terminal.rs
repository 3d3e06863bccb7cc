//! Pseudo-terminals.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

/// The user's end and the program's end, in the mode that a shell finds: lines are edited and
/// echoed.
pub(crate) fn cooked() -> io::Result<(OwnedFd, OwnedFd)> {
    let person = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&person)?;
    unlockpt(&person)?;
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let program = rustix::fs::open(ptsname(&person, vec![])?, flags, Mode::empty())?;
    Ok((person, program))
}

/// As [`cooked`], in raw mode: every byte passes as it is.
pub(crate) fn terminal() -> io::Result<(OwnedFd, OwnedFd)> {
    let (person, program) = cooked()?;
    let mut mode = tcgetattr(&program)?;
    mode.make_raw();
    tcsetattr(&program, OptionalActions::Now, &mode)?;
    Ok((person, program))
}
