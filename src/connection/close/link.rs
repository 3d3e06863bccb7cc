//! The server's access to a stream while the handler has the halves.

use std::io;
use std::os::fd::BorrowedFd;
use std::task::{Context, Poll};

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

/// Returns true if the error means that the peer has closed the connection. At the end of a stream
/// this is not an error.
pub(in crate::connection) fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, NotConnected};
    matches!(error.kind(), BrokenPipe | ConnectionReset | NotConnected)
}
