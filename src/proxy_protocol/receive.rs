//! Receiving the header at the beginning of a connection.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_lite::AsyncRead;

use super::{Header, HeaderError, Version};
use crate::connection::{Connection, Flag, Peer};
use crate::reason::Reason;

/// The future that receives a header, made by [`ProxyProtocol::receive`]. It resolves to the
/// connection.
///
/// [`ProxyProtocol::receive`]: super::ProxyProtocol::receive
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Receive<R, W> {
    /// `None` once the future is ready.
    connection: Option<Connection<R, W>>,
    version: Version,
}

impl<R, W> Receive<R, W> {
    pub(super) fn new(connection: Connection<R, W>, version: Version) -> Self {
        Self {
            connection: Some(connection),
            version,
        }
    }
}

impl<R: AsyncRead + Unpin, W> Future for Receive<R, W> {
    type Output = io::Result<Connection<R, W>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(mut connection) = self.connection.take() else {
            return Poll::Ready(Err(io::Error::other("the connection is returned already")));
        };
        match poll_receive(&mut connection, self.version, cx) {
            Poll::Ready(received) => Poll::Ready(received.map(|()| connection)),
            Poll::Pending => {
                self.connection = Some(connection);
                Poll::Pending
            }
        }
    }
}

/// Receives the header, and identifies the client.
fn poll_receive<R: AsyncRead + Unpin, W>(
    connection: &mut Connection<R, W>,
    version: Version,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    if !connection.peer.record().flags.has(Flag::Anonymous) {
        return Poll::Ready(Ok(()));
    }
    let parse = |bytes: &[u8]| match Header::parse(bytes, version) {
        Ok(None) => None,
        Ok(Some((header, length))) => Some((Ok(header), length)),
        Err(error) => Some((Err(error.name_found(bytes)), 0)),
    };
    let reader = &mut connection.reader;
    let polled = reader.poll_header_or_drain(cx, Header::MAX_V2_BYTES, parse);
    let record = connection.peer.record();
    let received = match ready!(polled)? {
        Some(received) => received,
        None if record.flags.has(Flag::Drained) => {
            record.set_cause(Reason::Drained);
            return Poll::Ready(Err(drained()));
        }
        None => Err(HeaderError::Incomplete),
    };
    let header = received.inspect_err(|_| record.set_cause(Reason::ProxyHeader))?;
    let addresses = header.addresses();
    let client = addresses.map_or_else(
        || connection.peer.transport(),
        |addresses| addresses.source.clone(),
    );
    // Stored first, so that it is known when the client is refused.
    connection.peer.set_extension(header);
    Poll::Ready(connection.identify(client))
}

#[cold]
fn drained() -> io::Error {
    let message = "the server drains, and no PROXY header has arrived";
    io::Error::new(io::ErrorKind::ConnectionAborted, message)
}

impl Peer {
    /// Returns the PROXY header of this connection, once it is received.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::Connection;
    /// use std::io;
    ///
    /// /// Reports the host that the client asked the load balancer for.
    /// async fn handler(Connection { peer, .. }: Connection) -> io::Result<()> {
    ///     let header = peer.proxy();
    ///     let host = header.as_ref().and_then(|header| header.tlvs().authority());
    ///     println!("{peer} asks for {}", host.unwrap_or("no host"));
    ///     Ok(())
    /// }
    /// ```
    #[must_use]
    pub fn proxy(&self) -> Option<Arc<Header>> {
        self.extension()
    }
}
