//! The lingering close of a stream socket: shuts down the output, then discards input within bounds.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use rustix::net::{Shutdown as ShutdownHow, shutdown};

/// The most bytes that the end of one connection discards.
pub(super) const MAX_DISCARD_BYTES: usize = 1024 * 1024;
/// Bytes discarded in one poll before it yields to other tasks.
const DISCARD_BYTES_PER_POLL: usize = 64 * 1024;

/// A handle to a stream socket that ends by a lingering close.
pub(crate) trait Linger {
    fn fd(&self) -> BorrowedFd<'_>;
    /// Returns true if other handles to the socket exist: a task of the handler still has a half.
    fn is_shared(&self) -> bool;
    /// Returns true if the socket stays open when this handle is dropped.
    fn stays_open(&self) -> bool;
    /// Returns true if a read of the socket itself has returned the end of input. The end of input
    /// in a layer or in another reader around the socket does not count, since the kernel may still
    /// hold unread bytes.
    fn is_read_ended(&self) -> bool;
    fn poll_read(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>>;
    fn discard(&self) -> &DiscardBudget;

    /// Implements [`Link::poll_linger`](super::Link::poll_linger).
    fn linger(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ended = self.is_read_ended();
        if ended && !self.stays_open() {
            // The close ends the output and, without unread input, is not a reset.
            return Poll::Ready(Ok(()));
        }
        // A second shutdown, after that of the handler, is allowed and does nothing.
        let shut = shutdown(self.fd(), ShutdownHow::Write);
        // If a task of the handler still has a half, the input belongs to that task.
        if ended || shut.is_err() || self.is_shared() {
            return Poll::Ready(Ok(()));
        }
        let discard = self.discard();
        discard.poll(cx, |cx, buf| self.poll_read(cx, buf)).map(Ok)
    }

    /// Implements [`Link::close`](super::Link::close).
    fn shut_down_if_open(&self) {
        if self.stays_open() {
            // The kernel still sends what it has buffered.
            let _ = shutdown(self.fd(), ShutdownHow::Both);
        }
    }
}

/// The number of bytes that a lingering close has discarded, with a bound.
///
/// Closing a socket that has unread input resets the connection, and the reset can destroy answers
/// that the peer has not read yet. A lingering close therefore reads until the peer ends its output,
/// up to [`MAX_DISCARD_BYTES`].
#[derive(Debug, Default)]
pub(crate) struct DiscardBudget(AtomicUsize);

impl DiscardBudget {
    /// Discards input. Ready at the end of input, at an error, and at the bound.
    pub(crate) fn poll(
        &self,
        cx: &mut Context<'_>,
        mut poll_read: impl FnMut(&mut Context<'_>, &mut [u8]) -> Poll<io::Result<usize>>,
    ) -> Poll<()> {
        let mut buf = [0; 4096];
        let mut now = 0;
        while now < DISCARD_BYTES_PER_POLL {
            match ready!(poll_read(cx, &mut buf)) {
                Ok(0) => return Poll::Ready(()),
                Ok(n) if self.0.fetch_add(n, Ordering::Relaxed) + n >= MAX_DISCARD_BYTES => {
                    return Poll::Ready(());
                }
                Ok(n) => now += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Poll::Ready(()),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
