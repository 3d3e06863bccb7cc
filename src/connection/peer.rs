//! Who is at the other end, and what has passed so far.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use super::{Endpoint, Link, Record};
use crate::shutdown::Shutdown;

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
    /// The peer of a new connection, for a listener that makes one.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::{Endpoint, Peer};
    ///
    /// let peer = Peer::new(Endpoint::Memory, Endpoint::Memory);
    /// assert_eq!(peer.endpoint(), &Endpoint::Memory);
    /// ```
    #[must_use]
    pub fn new(remote: Endpoint, local: Endpoint) -> Self {
        Self(Arc::new(Record::new(remote, local)))
    }

    /// Gives the server its own hold on the stream.
    ///
    /// # Panics
    ///
    /// When the peer was cloned, or made into a connection, before.
    ///
    /// # Examples
    ///
    /// See [`Link`].
    #[must_use]
    pub fn with_link(mut self, link: Arc<dyn Link>) -> Self {
        Arc::get_mut(&mut self.0)
            .expect("a link is given to a peer before it is shared")
            .set_link(link);
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

    /// Where the peer is.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(halves::Peer::default().endpoint(), &halves::Endpoint::Unknown);
    /// ```
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.0.remote
    }

    /// Where our end is. For a socket of a listener on all interfaces this asks the system, which
    /// knows as long as the connection is open.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(halves::Peer::default().local(), halves::Endpoint::Unknown);
    /// ```
    #[must_use]
    pub fn local(&self) -> Endpoint {
        match self.0.local {
            Endpoint::Inet(address) if address.ip().is_unspecified() => {
                let link = self.0.link();
                let fd = link.as_deref().and_then(Link::as_fd);
                fd.and_then(|fd| rustix::net::getsockname(fd).ok())
                    .and_then(|name| SocketAddr::try_from(name).ok())
                    .map_or_else(|| self.0.local.clone(), Endpoint::from)
            }
            ref local => local.clone(),
        }
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

    /// The switch that ends this connection's server; one that nobody moves, before a server has
    /// the connection.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::{Connection, Peer};
    /// use std::io;
    ///
    /// /// Works until the server is told to end.
    /// async fn handler(Connection { peer, .. }: Connection) -> io::Result<()> {
    ///     peer.shutdown().requested().await;
    ///     Ok(())
    /// }
    /// ```
    #[must_use]
    pub fn shutdown(&self) -> Shutdown {
        self.0
            .home()
            .map_or_else(Shutdown::default, |home| home.shutdown.clone())
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
