//! Descriptors that are watched by async-io, where there is no reactor of ours.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustix::io::Errno;
use smol::Async;

/// A handle to a non-blocking descriptor; the last one closes it. One task may read while another
/// writes; of two that do the same, the later one is woken.
#[derive(Clone, Debug)]
pub(crate) struct Watched(Arc<Async<OwnedFd>>);

impl Watched {
    /// Takes over a descriptor that is non-blocking already. Each wait asks it again, so that a
    /// short read means nothing here.
    pub(crate) fn new(fd: OwnedFd, _short_is_all: bool) -> io::Result<Self> {
        Ok(Self(Arc::new(Async::new_nonblocking(fd)?)))
    }

    /// Whether there are other handles to it.
    pub(crate) fn is_shared(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    /// Reads, by a call that says how many bytes it was.
    pub(crate) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        _room: usize,
        read: impl FnMut(BorrowedFd<'_>) -> rustix::io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        self.poll_event(cx, read)
    }

    /// Writes, by a call that says how many bytes it was.
    pub(crate) fn poll_write(
        &self,
        cx: &mut Context<'_>,
        _length: usize,
        write: impl FnMut(BorrowedFd<'_>) -> rustix::io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        self.poll(cx, write, Async::poll_writable)
    }

    /// Waits, as for something to read, until the call finds something.
    pub(crate) fn poll_event<T>(
        &self,
        cx: &mut Context<'_>,
        call: impl FnMut(BorrowedFd<'_>) -> rustix::io::Result<T>,
    ) -> Poll<io::Result<T>> {
        self.poll(cx, call, Async::poll_readable)
    }

    fn poll<T>(
        &self,
        cx: &mut Context<'_>,
        mut call: impl FnMut(BorrowedFd<'_>) -> rustix::io::Result<T>,
        wait: impl Fn(&Async<OwnedFd>, &mut Context<'_>) -> Poll<io::Result<()>>,
    ) -> Poll<io::Result<T>> {
        loop {
            match call(self.as_fd()) {
                Err(Errno::AGAIN) => ready!(wait(&self.0, cx))?,
                Err(Errno::INTR) => {}
                result => return Poll::Ready(result.map_err(io::Error::from)),
            }
        }
    }
}

impl AsFd for Watched {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.get_ref().as_fd()
    }
}
