//! How far a connection has come.

use std::fmt;
use std::sync::Arc;

use super::Record;

/// How far a connection has come.
///
/// # Examples
///
/// ```
/// assert_eq!(halves::connection::Phase::Open.to_string(), "open");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// A handshake is under way, or the real client is not known yet.
    Handshake,
    /// The handler has it.
    Open,
    /// The handler has ended; what it wrote is flushed, and the peer's end awaited.
    Closing,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Handshake => "handshake",
            Self::Open => "open",
            Self::Closing => "closing",
        })
    }
}

/// A handshake under way: while it lives, the connection is in [`Phase::Handshake`], and under the
/// deadline of [`Timeouts::handshake`](crate::Timeouts::handshake).
/// [`Peer::handshake`](crate::Peer::handshake) makes it.
///
/// # Examples
///
/// See [`Peer::handshake`](crate::Peer::handshake).
#[derive(Debug)]
#[must_use = "the handshake is over when this is dropped"]
pub struct Handshake(Arc<Record>);

impl Handshake {
    pub(super) fn begin(record: &Arc<Record>) -> Self {
        record.cold().begin_handshake();
        // It may have a deadline.
        record.remind();
        Self(record.clone())
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        self.0.cold().end_handshake();
        self.0.complete();
    }
}
