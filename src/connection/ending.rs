//! How a stream socket ends, whosever it is.

use std::io;
use std::os::fd::BorrowedFd;
use std::task::{Context, Poll};

use rustix::net::{Shutdown, shutdown};

use super::Discard;

/// A handle to a stream socket that is to end.
pub(crate) trait Ending {
    fn fd(&self) -> BorrowedFd<'_>;
    /// Whether there are other handles to it: a task of the handler's still has a half.
    fn is_shared(&self) -> bool;
    /// Whether it stays open when this handle is dropped.
    fn stays_open(&self) -> bool;
    /// Whether a read of the socket itself has found the peer's end. That of a layer above it, or of
    /// a reader that was put around it, says nothing of what the kernel still has.
    fn is_read_ended(&self) -> bool;
    fn poll_read(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>>;
    fn discard(&self) -> &Discard;

    /// As [`Link::poll_linger`](super::Link::poll_linger) says.
    fn linger(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ended = self.is_read_ended();
        if ended && !self.stays_open() {
            // The close says the end of input, and nothing unread makes it a reset.
            return Poll::Ready(Ok(()));
        }
        // Again, if the handler has done it: that is allowed, and does nothing.
        let shut = shutdown(self.fd(), Shutdown::Write);
        // Where a task of the handler's still has a half, what comes is that task's.
        if ended || shut.is_err() || self.is_shared() {
            return Poll::Ready(Ok(()));
        }
        let discard = self.discard();
        discard.poll(cx, |cx, buf| self.poll_read(cx, buf)).map(Ok)
    }

    /// As [`Link::close`](super::Link::close) says.
    fn hang_up(&self) {
        if self.stays_open() {
            // What the kernel has yet to send, it sends.
            let _ = shutdown(self.fd(), Shutdown::Both);
        }
    }
}
