//! A hold on a running server, for other tasks and threads.

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

/// A handle to one [`Server`](crate::Server). Clones are cheap.
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

    /// What the server has done so far.
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

    /// The switch that ends this server, and no other; without a
    /// [`drain_delay`](crate::Server::drain_delay), which is for the embedder's.
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

    /// Whether clients should be sent to this server: it serves, and was not told to end. What
    /// tells a load balancer asks this.
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

    /// Where the server listens, while it does, with the port that the system picked for port 0.
    /// (asyncio's `Server.sockets`.)
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

    /// Waits until the server has ended, with all of its connections, or was dropped. To end it is
    /// for [`shutdown`](Self::shutdown). (asyncio's `Server.wait_closed`.)
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
        self.registry.over.requested().await;
    }

    /// The connections that are open, in no order.
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

    /// Resets the connection with this number, and says whether there was one. Its handler is
    /// dropped when the executor next runs its task. One that is being closed already keeps the
    /// reason for that.
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(!halves::Server::default().handle().kill(1), "nobody is connected");
    /// ```
    #[expect(
        clippy::must_use_candidate,
        reason = "it is called for the reset, not for the answer"
    )]
    pub fn kill(&self, id: u64) -> bool {
        let record = self.registry.find(id);
        record
            .inspect(|record| record.abort(Reason::Killed))
            .is_some()
    }

    /// Ends every connection in order: its handler is dropped, what was written is delivered, and
    /// the peer told the end of input; one in the middle of a write is reset, and so is one whose
    /// [`Buffered`](crate::connection::Buffered) has kept bytes that are not sent yet: these are lost, and told.
    /// The server goes on, with new ones. (asyncio's `Server.close_clients`, which flushes them.)
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

    /// Resets every connection. The server goes on, with new ones. (asyncio's
    /// `Server.abort_clients`.)
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

    /// Changes who may connect from now on. Who is connected stays.
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

/// What is known of an open connection, at one moment.
///
/// # Examples
///
/// See [`Handle::connections`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConnectionInfo {
    /// Its number, which [`Handle::kill`] takes.
    pub id: u64,
    /// Who is at the other end.
    pub peer: Endpoint,
    /// Where it was accepted.
    pub local: Endpoint,
    /// Since it was accepted.
    pub age: Duration,
    /// Since a byte last moved, in either direction.
    pub idle: Duration,
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// How far it has come.
    pub phase: Phase,
}

impl ConnectionInfo {
    fn new(record: &Record) -> Self {
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
