//! What is watched as a socket is, but read and written in other ways: pipes, terminals, devices,
//! processes.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::task::{Context, Poll};

use super::{Direction, Socket};

/// A handle to a non-blocking descriptor; the last one closes it. The tasks that use it are as a
/// [`Socket`]'s are.
#[derive(Clone, Debug)]
pub(crate) struct Watched(Socket);

impl Watched {
    /// Takes over a descriptor that is non-blocking already. A short read may leave something: a
    /// terminal gives one line at a time, and a pipe one packet, if its writer wants that.
    pub(crate) fn new(fd: OwnedFd) -> Self {
        Self(Socket::new(fd))
    }

    /// The same, of the writing side of a pipe, in which a short write leaves no room.
    pub(crate) fn pipe_writer(fd: OwnedFd) -> Self {
        Self(Socket::trusted(fd))
    }

    /// Whether there are other handles to it.
    pub(crate) fn is_shared(&self) -> bool {
        self.0.is_shared()
    }

    /// Reads into `room` bytes, by a call that says how many it was.
    pub(crate) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        room: usize,
        read: impl FnMut(BorrowedFd<'_>) -> rustix::io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        self.0.poll_transfer(cx, Direction::Read, room, read)
    }

    /// Writes `length` bytes, by a call that says how many it was.
    pub(crate) fn poll_write(
        &self,
        cx: &mut Context<'_>,
        length: usize,
        write: impl FnMut(BorrowedFd<'_>) -> rustix::io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        self.0.poll_transfer(cx, Direction::Write, length, write)
    }

    /// Waits, as for something to read, until the call finds something.
    pub(crate) fn poll_event<T>(
        &self,
        cx: &mut Context<'_>,
        call: impl FnMut(BorrowedFd<'_>) -> rustix::io::Result<T>,
    ) -> Poll<io::Result<T>> {
        self.0.poll_io(cx, Direction::Read, call, |_| false)
    }
}

impl AsFd for Watched {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
