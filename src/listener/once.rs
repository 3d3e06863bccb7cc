//! One connection that is there already.

use std::io;

use futures_lite::{AsyncRead, AsyncWrite};

use super::Listener;
use crate::connection::{Connection, Endpoint};

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
    /// Yields `connection`, then the end.
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

    pub(super) fn peek(&self) -> Option<&Connection<R, W>> {
        self.0.as_ref()
    }

    pub(super) fn take(&mut self) -> Option<Connection<R, W>> {
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
