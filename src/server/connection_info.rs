//! `ConnectionInfo`: the state of an open connection, for operators.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use crate::connection::{Endpoint, Peer, Phase, Record, Waits};
use crate::reason::Reason;

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
    /// The number of the connection, for [`Handle::kill`](crate::Handle::kill).
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
    /// The index of the listener that accepted it: see [`Peer::listener`].
    pub listener: usize,
    /// The event that it waits for.
    pub waits: Waits,
    /// The time for which it waits. It is exact for a write. Otherwise it is [`idle`](Self::idle): the
    /// handler may have worked first.
    pub waiting: Duration,
    /// Bytes that the handler has written and the peer has not acknowledged, with those in the queue
    /// of a [`Buffered`](crate::connection::Buffered). None if the stream does not count them. Bytes
    /// inside a layer such as TLS are not included.
    pub unsent: Option<usize>,
    /// The next deadline, if there is one.
    pub deadline: Option<Deadline>,
    peer_state: Peer,
}

/// The next deadline of a connection.
///
/// # Examples
///
/// ```
/// use halves::Reason;
///
/// for connection in halves::Server::default().handle().connections() {
///     if let Some(deadline) = connection.deadline && deadline.reason == Reason::Idle {
///         println!("{} is closed in {:?} if it stays idle", connection.peer, deadline.left);
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Deadline {
    /// The reason with which the connection ends then: [`Handshake`](Reason::Handshake),
    /// [`Idle`](Reason::Idle), [`Lifetime`](Reason::Lifetime) or [`MinRate`](Reason::MinRate). The
    /// last one is the next only while the peer is too slow.
    pub reason: Reason,
    /// The time until then. Zero if the deadline has passed and is not judged yet.
    pub left: Duration,
}

impl ConnectionInfo {
    pub(super) fn new(record: &Arc<Record>) -> Self {
        record.measure_lent();
        let now = record.context().map(|context| context.clock.stamp());
        let since = |stamp| now.map_or(Duration::ZERO, |now| now.since(stamp));
        let (waits, waits_since) = record.waits();
        let deadline = now.and_then(|now| {
            let (reason, time) = record.next_deadline(now)?;
            let left = time.since(now);
            Some(Deadline { reason, left })
        });
        Self {
            id: record.id(),
            peer: record.peer().clone(),
            local: Endpoint::clone(&record.local),
            age: since(record.opened()),
            idle: since(record.active()),
            bytes_in: record.bytes_in(),
            bytes_out: record.bytes_out(),
            phase: record.phase(),
            listener: record.listener(),
            waits,
            waiting: since(waits_since),
            unsent: record.unacknowledged(),
            deadline,
            peer_state: Peer::of(record),
        }
    }

    /// Returns what a layer has stored of the connection, as [`Peer::extension`] does: for example
    /// the `tls::Info` of a connection with TLS.
    ///
    /// # Examples
    ///
    /// ```
    /// struct Tenant(&'static str);
    ///
    /// for connection in halves::Server::default().handle().connections() {
    ///     let tenant = connection.extension::<Tenant>();
    ///     println!("{}: {}", connection.id, tenant.map_or("none", |tenant| tenant.0));
    /// }
    /// ```
    #[must_use]
    pub fn extension<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.peer_state.extension()
    }
}
