//! `Timeouts`: the time limits of one connection.

use std::time::Duration;

/// The time limits and the minimum rate of each connection.
///
/// A connection that exceeds one of them is closed: the server drops its handler, delivers the
/// bytes that were written, and sends the end of input. If the handler is in the middle of a write,
/// the connection is reset instead, so that a cut answer does not look complete.
///
/// Times are accurate to a few milliseconds and cost nothing while data flows. The task of the
/// connection checks them, so a handler that blocks its thread is ended only when it returns or
/// waits.
///
/// # Examples
///
/// ```
/// use halves::{Server, Timeouts};
/// use std::time::Duration;
///
/// let timeouts = Timeouts::default()
///     .idle(Duration::from_secs(60))
///     .lifetime(Duration::from_secs(3600))
///     .min_rate(100);
/// # let _ =
/// Server::default().timeouts(timeouts);
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Timeouts {
    pub(crate) handshake: Option<Duration>,
    pub(crate) idle: Option<Duration>,
    pub(crate) lifetime: Option<Duration>,
    /// Bytes per second.
    pub(crate) min_rate: Option<u64>,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            handshake: Some(Duration::from_secs(10)),
            idle: None,
            lifetime: None,
            min_rate: None,
        }
    }
}

impl Timeouts {
    /// Sets the time from the begin of a handshake to its end, and from the accept until the real
    /// client is known. The default is 10 seconds; 0 is off. It does not apply to a connection
    /// without a handshake.
    ///
    /// # Examples
    ///
    /// ```
    /// # let _ =
    /// halves::Timeouts::default().handshake(std::time::Duration::from_secs(5));
    /// ```
    pub fn handshake(mut self, timeout: Duration) -> Self {
        self.handshake = nonzero(timeout);
        self
    }

    /// Sets the time without a byte in either direction. A peer that does not read is idle, too.
    /// The default, 0, is off.
    ///
    /// # Examples
    ///
    /// ```
    /// # let _ =
    /// halves::Timeouts::default().idle(std::time::Duration::from_secs(60));
    /// ```
    pub fn idle(mut self, timeout: Duration) -> Self {
        self.idle = nonzero(timeout);
        self
    }

    /// Sets the time from the accept after which a connection ends, active or not. Each connection
    /// gets up to a tenth less, at random, so that the clients of a restarted server do not
    /// reconnect all at once. The default, 0, is off.
    ///
    /// # Examples
    ///
    /// ```
    /// # let _ =
    /// halves::Timeouts::default().lifetime(std::time::Duration::from_secs(3600));
    /// ```
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = nonzero(lifetime);
        self
    }

    /// Sets the minimum of bytes per second that a peer must send while the handler waits for the
    /// rest of a message. The rate is an average over 5 seconds of such waiting; windows in which
    /// the peer sends nothing do not count. The default, 0, is off.
    ///
    /// A message begins with the first byte after a write of the handler, or after the end of a
    /// [`handshake`](crate::Peer::handshake). It ends when the handler writes. A message read as a
    /// [frame](crate::Reader::line) lasts until the frame is complete. The rate ignores the time in
    /// which the handler works, in which its writes and flushes wait for the peer, and between an
    /// answer and the next request:
    ///
    /// ```text
    /// peer     GET /a↵      ·            GET /b↵      ·    G · E · T · ·
    /// handler         works   answers            works  answers
    /// counts   ------+                  ------+             +----------->
    /// ```
    ///
    /// For example, at 100 bytes per second a peer may send complete requests of 40 bytes with
    /// pauses of 2 seconds for ever. A peer that sends a request at one byte per second is ended 5
    /// seconds after its first byte.
    ///
    /// In a service that never answers, such as [`discard`](crate::service::discard), all time from
    /// the first byte counts. A handler that takes messages without an answer marks the end of each
    /// with [`more_or_drain`](crate::Reader::more_or_drain). Peers that send nothing are limited by
    /// [`idle`](Self::idle).
    ///
    /// # Examples
    ///
    /// ```
    /// # let _ =
    /// halves::Timeouts::default().min_rate(100);
    /// ```
    pub fn min_rate(mut self, bytes_per_second: u64) -> Self {
        self.min_rate = Some(bytes_per_second).filter(|&rate| rate > 0);
        self
    }

    /// Returns true if there is a deadline that applies from the accept to the end of every
    /// connection.
    pub(crate) fn is_permanent(&self) -> bool {
        self.idle.is_some() || self.lifetime.is_some() || self.min_rate.is_some()
    }
}

fn nonzero(timeout: Duration) -> Option<Duration> {
    Some(timeout).filter(|timeout| !timeout.is_zero())
}
