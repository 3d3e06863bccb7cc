//! `ConnectOptions`: the settings of an outgoing connection.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::ConnectTimings;
use crate::address::Address;
use crate::connection::Connection;
use crate::error::Error;
use crate::proxy_protocol::{Header, Version};
use crate::time::Clock;
#[cfg(feature = "tls")]
use crate::tls::Connector;

/// The settings of an outgoing connection: timeout, source address, PROXY header and TLS.
///
/// One value serves any number of connections.
///
/// # Examples
///
/// ```
/// use halves::ConnectOptions;
/// use std::time::Duration;
///
/// # smol::block_on(async {
/// # let listeners = halves::bind("127.0.0.1:0").await?;
/// # let address = listeners.local_addrs()[0].to_string();
/// let options = ConnectOptions::new()
///     .timeout(Duration::from_secs(5))
///     .source(([127, 0, 0, 1], 0));
/// let connection = options.connect(address).await?;
/// assert!(connection.peer.local().to_string().starts_with("127.0.0.1:"));
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct ConnectOptions {
    /// Zero for none.
    pub(super) timeout: Duration,
    pub(super) source: Option<SocketAddr>,
    pub(super) clock: Clock,
    pub(super) proxy: Option<ProxyHeader>,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<Connector>,
}

/// The PROXY header to send.
#[derive(Clone, Debug)]
pub(super) struct ProxyHeader {
    pub(super) version: Version,
    /// None for the addresses of the connection itself.
    pub(super) header: Option<Header>,
}

impl ConnectOptions {
    /// Makes settings without a timeout, a source address, a PROXY header or TLS.
    ///
    /// # Examples
    ///
    /// ```
    /// let options = halves::ConnectOptions::new();
    /// # drop(options);
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the time for the name lookup, the connection and the TLS handshake together. Zero is no
    /// timeout, the default.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::ConnectOptions;
    /// use std::time::Duration;
    ///
    /// let options = ConnectOptions::new().timeout(Duration::from_secs(5));
    /// # drop(options);
    /// ```
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the local address of TCP connections. With port 0, the system chooses a port for each.
    ///
    /// Addresses of the other family are not tried. An IPv4-mapped address is the IPv4 address.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::ConnectOptions;
    /// use std::net::Ipv6Addr;
    ///
    /// let options = ConnectOptions::new().source((Ipv6Addr::LOCALHOST, 0));
    /// # drop(options);
    /// ```
    pub fn source(mut self, source: impl Into<SocketAddr>) -> Self {
        let mut source = source.into();
        source.set_ip(source.ip().to_canonical());
        self.source = Some(source);
        self
    }

    /// Sends a PROXY header with the addresses of the connection itself, in front of everything.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::ConnectOptions;
    /// use halves::proxy_protocol::Version;
    ///
    /// let options = ConnectOptions::new().send_proxy(Version::V2);
    /// # drop(options);
    /// ```
    pub fn send_proxy(mut self, version: Version) -> Self {
        self.proxy = Some(ProxyHeader {
            version,
            header: None,
        });
        self
    }

    /// Sends this PROXY header in front of everything, to pass on a client.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::proxy_protocol::{Header, Version};
    /// use halves::{ConnectOptions, Connection};
    /// use std::io;
    ///
    /// async fn target_of(client: &Connection) -> io::Result<Connection> {
    ///     let header = Header::of(&client.peer);
    ///     let options = ConnectOptions::new().send_proxy_for(header, Version::V2);
    ///     options.connect("192.0.2.7:80").await
    /// }
    /// ```
    pub fn send_proxy_for(mut self, client: Header, version: Version) -> Self {
        self.proxy = Some(ProxyHeader {
            version,
            header: Some(client),
        });
        self
    }

    /// Does a TLS handshake on each connection.
    ///
    /// The server is asked for the name of
    /// [`ClientSettings::server_name`](crate::tls::ClientSettings::server_name), or else for the
    /// host in the address.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use halves::ConnectOptions;
    /// use halves::tls::{Connector, Info};
    ///
    /// # smol::block_on(async {
    /// let options = ConnectOptions::new().tls(Connector::new()?);
    /// let connection = options.connect("example.org:443").await?;
    /// let info = connection.peer.extension::<Info>().unwrap();
    /// # drop(info);
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    #[cfg(feature = "tls")]
    pub fn tls(mut self, connector: Connector) -> Self {
        self.tls = Some(connector);
        self
    }

    /// Sets the clock of the timeout, the timings, and the pauses between attempts.
    ///
    /// # Examples
    ///
    /// ```
    /// let (clock, manual) = halves::Clock::manual();
    /// let options = halves::ConnectOptions::new().clock(clock);
    /// # drop((options, manual));
    /// ```
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Connects to an address.
    ///
    /// A host name may have several addresses. As in RFC 8305, IPv6 and IPv4 alternate, beginning
    /// with the first address that the resolver returns. The next address is tried after 250 ms, or
    /// as soon as the attempt before has failed. The first connection is returned; the others are
    /// closed. All addresses are tried.
    ///
    /// Connecting takes no thread. A name lookup takes one, which cannot be stopped: lookups of one
    /// name at the same time share a lookup, also with those that are cancelled.
    ///
    /// While the backlog of a Unix socket is full, this waits.
    ///
    /// Cancel-safe: a dropped future leaves no connection behind.
    ///
    /// # Errors
    ///
    /// * [`Error::Address`] if the text is not an address.
    /// * [`Error::Resolve`] if the name has no address.
    /// * [`Error::Connect`] if no address takes the connection, or for an address that only a
    ///   listener has. If all addresses have failed with different errors, the text has all.
    /// * [`Error::Tls`] if the handshake fails.
    ///
    /// Each is inside an [`io::Error`] of the same kind. After the timeout that is
    /// [`TimedOut`](io::ErrorKind::TimedOut), with the variant of the step that has not ended.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use halves::{ConnectOptions, Error};
    /// use std::time::Duration;
    ///
    /// # smol::block_on(async {
    /// let options = ConnectOptions::new().timeout(Duration::from_secs(5));
    /// let connected = options.connect("nosuch.example:80").await;
    /// let error = connected.unwrap_err().downcast::<Error>().unwrap();
    /// assert!(matches!(error, Error::Resolve { .. }));
    /// # });
    /// ```
    pub async fn connect<A>(&self, address: A) -> io::Result<Connection>
    where
        A: TryInto<Address>,
        Error: From<A::Error>,
    {
        let mut timings = ConnectTimings::default();
        self.connect_timed(address, &mut timings).await
    }

    /// Connects to an address, and sets the time of each step that has ended, also after an error.
    ///
    /// # Errors
    ///
    /// Those of [`connect`](Self::connect).
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::{ConnectOptions, ConnectTimings};
    ///
    /// # smol::block_on(async {
    /// # let listeners = halves::bind("127.0.0.1:0").await?;
    /// # let address = listeners.local_addrs()[0].to_string();
    /// let mut timings = ConnectTimings::default();
    /// let connected = ConnectOptions::new().connect_timed(address, &mut timings).await;
    /// assert!(connected.is_ok() && timings.connect.is_some());
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    pub async fn connect_timed<A>(
        &self,
        address: A,
        timings: &mut ConnectTimings,
    ) -> io::Result<Connection>
    where
        A: TryInto<Address>,
        Error: From<A::Error>,
    {
        *timings = ConnectTimings::default();
        let address = address.try_into().map_err(Error::from)?;
        self.in_time(&address, timings).await
    }
}
