//! Who is at the other end, and what has passed so far.

mod compact;
mod credentials;
mod endpoint;
mod handshake;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::connection::{Flag, Link, Record};
use crate::reason::Reason;
use crate::shutdown::Shutdown;
pub(super) use compact::CompactEndpoint;
pub use credentials::Credentials;
pub use endpoint::{Endpoint, UnixName};
pub use handshake::{Handshake, Phase};

/// Who is at the other end of a connection, and what has passed so far.
///
/// Clones are cheap and speak of the same connection, also after it has ended.
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
    /// The peer of a new connection, for a listener that makes one. Each connection has its own: a
    /// server takes a second one with the same peer, or a clone, as an error of the listener.
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

    /// Gives the server its own hold on the stream, for as long as the connection lasts.
    ///
    /// # Examples
    ///
    /// See [`Link`].
    #[must_use]
    pub fn with_link(self, link: Arc<dyn Link>) -> Self {
        self.0.set_link(link);
        self
    }

    /// Says whose process the peer is, for a listener of Unix sockets. To be said first of all:
    /// a peer that has a clone, or a connection, does not hear it.
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

    /// The connection's number: 1 for the first that its server accepted, and so on; 0 before a
    /// server has it.
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

    /// Who the peer is: where the stream comes from, or the real client once
    /// [`Connection::identify`](crate::Connection::identify) has named it.
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

    /// Whose process the peer is: the user, the group and the process, on a Unix socket, as the
    /// kernel had them when the connection came about. None on anything else.
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

    /// Where our end is. For a socket of a listener on all interfaces this asks the system, as
    /// long as the connection is open, and is where the listener is after that.
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

    /// Bytes received from the peer so far.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(halves::Peer::default().bytes_in(), 0);
    /// ```
    #[must_use]
    pub fn bytes_in(&self) -> u64 {
        self.0.bytes_in()
    }

    /// Bytes sent to the peer so far.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(halves::Peer::default().bytes_out(), 0);
    /// ```
    #[must_use]
    pub fn bytes_out(&self) -> u64 {
        self.0.bytes_out()
    }

    /// Bytes that a [`Buffered`](crate::connection::Buffered) writer kept for the peer, and that were dropped with
    /// it.
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

    /// Whether the stream can say the end of one direction while the other goes on. Most can; see
    /// [`listener`](crate::listener).
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

    /// Says that the stream cannot say the end of one direction alone, for a listener of such streams.
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

    /// The switch that ends this connection's server; one that nobody moves, before a server has
    /// the connection.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::{Connection, Peer};
    ///     ///
    /// /// Works until the server is told to end.
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

    /// Resets the connection now, from any thread: what is under way is dropped with it, and the
    /// handler, where it waits. It ends with the reason [`Error`](crate::Reason::Error), and with the
    /// error that the handler returns, if it does so at once.
    ///
    /// For a handler that cannot finish its answer. One that returns an error has what it wrote sent,
    /// and the end said after it: the peer cannot tell such an answer from a whole one, unless the
    /// protocol says where an answer ends. After a reset, its next read fails. (A Unix socket has no
    /// reset: the peer reads the end.) Once the connection has ended, this does nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_lite::AsyncWriteExt;
    /// use halves::Connection;
    ///     ///
    /// /// Sends a file, whose end is the end of the stream.
    /// async fn send(mut c: Connection) -> io::Result<()> {
    ///     // Nothing is written yet: the client reads the end at once.
    ///     let file = read("head").await?;
    ///     c.writer.write_all(&file).await?;
    ///     match read("tail").await {
    ///         Ok(file) => c.writer.write_all(&file).await,
    ///         Err(error) => {
    ///             // The client is not to take the head for the whole file.
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

    /// The peer of a layer above this connection, and the link that the layer is to end after itself.
    ///
    /// A server lets go of the layer's link, which holds the layer, which holds the halves beneath,
    /// which may hold this record. Where there is no server yet, another record has the link, so that
    /// nothing holds itself.
    pub(in crate::connection) fn above(self) -> (Self, Option<Arc<dyn Link>>) {
        let record = &self.0;
        if record.context().is_some() {
            let link = record.link();
            return (self, link);
        }
        let mut above = Self::new(self.endpoint(), self.local());
        if let Some(credentials) = self.credentials() {
            above = above.with_credentials(credentials);
        }
        if record.flags.has(Flag::Anonymous) {
            above = above.anonymous();
        }
        if record.flags.has(Flag::NoHalfClose) {
            above = above.without_half_close();
        }
        above.record().set_frame_limit(record.frame_limit());
        (above, record.as_link())
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

/// The address of our end, as the system knows it.
fn local_name(record: &Record) -> Option<Endpoint> {
    let name = record
        .with_fd(|socket| rustix::net::getsockname(socket))?
        .ok()?;
    SocketAddr::try_from(name).ok().map(Endpoint::from)
}
