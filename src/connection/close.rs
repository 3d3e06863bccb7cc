//! How a stream ends: the server's [`Link`] to it, and the lingering close of a stream socket.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use rustix::net::{Shutdown as ShutdownHow, shutdown};

/// The most bytes that the end of one connection discards.
pub(super) const MAX_DISCARD_BYTES: usize = 1024 * 1024;
/// Bytes discarded in one poll before it yields to other tasks.
const DISCARD_BYTES_PER_POLL: usize = 64 * 1024;

/// The server's own handle to a stream, with which it ends the stream in order or resets it.
///
/// A [`Listener`](crate::Listener) sets one for each connection, with
/// [`Peer::with_link`](crate::Peer::with_link). The listeners of this crate do so.
///
/// # Examples
///
/// A link of a stream that needs no action at its end:
///
/// ```
/// use std::io;
/// use std::task::{Context, Poll};
///
/// struct Nothing;
///
/// impl halves::connection::Link for Nothing {
///     fn poll_linger(&self, _: &mut Context<'_>, _ended: bool) -> Poll<io::Result<()>> {
///         Poll::Ready(Ok(()))
///     }
///     fn abort(&self) {}
/// }
///
/// let peer = halves::Peer::default().with_link(std::sync::Arc::new(Nothing));
/// # drop(peer);
/// ```
pub trait Link: Send + Sync {
    /// Ends the stream in order, after the handler has ended.
    ///
    /// Flushes what is left and ends the output. Where unread input would turn the close into a
    /// reset, it also reads and discards input until the peer ends its output. The link bounds the
    /// bytes that it discards; the server bounds the time.
    ///
    /// `ended` is true if the handler has read the end of input. That can be the end of a layer, or
    /// of another reader around the stream, so a link relies on its own reads instead.
    ///
    /// # Errors
    ///
    /// The written bytes could not be flushed. A peer that has closed the connection is not an error.
    fn poll_linger(&self, cx: &mut Context<'_>, ended: bool) -> Poll<io::Result<()>>;

    /// Returns true if everything that the handler wrote has left this process, so that ending the
    /// stream now loses nothing.
    fn is_flushed(&self) -> bool {
        true
    }

    /// Bytes written but not yet acknowledged by the peer, or `None` if that is not known.
    ///
    /// The server resets a closing stream that is not [flushed](Self::is_flushed) when this number
    /// has not decreased for 2 seconds. Where the number is not known, the wait has no bound.
    fn unsent(&self) -> Option<usize> {
        None
    }

    /// Resets the stream now, so that the peer does not take a truncated answer for a complete one.
    ///
    /// May be called from any thread, outside any executor, and while the halves are in use.
    fn abort(&self);

    /// Asks the code at the other end of the stream to end by itself, when the drain deadline has
    /// passed. Returns true if it was asked.
    ///
    /// The server then waits 2 seconds before it [aborts](Self::abort) the connection, which counts
    /// as aborted in any case. By default nothing is asked, and the connection is aborted at once.
    fn ask_to_end(&self) -> bool {
        false
    }

    /// Called when the connection is over and its slot is free for another one.
    ///
    /// A task that the handler spawned may still hold a half. Implementations wake such a task if it
    /// waits on the half, and fail its calls.
    fn close(&self) {}

    /// Returns the file descriptor of the stream, if the stream is a plain socket.
    ///
    /// Any other stream returns `None`, so that it is only used through its halves.
    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

/// A handle to a stream socket that ends by a lingering close: it shuts down the output, then discards
/// input within bounds.
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

    /// Implements [`Link::poll_linger`].
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

    /// Implements [`Link::close`].
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

/// Returns true if the error means that the peer has closed the connection. At the end of a stream
/// this is not an error.
pub(crate) fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, NotConnected};
    matches!(error.kind(), BrokenPipe | ConnectionReset | NotConnected)
}
