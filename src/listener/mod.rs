//! Listeners: sources of connections.
//!
#![doc = include_str!("../../docs/transports.md")]

mod adopt;
mod async_net;
mod bind;
mod files;
pub mod inherited;
mod listeners;
pub mod memory;
mod merge;
mod share;
pub(crate) mod socket;
mod stdio;
pub(crate) mod tcp;
#[cfg(feature = "tokio")]
mod tokio_net;
pub(crate) mod unix;

use std::future::Future;
use std::io;
use std::time::Duration;

use futures_lite::{AsyncRead, AsyncWrite};
use rustix::io::Errno;

use crate::connection::{Connection, Endpoint};
use crate::time::Clock;

pub(crate) use adopt::inherited_connection;
pub use bind::{bind, check};
pub use files::{device, fifos, files};
pub use listeners::Listeners;
pub use merge::{Merged, merge};
pub use share::{SharedListeners, SharedSocket};
pub use stdio::stdio;

/// The first pause of [`retry_while`]. Each pause is twice the one before.
const FIRST_RETRY_PAUSE: Duration = Duration::from_millis(1);
/// The longest pause of [`retry_while`].
const MAX_RETRY_PAUSE: Duration = Duration::from_millis(50);

/// Yields connections.
///
/// # Examples
///
/// A listener that yields one connection and ends:
///
/// ```
/// use halves::{Connection, Listener};
/// use std::io;
///
/// struct One(Option<Connection>);
///
/// impl Listener for One {
///     type Reader = halves::connection::AnyRead;
///     type Writer = halves::connection::AnyWrite;
///
///     async fn accept(&mut self) -> io::Result<Option<Connection>> {
///         Ok(self.0.take())
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not yield connections",
    label = "not a listener",
    note = "for an address, bind it: `bind(\"127.0.0.1:50007\").await?`",
    note = "for a socket that listens already, take it over: `Listeners::try_from(OwnedFd::from(socket))?`"
)]
pub trait Listener {
    /// The reading half of its connections.
    type Reader: AsyncRead + Unpin;
    /// The writing half of its connections.
    type Writer: AsyncWrite + Unpin;

    /// Waits for the next connection. Returns `Ok(None)` at the end of the listener.
    ///
    /// An implementation must be cancel-safe: a future dropped before it is ready has taken no
    /// connection. If a connection is waiting, the first poll returns it.
    ///
    /// # Errors
    ///
    /// A server continues after errors of one connection (such as `ECONNABORTED`, also inside
    /// [`Error::Accept`](crate::Error::Accept)): it retries at once, and from the 32nd in a row on
    /// with a pause. If a resource is used up (such as `EMFILE`), it waits and retries. Any other
    /// error ends the server, and so do two connections with one [`Peer`](crate::Peer).
    fn accept(
        &mut self,
    ) -> impl Future<Output = io::Result<Option<Connection<Self::Reader, Self::Writer>>>>;

    /// Refuses new clients. [`accept`](Self::accept) still yields the clients that have connected.
    /// A server that ends calls this once, accepts until an accept waits, and drops the listener.
    ///
    /// The default does nothing: clients that connect between the last accept and the drop are
    /// lost. A listener that wraps another passes the call on.
    fn stop(&mut self) {}

    /// Returns the addresses it listens on, for
    /// [`Handle::local_addrs`](crate::Handle::local_addrs). The default returns none.
    fn local_addrs(&self) -> Vec<Endpoint> {
        Vec::new()
    }
}

/// A listener that yields one connection and ends.
///
/// # Examples
///
/// Serve two halves of your own, here a slice and a `Vec`:
///
/// ```
/// use halves::{Connection, Executor, Once, serve, service};
///
/// let ex = Executor::new();
/// let listener = Once::new(Connection::new(&b"hello"[..], vec![]));
/// let report = ex.block_on(serve(&ex, listener, async |Connection { reader, writer, .. }| {
///     service::upper(reader, writer).await
/// }))?;
/// assert_eq!(report.stats.bytes_out, 5);
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct Once<R, W>(Option<Connection<R, W>>);

impl<R, W> Once<R, W> {
    /// Creates a listener that yields `connection`, then ends.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_lite::io::{empty, sink};
    /// use halves::{Connection, Once};
    ///
    /// let listener = Once::new(Connection::new(empty(), sink()));
    /// # drop(listener);
    /// ```
    pub fn new(connection: Connection<R, W>) -> Self {
        Self(Some(connection))
    }

    fn peek(&self) -> Option<&Connection<R, W>> {
        self.0.as_ref()
    }

    fn take(&mut self) -> Option<Connection<R, W>> {
        self.0.take()
    }
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Listener for Once<R, W> {
    type Reader = R;
    type Writer = W;

    async fn accept(&mut self) -> io::Result<Option<Connection<R, W>>> {
        Ok(self.take())
    }

    fn local_addrs(&self) -> Vec<Endpoint> {
        let connection = self.peek().into_iter();
        connection
            .map(|connection| connection.peer.local())
            .collect()
    }
}

/// Calls `attempt` until its result is not the error `busy`. For calls without readiness in the
/// kernel.
///
/// Sleeps between two calls, at most 50 ms, and occupies no thread. Nothing remains of it when the
/// future is dropped.
pub(crate) async fn retry_while<T, F>(busy: Errno, mut attempt: impl FnMut() -> F) -> io::Result<T>
where
    F: Future<Output = io::Result<T>>,
{
    let clock = Clock::default();
    let mut pause = FIRST_RETRY_PAUSE;
    loop {
        match attempt().await {
            Err(error) if Errno::from_io_error(&error) == Some(busy) => {}
            result => return result,
        }
        clock.sleep(pause).await;
        pause = (2 * pause).min(MAX_RETRY_PAUSE);
    }
}
