//! Sending a header in front of an outgoing connection.

use std::io;

use futures_lite::{AsyncWrite, AsyncWriteExt};

use super::{Header, Version};
use crate::connection::Peer;

/// Writes a header, before anything else is written. Version 2 has a checksum.
///
/// The header is not flushed, so that it may leave together with the bytes behind it.
///
/// Not cancel-safe: a cancelled call may have written a part of the header.
///
/// # Errors
///
/// Those of the writer.
///
/// # Examples
///
/// A handler that connects to another server, and passes on the address of its client:
///
/// ```
/// use halves::{Connection, connect};
/// use halves::proxy_protocol::{Header, Version, send};
/// use std::io;
///
/// async fn relay(client: Connection) -> io::Result<()> {
///     let mut target = connect("192.0.2.7:80").await?;
///     send(&mut target.writer, &Header::of(&client.peer), Version::V2).await?;
/// #   copy_both_ways(client, target).await
/// }
/// # async fn copy_both_ways(_: Connection, _: Connection) -> io::Result<()> { Ok(()) }
/// ```
pub async fn send<W>(writer: &mut W, header: &Header, version: Version) -> io::Result<()>
where
    W: AsyncWrite + Unpin + ?Sized,
{
    let bytes = match version {
        Version::V1 => header.to_v1(),
        Version::V2 | Version::Any => header.to_v2(true),
    };
    writer.write_all(&bytes).await
}

impl Header {
    /// Makes the header that passes on a client: the one with which the client came, or else one
    /// with the addresses of its connection.
    ///
    /// A client that came with a header without addresses, such as a health check of the load
    /// balancer, is passed on with the addresses of its connection.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::{Endpoint, Peer};
    /// use halves::proxy_protocol::Header;
    ///
    /// let at = |text: &str| Endpoint::from(text.parse::<std::net::SocketAddr>().unwrap());
    /// let client = Peer::new(at("192.0.2.1:51234"), at("198.51.100.7:443"));
    /// let line = Header::of(&client).to_v1();
    /// assert_eq!(line, b"PROXY TCP4 192.0.2.1 198.51.100.7 51234 443\r\n");
    /// ```
    #[must_use]
    pub fn of(peer: &Peer) -> Self {
        match peer.proxy() {
            Some(header) if header.addresses().is_some() => (*header).clone(),
            _ => Self::new(peer.endpoint(), peer.local()),
        }
    }
}
