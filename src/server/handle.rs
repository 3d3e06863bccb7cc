//! `Handle`: control of a running server from other tasks and threads.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::registry::Registry;
use crate::connection::{Endpoint, Phase, Record};
use crate::limits::Rules;
use crate::reason::Reason;
use crate::shutdown::Shutdown;
use crate::stats::Stats;

/// A handle to one [`Server`](crate::Server): statistics, connections, rules and the end. Clones
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

    /// Returns the statistics of the server so far.
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

    /// Returns the open connections, in no particular order.
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
        records
            .iter()
            .map(|record| ConnectionInfo::new(record))
            .collect()
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
}

/// The state of an open connection at one moment.
///
/// # Examples
///
/// ```
/// let connections = halves::Server::default().handle().connections();
/// let bytes: u64 = connections.iter().map(|connection| connection.bytes_in).sum();
/// assert_eq!(bytes, 0);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConnectionInfo {
    /// The number of the connection, for [`Handle::kill`].
    pub id: u64,
    /// The address of the peer.
    pub peer: Endpoint,
    /// The address at which it was accepted.
    pub local: Endpoint,
    /// The time since the accept.
    pub age: Duration,
    /// The time since the last byte in either direction.
    pub idle: Duration,
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// The phase of the connection.
    pub phase: Phase,
}

impl ConnectionInfo {
    fn new(record: &Record) -> Self {
        record.measure_lent();
        let now = record.context().map(|context| context.clock.stamp());
        let since = |stamp| now.map_or(Duration::ZERO, |now| now.since(stamp));
        Self {
            id: record.id(),
            peer: record.peer().clone(),
            local: Endpoint::clone(&record.local),
            age: since(record.opened()),
            idle: since(record.active()),
            bytes_in: record.bytes_in(),
            bytes_out: record.bytes_out(),
            phase: record.phase(),
        }
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Handle").field(&self.stats()).finish()
    }
}
