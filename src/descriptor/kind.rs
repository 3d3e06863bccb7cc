//! The kind of a descriptor, which determines how to wait for it; and the identity of its file.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, OFlags, Stat, fcntl_getfl, fstat};
use rustix::io::{Errno, retry_on_intr};
use rustix::termios::{LocalModes, SpecialCodeIndex, tcgetattr};

/// The kind of a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FdKind {
    /// A file, or a device without readiness. A thread of the blocking pool reads and writes it.
    File,
    /// A pipe or a FIFO.
    Pipe,
    Socket,
    Terminal,
    /// The master end of a pseudo-terminal, see pty(7).
    PtyMaster,
    /// Any other device with readiness.
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
            FileType::CharacterDevice if is_pty_master(&stat) => Self::PtyMaster,
            FileType::CharacterDevice if rustix::termios::isatty(fd) => Self::Terminal,
            _ => Self::Device,
        })
    }
}

/// Returns true if the system reports readiness. epoll(7) refuses files and `/dev/null` (`EPERM`).
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
fn is_pty_master(stat: &Stat) -> bool {
    let device = (
        rustix::fs::major(stat.st_rdev),
        rustix::fs::minor(stat.st_rdev),
    );
    // /dev/ptmx, see the kernel's list of devices.
    device == (5, 2)
}

#[cfg(not(target_os = "linux"))]
fn is_pty_master(_: &Stat) -> bool {
    false
}

/// Identifies a file by its device and inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileId(u64, u64);

impl FileId {
    pub(crate) fn of(fd: impl AsFd) -> io::Result<Self> {
        Ok(Self::of_stat(&fstat(fd)?))
    }

    #[allow(clippy::useless_conversion, reason = "not on every system")]
    pub(crate) fn of_stat(stat: &Stat) -> Self {
        Self(stat.st_dev.into(), stat.st_ino.into())
    }
}

/// Opens the same pipe or terminal again, to make the new descriptor non-blocking. Other processes
/// may share the first descriptor and expect it to block. Returns None if it cannot be opened.
///
/// Other devices are not opened again, as that can have an effect: each open of `/dev/ptmx` creates
/// a pseudo-terminal.
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
    let is_same = FileId::of(fd).ok()? == FileId::of(&opened).ok()?;
    is_same.then_some(opened)
}

/// On other systems, opening a descriptor's path only duplicates the descriptor.
#[cfg(not(target_os = "linux"))]
pub(super) fn open_again(_: BorrowedFd<'_>, _: OFlags) -> Option<OwnedFd> {
    None
}

/// Returns true if a read of 0 bytes means that no input is there yet, and not the end of input. So
/// it is for a terminal in raw mode with a `VMIN` of 0, see termios(3), until it is hung up.
pub(super) fn has_nothing_yet(fd: BorrowedFd<'_>) -> bool {
    let mode = match tcgetattr(fd) {
        Ok(mode) if !mode.local_modes.contains(LocalModes::ICANON) => mode,
        _ => return false,
    };
    mode.special_codes[SpecialCodeIndex::VMIN] == 0 && !is_hung_up(fd)
}

/// Returns true if the other end is closed. For a FIFO: if it had a writer since it was opened, and
/// has none now, see pipe(7).
pub(super) fn is_hung_up(fd: BorrowedFd<'_>) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
    // A signal interrupts even a call that does not wait.
    let polled = retry_on_intr(|| poll(&mut fds, Some(&Timespec::default())));
    polled.is_err() || fds[0].revents().contains(PollFlags::HUP)
}

/// Returns true if a failed read is the end of the input: the terminal is hung up. While its master
/// closes, Linux returns `EIO`, and 0 only after that. `EIO` is an error of a terminal that is
/// still there: a process in the background may not read it, see termios(3).
pub(super) fn is_end_of_terminal(fd: BorrowedFd<'_>, error: Errno) -> bool {
    error == Errno::IO && is_hung_up(fd)
}

/// Makes a descriptor non-blocking, for all that share its open file description.
pub(super) fn set_nonblocking(fd: impl AsFd) -> io::Result<()> {
    let flags = fcntl_getfl(&fd)?;
    if !flags.contains(OFlags::NONBLOCK) {
        rustix::fs::fcntl_setfl(&fd, flags | OFlags::NONBLOCK)?;
    }
    Ok(())
}
