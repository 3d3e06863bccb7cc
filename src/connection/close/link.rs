//! What the server keeps of a stream when the handler has taken the halves.

use std::io;
use std::os::fd::BorrowedFd;
use std::task::{Context, Poll};

/// The server's own hold on a stream, with which it ends the stream well.
///
/// A [`Listener`](crate::Listener) gives one to each connection
/// ([`Peer::with_link`](crate::Peer::with_link)); those of Halves do.
///
/// # Examples
///
/// A stream that needs nothing done at its end:
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
    /// Ends the stream in order, after the handler is gone: flushes what is left, says end of
    /// input to the peer, and where unread input would make the close a reset, reads and discards
    /// until the peer ends too. `ended` says that the handler has read the end of the stream that it
    /// was given, which may be that of a layer, or of a reader around the stream: a link goes by what
    /// it has seen itself. The link bounds how much it discards; the server bounds the time.
    ///
    /// # Errors
    ///
    /// What was written could not be flushed. That the peer is gone is no error: there is nobody
    /// left to tell.
    fn poll_linger(&self, cx: &mut Context<'_>, ended: bool) -> Poll<io::Result<()>>;

    /// Whether the peer, or the kernel, has all that the handler wrote, so that ending now loses
    /// nothing that this process holds.
    fn is_flushed(&self) -> bool {
        true
    }

    /// Bytes that were written, and that the peer has not acknowledged; none where that is not known.
    ///
    /// A stream that is not [flushed](Self::is_flushed) is reset when this has not become less for 2
    /// seconds, and waited for without a bound where it is not known.
    fn unsent(&self) -> Option<usize> {
        None
    }

    /// Resets the stream now, so that a cut answer is not taken for a whole one. Called from any
    /// thread, with no executor near, also while the halves are in use.
    fn abort(&self);

    /// The connection is over, and its place given to another. A half may still be held by a task
    /// that the handler started: one that waits is to be woken, and hears of the end.
    fn close(&self) {}

    /// The descriptor, of plain sockets only: nothing else may be read, written or known past the
    /// halves.
    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

/// Whether an error says that the peer is gone, which is none for whoever ends a stream.
pub(in crate::connection) fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, NotConnected};
    matches!(error.kind(), BrokenPipe | ConnectionReset | NotConnected)
}
