//! A lingering close: says the end of the output, then reads and discards, within bounds.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use rustix::net::{Shutdown, shutdown};

/// The most that one connection's end discards, in bytes.
pub(super) const MAX_DISCARD_BYTES: usize = 1024 * 1024;
/// What one poll discards before it lets others run, in bytes.
const DISCARD_BYTES_PER_POLL: usize = 64 * 1024;

/// A handle to a stream socket that is to end.
pub(crate) trait Linger {
    fn fd(&self) -> BorrowedFd<'_>;
    /// Whether there are other handles to it: a task of the handler's still has a half.
    fn is_shared(&self) -> bool;
    /// Whether it stays open when this handle is dropped.
    fn stays_open(&self) -> bool;
    /// Whether a read of the socket itself has found the peer's end. That of a layer above it, or of
    /// a reader that was put around it, says nothing of what the kernel still has.
    fn is_read_ended(&self) -> bool;
    fn poll_read(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>>;
    fn discard(&self) -> &DiscardBudget;

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
    fn shut_down_if_open(&self) {
        if self.stays_open() {
            // What the kernel has yet to send, it sends.
            let _ = shutdown(self.fd(), Shutdown::Both);
        }
    }
}

/// How much a lingering close has discarded.
///
/// A socket that is closed with unread input is reset, and the reset overtakes answers that the
/// peer has not read yet. So input is read until the peer ends too, but not for ever.
#[derive(Debug, Default)]
pub(crate) struct DiscardBudget(AtomicUsize);

impl DiscardBudget {
    /// Ready at the peer's end of input, at an error, and when the bound is reached.
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
