//! What is watched as a socket is, but read and written in other ways: pipes, terminals, devices,
//! processes.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::task::{Context, Poll};

use super::{Direction, Socket};

/// A handle to a non-blocking descriptor; the last one closes it. The tasks that use it are as a
/// [`Socket`]'s are.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    socket: Socket,
    /// What moves less than there is room for has found it empty, or full. So it is with pipes; a
    /// terminal gives one line at a time.
    short_is_all: bool,
}

impl Watched {
    /// Takes over a descriptor that is non-blocking already.
    pub(crate) fn new(fd: OwnedFd, short_is_all: bool) -> Self {
        Self {
            socket: Socket::new(fd),
            short_is_all,
        }
    }

    /// Whether there are other handles to it.
    pub(crate) fn is_shared(&self) -> bool {
        self.socket.is_shared()
    }

    /// Reads into `room` bytes, by a call that says how many it was.
    pub(crate) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        room: usize,
        read: impl FnMut(BorrowedFd<'_>) -> rustix::io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        self.poll(cx, Direction::Read, room, read)
    }

    /// Writes `length` bytes, by a call that says how many it was.
    pub(crate) fn poll_write(
        &self,
        cx: &mut Context<'_>,
        length: usize,
        write: impl FnMut(BorrowedFd<'_>) -> rustix::io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        self.poll(cx, Direction::Write, length, write)
    }

    /// Waits, as for something to read, until the call finds something.
    pub(crate) fn poll_event<T>(
        &self,
        cx: &mut Context<'_>,
        call: impl FnMut(BorrowedFd<'_>) -> rustix::io::Result<T>,
    ) -> Poll<io::Result<T>> {
        self.socket.poll_io(cx, Direction::Read, call, |_| false)
    }

    fn poll(
        &self,
        cx: &mut Context<'_>,
        direction: Direction,
        room: usize,
        transfer: impl FnMut(BorrowedFd<'_>) -> rustix::io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        let room = if self.short_is_all { room } else { 0 };
        self.socket.poll_transfer(cx, direction, room, transfer)
    }
}

impl AsFd for Watched {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
