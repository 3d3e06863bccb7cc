//! Descriptors that are watched as sockets are, and read and written by other calls: pipes,
//! terminals, devices, processes.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::task::{Context, Poll};

use super::socket::Socket;
use super::state::Direction;

/// A handle to a non-blocking descriptor; the last handle closes it. One task may read while
/// another writes, as with a [`Socket`].
#[derive(Clone, Debug)]
pub(crate) struct WatchedFd(Socket);

impl WatchedFd {
    /// Takes over a non-blocking descriptor. A short read may leave something: a terminal returns
    /// one line at a time, and a pipe one packet if its writer has set `O_DIRECT`.
    pub(crate) fn new(fd: OwnedFd) -> Self {
        Self(Socket::new(fd))
    }

    /// Takes over the non-blocking writing side of a pipe, which has no room after a short write.
    pub(crate) fn pipe_writer(fd: OwnedFd) -> Self {
        Self(Socket::trusted(fd))
    }

    /// Returns true if there are other handles.
    pub(crate) fn is_shared(&self) -> bool {
        self.0.is_shared()
    }

    /// Reads at most `room` bytes by a call that returns how many it has read.
    pub(crate) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        room: usize,
        read: impl FnMut(BorrowedFd<'_>) -> rustix::io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        self.0.poll_transfer(cx, Direction::Read, room, read)
    }

    /// Writes at most `length` bytes by a call that returns how many it has written.
    pub(crate) fn poll_write(
        &self,
        cx: &mut Context<'_>,
        length: usize,
        write: impl FnMut(BorrowedFd<'_>) -> rustix::io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        self.0.poll_transfer(cx, Direction::Write, length, write)
    }

    /// Waits until the descriptor is readable and the call returns anything but "would block".
    pub(crate) fn poll_event<T>(
        &self,
        cx: &mut Context<'_>,
        call: impl FnMut(BorrowedFd<'_>) -> rustix::io::Result<T>,
    ) -> Poll<io::Result<T>> {
        self.0.poll_io(cx, Direction::Read, call, |_| false)
    }
}

impl AsFd for WatchedFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
