//! The peer: its address, its credentials, and the handler's access to the connection's state.

mod handshake;
mod layers;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::connection::{Credentials, Endpoint, Flag, Link, Record};
use crate::reason::Reason;
use crate::shutdown::Shutdown;
pub use handshake::Handshake;

/// The peer of a connection: its address, and the traffic so far.
///
/// Clones are cheap. All clones refer to the same connection, and stay valid after it has ended.
///
/// # Examples
///
/// ```
/// let peer = halves::Peer::default();
/// assert_eq!((peer.bytes_in(), peer.bytes_out()), (0, 0));
/// ```
#[derive(Clone, Debug)]
pub struct Peer(Arc<Record>);

impl Peer {
    /// The largest index of a [`listener`](Self::listener), 255. Further listeners share it.
    pub const MAX_LISTENER_INDEX: usize = u8::MAX as usize;

    /// Makes the peer of a new connection, for use in a listener.
    ///
    /// Each connection needs its own peer. A second connection with the same peer, or a clone of it,
    /// is an error of the listener, and ends the server.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::{Endpoint, Peer};
    ///
    /// let peer = Peer::new(Endpoint::Memory, Endpoint::Memory);
    /// assert_eq!(peer.endpoint(), Endpoint::Memory);
    /// ```
    #[must_use]
    pub fn new(remote: Endpoint, local: Endpoint) -> Self {
        Self(Arc::new(Record::new(remote, Arc::new(local))))
    }

    /// Sets the [`Link`] with which the server ends the stream. It is dropped when the connection
    /// ends.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::{Peer, connection::Link};
    /// use std::io;
    /// use std::sync::Arc;
    /// use std::task::{Context, Poll};
    ///
    /// struct NoAction;
    ///
    /// impl Link for NoAction {
    ///     fn poll_linger(&self, _: &mut Context<'_>, _ended: bool) -> Poll<io::Result<()>> {
    ///         Poll::Ready(Ok(()))
    ///     }
    ///     fn abort(&self) {}
    /// }
    ///
    /// let peer = Peer::default().with_link(Arc::new(NoAction));
    /// # drop(peer);
    /// ```
    #[must_use]
    pub fn with_link(self, link: Arc<dyn Link>) -> Self {
        self.0.set_link(link);
        self
    }

    /// Sets the credentials of the peer's process, for a listener of Unix sockets.
    ///
    /// Call this before the peer is cloned or used for a connection. After that it has no effect.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::Peer;
    /// use halves::connection::Credentials;
    ///
    /// let peer = Peer::default().with_credentials(Credentials::new(None, 1000, 100));
    /// assert_eq!(peer.credentials().unwrap().uid, 1000);
    /// ```
    #[must_use]
    pub fn with_credentials(mut self, credentials: Credentials) -> Self {
        if let Some(record) = Arc::get_mut(&mut self.0) {
            record.set_credentials(credentials);
        }
        self
    }

    /// Returns the number of the connection. A server numbers its connections from 1, in the order
    /// in which it accepts them. The number is 0 until a server has the connection.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(halves::Peer::default().id(), 0);
    /// ```
    #[must_use]
    pub fn id(&self) -> u64 {
        self.0.id()
    }

    /// Returns the address of the peer: the remote end of the stream, or the real client once
    /// [`Connection::identify`](crate::Connection::identify) has set it.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(halves::Peer::default().endpoint(), halves::Endpoint::Unknown);
    /// ```
    #[must_use]
    pub fn endpoint(&self) -> Endpoint {
        self.0.peer()
    }

    /// Returns the address of the remote end of the stream. Behind a load balancer this is the
    /// balancer, also after [`Connection::identify`](crate::Connection::identify).
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(halves::Peer::default().transport(), halves::Endpoint::Unknown);
    /// ```
    #[must_use]
    pub fn transport(&self) -> Endpoint {
        self.0.transport()
    }

    /// Returns the index of the listener that accepted the connection, in the order of
    /// [`Listeners::local_addrs`](crate::Listeners::local_addrs). The 256th listener and those
    /// after it have the index [`MAX_LISTENER_INDEX`](Self::MAX_LISTENER_INDEX). Other listeners
    /// have the index 0.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::{Connection, Listener, Listeners, Once};
    ///
    /// let (idle, _connector) = halves::listener::memory::listener(64);
    /// let once = Once::new(Connection::new(&b"hello"[..], vec![]));
    /// let mut listeners = Listeners::from(idle).and(once);
    /// let connection = smol::block_on(listeners.accept())?.expect("one is ready");
    /// assert_eq!(connection.peer.listener(), 1);
    /// # std::io::Result::Ok(())
    /// ```
    #[must_use]
    pub fn listener(&self) -> usize {
        self.0.listener()
    }

    /// Returns the user, the group and the process of the peer on a Unix socket, as the kernel
    /// recorded them when the connection was made. Returns `None` on other streams.
    ///
    /// # Examples
    ///
    /// ```
    /// # smol::block_on(async {
    /// # let dir = tempfile::tempdir_in("/tmp")?;
    /// let path = dir.path().join("socket");
    /// let listeners = halves::bind(&*path).await?;
    /// let connection = halves::connect(&*path).await?;
    /// let server = connection.peer.credentials().unwrap();
    /// assert_eq!(server.uid, rustix::process::geteuid().as_raw());
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    #[must_use]
    pub fn credentials(&self) -> Option<Credentials> {
        self.0.credentials()
    }

    /// Returns the address of the local end.
    ///
    /// If the listener is bound to all interfaces, this asks the system while the connection is
    /// open. After that it returns the address of the listener.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(halves::Peer::default().local(), halves::Endpoint::Unknown);
    /// ```
    #[must_use]
    pub fn local(&self) -> Endpoint {
        let record = &*self.0;
        let asked = match *record.local {
            Endpoint::Inet(address) if address.ip().is_unspecified() => local_name(record),
            _ => None,
        };
        asked.unwrap_or_else(|| Endpoint::clone(&record.local))
    }

    /// Returns the number of bytes received from the peer so far. With a layer such as TLS these
    /// are the bytes of the wire, including handshakes; without a server, those of the payload.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(halves::Peer::default().bytes_in(), 0);
    /// ```
    #[must_use]
    pub fn bytes_in(&self) -> u64 {
        self.0.measure_lent();
        self.0.bytes_in()
    }

    /// Returns the number of bytes sent to the peer so far. With a layer such as TLS these are the
    /// bytes of the wire, including handshakes; without a server, those of the payload.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(halves::Peer::default().bytes_out(), 0);
    /// ```
    #[must_use]
    pub fn bytes_out(&self) -> u64 {
        self.0.measure_lent();
        self.0.bytes_out()
    }

    /// Returns the number of bytes that were still queued in a
    /// [`Buffered`](crate::connection::Buffered) writer when it was dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// let c = halves::Connection::new(futures_lite::io::empty(), vec![]);
    /// let mut writer = c.writer.buffered();
    /// writer.write(b"hello")?;
    /// drop(writer);
    /// assert_eq!(c.peer.bytes_unsent(), 5);
    /// # std::io::Result::Ok(())
    /// ```
    #[must_use]
    pub fn bytes_unsent(&self) -> u64 {
        self.0.bytes_dropped()
    }

    /// Returns the number of bytes that were written to the socket and that the system of the peer has
    /// not acknowledged, if that is known.
    ///
    /// For the command; not part of the library's interface.
    #[doc(hidden)]
    #[must_use]
    pub fn unacknowledged(&self) -> Option<usize> {
        self.0.unsent()
    }

    /// Returns true if another process has accepted the connection, and a
    /// `service::HandoverListener` has yielded it here. Such a connection is in the middle of a
    /// relay, and is only for a `service::Relay`.
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(!halves::Peer::default().is_handed_over());
    /// ```
    #[must_use]
    pub fn is_handed_over(&self) -> bool {
        self.0.carried().is_some()
    }

    /// Returns true if one direction of the stream can end while the other one stays open. The
    /// documentation of [`listener`](crate::listener) lists the streams that cannot.
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(halves::Peer::default().can_half_close());
    /// ```
    #[must_use]
    pub fn can_half_close(&self) -> bool {
        !self.0.flags.has(Flag::NoHalfClose)
    }

    /// Marks the stream as one in which no direction can end alone, for a listener of such streams.
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(!halves::Peer::default().without_half_close().can_half_close());
    /// ```
    #[must_use]
    pub fn without_half_close(self) -> Self {
        self.0.flags.set(Flag::NoHalfClose);
        self
    }

    /// Returns the [`Shutdown`] of this connection's server. Before a server has the connection, it
    /// returns a new one that is never triggered.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::{Connection, Peer};
    /// use std::io;
    ///
    /// /// Runs until the server drains.
    /// async fn handler(Connection { peer, .. }: Connection) -> io::Result<()> {
    ///     peer.shutdown().requested().await;
    ///     Ok(())
    /// }
    /// ```
    #[must_use]
    pub fn shutdown(&self) -> Shutdown {
        self.0
            .context()
            .map_or_else(Shutdown::default, |context| context.shutdown.clone())
    }

    /// Resets the connection now. May be called from any thread.
    ///
    /// Bytes in transit are dropped, and so is the handler when it next waits. A handler that waits
    /// already is dropped when the executor next runs its task. The connection ends with the reason
    /// [`Error`](crate::Reason::Error), and with the error of the handler if the handler returns it
    /// without waiting again. Once the connection has ended, this has no effect.
    ///
    /// Call this in a handler that cannot finish its answer. If a handler only returns an error, the
    /// server sends what is written and ends the stream in order. The peer then takes the answer for
    /// complete, unless the protocol marks the end of an answer. After a reset, the peer's next read
    /// fails. (A Unix socket has a reset only if bytes from the peer were unread. Otherwise the peer
    /// reads the end of input.)
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_lite::AsyncWriteExt;
    /// use halves::Connection;
    /// use std::io;
    ///
    /// /// Sends a file. The end of the stream marks the end of the file.
    /// async fn send(mut c: Connection) -> io::Result<()> {
    ///     // On an error here, nothing is written, and the client reads the end at once.
    ///     let file = read("head").await?;
    ///     c.writer.write_all(&file).await?;
    ///     match read("tail").await {
    ///         Ok(file) => c.writer.write_all(&file).await,
    ///         Err(error) => {
    ///             // The client must not take the head for the complete file.
    ///             c.peer.abort();
    ///             Err(error)
    ///         }
    ///     }
    /// }
    /// # async fn read(_: &str) -> io::Result<Vec<u8>> { Ok(vec![]) }
    /// ```
    pub fn abort(&self) {
        self.0.abort(Reason::Error);
    }

    pub(crate) fn record(&self) -> &Arc<Record> {
        &self.0
    }

    pub(crate) fn of(record: &Arc<Record>) -> Self {
        Self(record.clone())
    }
}

impl Default for Peer {
    fn default() -> Self {
        Self::new(Endpoint::Unknown, Endpoint::Unknown)
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.endpoint().fmt(f)
    }
}

/// Asks the system for the address of the local end.
fn local_name(record: &Record) -> Option<Endpoint> {
    let name = record
        .with_fd(|socket| rustix::net::getsockname(socket))?
        .ok()?;
    SocketAddr::try_from(name).ok().map(Endpoint::from)
}
