//! What a descriptor is, and so how it is waited for.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, OFlags, Stat, fcntl_getfl, fstat};
use rustix::io::{Errno, retry_on_intr};
use rustix::termios::{LocalModes, SpecialCodeIndex, tcgetattr};

/// What a descriptor is, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FdKind {
    /// A file, or a device that is always ready: nobody tells when, so a thread waits.
    File,
    /// A pipe, with a name or without.
    Pipe,
    Socket,
    Terminal,
    /// The end of a pseudo-terminal that plays the person.
    Master,
    /// Anything else that can be watched.
    Device,
}

impl FdKind {
    pub(super) fn of(fd: BorrowedFd<'_>) -> io::Result<Self> {
        let stat = fstat(fd)?;
        Ok(match FileType::from_raw_mode(stat.st_mode) {
            FileType::Fifo => Self::Pipe,
            FileType::Socket => Self::Socket,
            FileType::RegularFile | FileType::Directory | FileType::BlockDevice => Self::File,
            _ if !is_watchable(fd) => Self::File,
            FileType::CharacterDevice if is_master(&stat) => Self::Master,
            FileType::CharacterDevice if rustix::termios::isatty(fd) => Self::Terminal,
            _ => Self::Device,
        })
    }
}

/// Whether readiness is told of it: epoll(7) says no (`EPERM`) of files and of `/dev/null`.
#[cfg(target_os = "linux")]
fn is_watchable(fd: BorrowedFd<'_>) -> bool {
    use rustix::event::epoll;
    let Ok(epoll) = epoll::create(epoll::CreateFlags::CLOEXEC) else {
        return false;
    };
    let nothing = epoll::EventData::new_u64(0);
    epoll::add(&epoll, fd, nothing, epoll::EventFlags::empty()).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn is_watchable(fd: BorrowedFd<'_>) -> bool {
    smol::Async::new_nonblocking(fd).is_ok()
}

#[cfg(target_os = "linux")]
fn is_master(stat: &Stat) -> bool {
    let device = (
        rustix::fs::major(stat.st_rdev),
        rustix::fs::minor(stat.st_rdev),
    );
    // /dev/ptmx: see pty(7) and the kernel's list of devices.
    device == (5, 2)
}

#[cfg(not(target_os = "linux"))]
fn is_master(_: &Stat) -> bool {
    false
}

/// The same pipe or terminal, opened once more: its descriptor can be made non-blocking, where
/// others share the first one, to whom that would be a surprise. None where it cannot be had.
///
/// Not for other devices, for which another open is another thing: a `/dev/ptmx` is a new
/// pseudo-terminal each time.
#[cfg(target_os = "linux")]
pub(super) fn open_again(fd: BorrowedFd<'_>, access: OFlags) -> Option<OwnedFd> {
    use std::os::fd::AsRawFd;
    let kind = FdKind::of(fd).ok()?;
    if !matches!(kind, FdKind::Pipe | FdKind::Terminal) {
        return None;
    }
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    let flags = access | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(path, flags, rustix::fs::Mode::empty()).ok()?;
    let [first, second] = [fstat(fd).ok()?, fstat(&opened).ok()?];
    let same = first.st_dev == second.st_dev && first.st_ino == second.st_ino;
    same.then_some(opened)
}

/// Elsewhere, an open of a descriptor's name is only another descriptor.
#[cfg(not(target_os = "linux"))]
pub(super) fn open_again(_: BorrowedFd<'_>, _: OFlags) -> Option<OwnedFd> {
    None
}

/// Whether a read of 0 bytes says that there is nothing yet, and not that the input has ended: so it is
/// of a terminal in raw mode whose `VMIN` is 0, see termios(3), until that is hung up.
pub(super) fn has_nothing_yet(fd: BorrowedFd<'_>) -> bool {
    let mode = match tcgetattr(fd) {
        Ok(mode) if !mode.local_modes.contains(LocalModes::ICANON) => mode,
        _ => return false,
    };
    mode.special_codes[SpecialCodeIndex::VMIN] == 0 && !is_hung_up(fd)
}

/// Whether the other end is gone: of a FIFO, every writer that it had since it was opened, see pipe(7).
pub(super) fn is_hung_up(fd: BorrowedFd<'_>) -> bool {
    let mut asked = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
    let at_once = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // A signal ends also a call that does not wait.
    let polled = retry_on_intr(|| poll(&mut asked, Some(&at_once)));
    polled.is_err() || asked[0].revents().contains(PollFlags::HUP)
}

/// True if a read that failed is the end of the input: the terminal is hung up. While its master
/// closes, Linux returns `EIO`, and 0 only after that. `EIO` is an error of a terminal that is still
/// there: a process in the background may not read it, see termios(3).
pub(super) fn is_end_of_terminal(fd: BorrowedFd<'_>, error: Errno) -> bool {
    error == Errno::IO && is_hung_up(fd)
}

/// For a descriptor whose flags nobody shares.
pub(super) fn set_nonblocking(fd: impl AsFd) -> io::Result<()> {
    let flags = fcntl_getfl(&fd)?;
    if !flags.contains(OFlags::NONBLOCK) {
        rustix::fs::fcntl_setfl(&fd, flags | OFlags::NONBLOCK)?;
    }
    Ok(())
}
