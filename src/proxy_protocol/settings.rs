//! `ProxyProtocol`: the sources that are trusted, and the calls that put it to use.

use std::future::Future;
use std::io;

use futures_lite::AsyncRead;

use super::{ProxyListener, Receive, Version};
use crate::connection::{Connection, Endpoint, Peer, Wrapped};
use crate::limits::Net;

/// The settings with which a server receives PROXY headers.
///
/// [`listen`](Self::listen) marks the connections that have to begin with a header, and
/// [`wrap`](Self::wrap) reads it before the handler is called. A server needs both.
///
/// # Examples
///
/// ```no_run
/// use halves::{Connection, Executor, Server, bind};
/// use halves::proxy_protocol::{ProxyProtocol, Version};
/// use halves::service::upper;
///
/// let ex = Executor::new();
/// let proxy = ProxyProtocol::new(Version::V2).trust("10.0.0.0/8".parse()?);
/// let handler = async |Connection { reader, writer, .. }| upper(reader, writer).await;
/// ex.block_on(async {
///     let listener = proxy.listen(bind(":50007").await?);
///     Server::default().serve(&ex, listener, proxy.wrap(handler)).await
/// })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct ProxyProtocol {
    version: Version,
    trusted: Vec<Net>,
    /// Indexes of listeners, as [`Peer::listener`](crate::Peer::listener) returns them.
    exempt: Vec<usize>,
}

impl ProxyProtocol {
    /// Makes settings that accept headers of this version. No IP address is trusted yet.
    ///
    /// # Examples
    ///
    /// ```
    /// # let _ =
    /// halves::proxy_protocol::ProxyProtocol::new(halves::proxy_protocol::Version::Any);
    /// ```
    pub fn new(version: Version) -> Self {
        Self {
            version,
            trusted: Vec::new(),
            exempt: Vec::new(),
        }
    }

    /// Trusts the sources in a network, such as that of the load balancers. Each connection from
    /// them has to begin with a header.
    ///
    /// Sources without an IP address are always trusted: Unix sockets, pipes, and connections in
    /// memory.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::proxy_protocol::{ProxyProtocol, Version};
    ///
    /// # let _ =
    /// ProxyProtocol::new(Version::V1)
    ///     .trust("10.0.0.0/8".parse()?)
    ///     .trust("2001:db8::7".parse()?);
    /// # Ok::<(), halves::Error>(())
    /// ```
    pub fn trust(mut self, net: Net) -> Self {
        self.trusted.push(net);
        self
    }

    /// Exempts the listener with this [index](crate::Peer::listener): its clients connect directly
    /// and send no header. The index 255 stands for all listeners from the 256th on.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::proxy_protocol::{ProxyProtocol, Version};
    ///
    /// # smol::block_on(async {
    /// let proxied = halves::bind("127.0.0.1:0").await?;
    /// let direct = halves::bind("127.0.0.1:0").await?;
    /// let proxy = ProxyProtocol::new(Version::V2).except(proxied.local_addrs().len());
    /// let listener = proxy.listen(proxied.and(direct));
    /// # drop(listener);
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    pub fn except(mut self, listener: usize) -> Self {
        self.exempt.push(listener.min(Peer::MAX_LISTENER_INDEX));
        self
    }

    /// Wraps a listener. A connection from a trusted source is
    /// [anonymous](crate::Peer::anonymous) until its header is received. A connection from any
    /// other source is refused, with the reason [`ProxyHeader`](crate::Reason::ProxyHeader).
    /// Connections of [exempt](Self::except) listeners do not change.
    ///
    /// # Examples
    ///
    /// See [`ProxyProtocol`].
    pub fn listen<L>(&self, listener: L) -> ProxyListener<L> {
        ProxyListener::new(listener, self.clone())
    }

    /// Receives the header of a connection, if [`listen`](Self::listen) has marked it as one that
    /// begins with a header. Other connections are returned at once, as they are.
    ///
    /// Only the bytes of the header are taken: whatever came with it is read next. The header is
    /// then in [`Peer::proxy`](crate::Peer::proxy), and the client's address in
    /// [`Peer::endpoint`](crate::Peer::endpoint). A header without addresses (`UNKNOWN`, `LOCAL`)
    /// leaves the address of the transport. In both cases the server applies its rules and its
    /// limits per source to the address. The deadline of
    /// [`Timeouts::handshake`](crate::Timeouts::handshake) applies, from the accept on.
    ///
    /// While a connection waits for the rest of its header, it holds a buffer of at most 8 KiB.
    ///
    /// Not cancel-safe: a cancelled call drops the connection.
    ///
    /// # Errors
    ///
    /// The connection is dropped, and the handler should return the error. It is one of these:
    ///
    /// * [`InvalidData`](io::ErrorKind::InvalidData) if the header is wrong or missing, and
    ///   [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) if the input ends before the end of the
    ///   header. The inner error is a [`HeaderError`](super::HeaderError). The connection ends with
    ///   the reason [`ProxyHeader`](crate::Reason::ProxyHeader), whatever the handler returns.
    /// * [`PermissionDenied`](io::ErrorKind::PermissionDenied) if the client is refused, as by
    ///   [`Connection::identify`].
    /// * [`ConnectionAborted`](io::ErrorKind::ConnectionAborted) if the server drains and the peer
    ///   has sent nothing for one second. The connection ends with the reason
    ///   [`Drained`](crate::Reason::Drained). Also if the server has ended the connection.
    /// * Those of the stream.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_lite::{AsyncReadExt, io};
    /// use halves::{Connection, Peer};
    /// use halves::proxy_protocol::{ProxyProtocol, Version};
    ///
    /// # smol::block_on(async {
    /// let sent = &b"PROXY TCP4 192.0.2.1 198.51.100.7 51234 443\r\nhello"[..];
    /// let connection = Connection::from_parts(sent, io::sink(), Peer::default().anonymous());
    /// let mut connection = ProxyProtocol::new(Version::V1).receive(connection).await?;
    /// assert_eq!(connection.peer.to_string(), "192.0.2.1:51234");
    /// let mut rest = String::new();
    /// connection.reader.read_to_string(&mut rest).await?;
    /// assert_eq!(rest, "hello");
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    pub fn receive<R, W>(&self, connection: Connection<R, W>) -> Receive<R, W> {
        Receive::new(connection, self.version)
    }

    /// Returns a handler that [receives](Self::receive) the header and then calls `handler`.
    ///
    /// It needs no allocation, and is `Send` if `handler` is.
    ///
    /// # Examples
    ///
    /// See [`ProxyProtocol`].
    pub fn wrap<R, W, H, F>(
        &self,
        handler: H,
    ) -> impl FnOnce(Connection<R, W>) -> Wrapped<Receive<R, W>, H, F> + Clone + use<R, W, H, F>
    where
        R: AsyncRead + Unpin,
        H: FnOnce(Connection<R, W>) -> F + Clone,
        F: Future<Output = io::Result<()>>,
    {
        let version = self.version;
        move |connection| Wrapped::new(Receive::new(connection, version), handler)
    }

    pub(super) fn is_exempt(&self, listener: usize) -> bool {
        self.exempt.contains(&listener)
    }

    pub(super) fn trusts(&self, source: &Endpoint) -> bool {
        // Access to a Unix socket is a matter of its mode and its owner.
        source.socket_addr().is_none_or(|source| {
            let ip = source.ip();
            self.trusted.iter().any(|net| net.contains(ip))
        })
    }
}
