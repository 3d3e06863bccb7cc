//! `Handle`: control of a running server from other tasks and threads.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::connection_info::ConnectionInfo;
use super::listener_stats::ListenerStats;
use super::registry::Registry;
use crate::connection::Endpoint;
use crate::limits::{Rules, Sources, Timeouts};
use crate::reason::Reason;
use crate::shutdown::Shutdown;
use crate::stats::{Histograms, Stats};

/// A handle to one [`Server`](crate::Server): statistics, connections, limits and the end. Clones
/// are cheap.
///
/// # Examples
///
/// ```
/// use halves::{Connection, Executor, Server, bind};
/// use halves::service::discard;
///
/// let ex = Executor::new();
/// let server = Server::default();
/// let handle = server.handle();
/// ex.spawn(async move { handle.shutdown().drain() }).detach();
/// let report = ex.block_on(async {
///     let listener = bind("127.0.0.1:0").await?;
///     server.serve(&ex, listener, async |Connection { reader, writer, .. }| discard(reader, writer).await).await
/// })?;
/// assert_eq!(report.aborted, 0);
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone)]
pub struct Handle {
    registry: Arc<Registry>,
    shutdown: Shutdown,
}

impl Handle {
    pub(super) fn new(registry: Arc<Registry>, shutdown: Shutdown) -> Self {
        Self { registry, shutdown }
    }

    /// Returns the statistics of the server so far. Adds up the bytes of the open connections, which
    /// takes a few tenths of a millisecond for 10,000.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(halves::Server::default().handle().stats().accepted, 0);
    /// ```
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.registry.stats()
    }

    /// Returns the statistics of each listener, by the index of
    /// [`Peer::listener`](crate::Peer::listener). They add up to [`stats`](Self::stats). Empty before
    /// the server accepts. Addresses stay after the end.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::{Connection, Executor, Once, Server};
    ///
    /// let ex = Executor::new();
    /// let server = Server::default();
    /// let handle = server.handle();
    /// let listener = Once::new(Connection::new(&b"hello"[..], vec![]));
    /// ex.block_on(server.serve(&ex, listener, async |_connection| Ok(())))?;
    /// assert_eq!((handle.listeners()[0].accepted, handle.listeners()[0].open), (1, 0));
    /// # std::io::Result::Ok(())
    /// ```
    #[must_use]
    pub fn listeners(&self) -> Vec<ListenerStats> {
        self.registry.listeners()
    }

    /// Returns histograms of the connections that ended.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(halves::Server::default().handle().histograms().age.total(), 0);
    /// ```
    #[must_use]
    pub fn histograms(&self) -> Histograms {
        self.registry.histograms()
    }

    /// Returns the shutdown of this server only. It drains without the
    /// [`drain_delay`](crate::Server::drain_delay), which applies to
    /// [`Server::shutdown`](crate::Server::shutdown).
    ///
    /// # Examples
    ///
    /// ```
    /// halves::Server::default().handle().shutdown().drain();
    /// ```
    #[must_use]
    pub fn shutdown(&self) -> &Shutdown {
        &self.shutdown
    }

    /// Returns true if a load balancer should send clients to this server: it serves, and no end
    /// was requested.
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(!halves::Server::default().handle().is_ready(), "it does not serve yet");
    /// ```
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.registry.ready.load(Ordering::Acquire) && !self.shutdown.is_draining()
    }

    /// Returns the addresses of the listener while the server accepts, with the port that the
    /// system picked for port 0. Like asyncio's `Server.sockets`.
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(halves::Server::default().handle().local_addrs().is_empty(), "it does not serve yet");
    /// ```
    #[must_use]
    pub fn local_addrs(&self) -> Vec<Endpoint> {
        self.registry.local_addrs()
    }

    /// Waits until the server and all of its connections have ended, or the server was dropped.
    /// Does not end the server: [`shutdown`](Self::shutdown) does. Like asyncio's
    /// `Server.wait_closed`.
    ///
    /// Cancel-safe.
    ///
    /// # Examples
    ///
    /// ```
    /// let server = halves::Server::default();
    /// let handle = server.handle();
    /// drop(server);
    /// smol::block_on(handle.wait_closed());
    /// ```
    pub async fn wait_closed(&self) {
        self.registry.ended.requested().await;
    }

    /// Returns the open connections, in no particular order. On sockets this is a system call for
    /// each of them, which takes some milliseconds for 10,000.
    ///
    /// # Examples
    ///
    /// ```
    /// for connection in halves::Server::default().handle().connections() {
    ///     println!("{} {} idle for {:?}", connection.id, connection.peer, connection.idle);
    /// }
    /// ```
    #[must_use]
    pub fn connections(&self) -> Vec<ConnectionInfo> {
        let records = self.registry.records();
        records.iter().map(ConnectionInfo::new).collect()
    }

    /// Returns the open connection with this number.
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(halves::Server::default().handle().connection(1).is_none());
    /// ```
    #[must_use]
    pub fn connection(&self, id: u64) -> Option<ConnectionInfo> {
        self.registry
            .find(id)
            .map(|record| ConnectionInfo::new(&record))
    }

    /// Resets the connection with this number. Returns true if there is one. Its handler is dropped
    /// when the executor next runs its task. A connection that is already closing keeps its reason.
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(!halves::Server::default().handle().kill(1), "no connection has this number");
    /// ```
    #[expect(clippy::must_use_candidate, reason = "callers may need only the reset")]
    pub fn kill(&self, id: u64) -> bool {
        let record = self.registry.find(id);
        record
            .inspect(|record| record.abort(Reason::Killed))
            .is_some()
    }

    /// Closes the connection with this number, as [`close_clients`](Self::close_clients) closes every
    /// one. Returns true if there is one.
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(!halves::Server::default().handle().close(1), "no connection has this number");
    /// ```
    #[expect(clippy::must_use_candidate, reason = "callers may need only the close")]
    pub fn close(&self, id: u64) -> bool {
        let record = self.registry.find(id);
        record.map(|record| record.close(Reason::Closed)).is_some()
    }

    /// Closes every connection: drops its handler, delivers the bytes that were written, and sends
    /// the end of input. A connection in the middle of a write is reset. So is one with unsent
    /// bytes in a [`Buffered`](crate::connection::Buffered); these are lost and reported as
    /// [`Event::Unsent`](crate::Event::Unsent). The server goes on and accepts new connections.
    /// Like asyncio's `Server.close_clients`, which flushes such bytes.
    ///
    /// # Examples
    ///
    /// ```
    /// halves::Server::default().handle().close_clients();
    /// ```
    pub fn close_clients(&self) {
        for record in self.registry.records() {
            record.close(Reason::Closed);
        }
    }

    /// Resets every connection. The server goes on and accepts new connections. Like asyncio's
    /// `Server.abort_clients`.
    ///
    /// # Examples
    ///
    /// ```
    /// halves::Server::default().handle().abort_clients();
    /// ```
    pub fn abort_clients(&self) {
        for record in self.registry.records() {
            record.abort(Reason::Aborted);
        }
    }

    /// Replaces the rules for new connections. Open connections stay.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::Server;
    /// use halves::limits::Rules;
    ///
    /// let handle = Server::default().handle();
    /// handle.set_rules(Rules::default().deny("192.0.2.0/24".parse()?));
    /// # Ok::<(), halves::Error>(())
    /// ```
    pub fn set_rules(&self, rules: Rules) {
        self.registry.admission.set_rules(rules);
    }

    /// Replaces the limits for each source. Open connections stay and count against the new limits,
    /// in the networks of the new prefixes, also if there was no limit before, unless their end has
    /// begun. A source above its limit gets no new connection until enough of its connections have
    /// ended.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::{Server, limits::Sources};
    ///
    /// let handle = Server::default().handle();
    /// handle.set_sources(Sources::default().max_connections(40).v4_prefix(24));
    /// ```
    pub fn set_sources(&self, sources: Sources) {
        self.registry.set_sources(sources);
    }

    /// Replaces the maximum number of open connections, at least 1. If more are open, they stay, and
    /// new ones wait until enough of them have ended.
    ///
    /// # Examples
    ///
    /// ```
    /// halves::Server::default().handle().set_max_connections(100);
    /// ```
    pub fn set_max_connections(&self, max: usize) {
        self.registry.set_max_connections(max);
    }

    /// Replaces the timeouts, of open connections too. Times count from the same moments as before:
    /// a connection that was idle for longer than a new [`idle`](Timeouts::idle) is closed at once. A
    /// new [`min_rate`](Timeouts::min_rate) is measured from now on.
    ///
    /// A child of [`Exec`](crate::service::Exec) that has the socket itself, and other code after
    /// [`into_socket`](crate::Connection::into_socket), is under no `min_rate`. Neither is it under an
    /// `idle` that is set while it has the socket, unless the kernel knows the time of the last byte:
    /// for TCP on Linux.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::{Server, Timeouts};
    /// use std::time::Duration;
    ///
    /// let handle = Server::default().handle();
    /// handle.set_timeouts(Timeouts::default().idle(Duration::from_secs(60)));
    /// ```
    pub fn set_timeouts(&self, timeouts: Timeouts) {
        self.registry.settings.set_timeouts(timeouts);
        for record in self.registry.records() {
            record.recheck_deadlines();
        }
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Handle").field(&self.stats()).finish()
    }
}
