//! The counts of each listener.

use crate::connection::{Endpoint, Peer, Record};

/// The statistics of one listener of a server.
///
/// # Examples
///
/// ```
/// for listener in halves::Server::default().handle().listeners() {
///     println!("{}: {} open", listener.local, listener.open);
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListenerStats {
    /// The address of the listener. For one without an address it is the local address of its first
    /// connection.
    pub local: Endpoint,
    /// Connections that were accepted.
    pub accepted: u64,
    /// Accepted connections that are open now.
    pub open: u64,
    /// Accepted connections that ended, those that were refused included.
    pub ended: u64,
    /// Bytes received by all connections, those that are open included.
    pub bytes_in: u64,
    /// Bytes sent by all connections, those that are open included.
    pub bytes_out: u64,
}

/// The statistics by the index of the listener, with the bytes of connections that ended.
#[derive(Clone, Default)]
pub(super) struct ListenerTotals(Vec<ListenerStats>);

impl ListenerTotals {
    /// Begins with the addresses of the listener.
    pub(super) fn begin(&mut self, local: &[Endpoint]) {
        let listeners = local.iter().take(Peer::MAX_LISTENER_INDEX + 1);
        self.0 = listeners.cloned().map(ListenerStats::new).collect();
    }

    /// Returns the counts of the listener that accepted a connection.
    pub(super) fn of(&mut self, record: &Record) -> &mut ListenerStats {
        let index = record.listener();
        while self.0.len() <= index {
            self.0.push(ListenerStats::new(Endpoint::Unknown));
        }
        &mut self.0[index]
    }

    /// Returns the sums of received and of sent bytes.
    pub(super) fn bytes(&self) -> (u64, u64) {
        let sum = |bytes: fn(&ListenerStats) -> u64| self.0.iter().map(bytes).sum();
        (sum(|stats| stats.bytes_in), sum(|stats| stats.bytes_out))
    }
}

impl From<ListenerTotals> for Vec<ListenerStats> {
    fn from(totals: ListenerTotals) -> Self {
        totals.0
    }
}

impl ListenerStats {
    fn new(local: Endpoint) -> Self {
        Self {
            local,
            accepted: 0,
            open: 0,
            ended: 0,
            bytes_in: 0,
            bytes_out: 0,
        }
    }

    pub(super) fn accept(&mut self, record: &Record) {
        if self.local == Endpoint::Unknown {
            self.local = Endpoint::clone(&record.local);
        }
        self.accepted += 1;
        self.open += 1;
    }

    pub(super) fn end(&mut self, bytes_in: u64, bytes_out: u64) {
        self.open -= 1;
        self.ended += 1;
        self.add(bytes_in, bytes_out);
    }

    pub(super) fn add(&mut self, bytes_in: u64, bytes_out: u64) {
        self.bytes_in += bytes_in;
        self.bytes_out += bytes_out;
    }
}
