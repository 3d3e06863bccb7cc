//! How long one connection may take for what.

use std::time::Duration;

/// How long a connection may take, and how slow it may be.
///
/// A connection that passes one of these is ended: what was written is still delivered and the
/// peer told the end of input; if the handler was in the middle of a write, the connection is
/// reset instead, so that a cut answer is not taken for a whole one. Times are kept to a few
/// milliseconds. They cost nothing while data flows. The connection's own task looks at them: a handler
/// that blocks its thread is ended when it has returned or waits.
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
    /// From accept until every handshake is done, and the real client known. The default is 10
    /// seconds; 0 is no limit. A connection without a handshake never meets it.
    ///
    /// # Examples
    ///
    /// ```
    /// # let _ =
    /// halves::Timeouts::default().handshake(std::time::Duration::from_secs(5));
    /// ```
    pub fn handshake(mut self, timeout: Duration) -> Self {
        self.handshake = on(timeout);
        self
    }

    /// Without a byte in either direction; a peer that does not read is idle, too. Off (0) by
    /// default.
    ///
    /// # Examples
    ///
    /// ```
    /// # let _ =
    /// halves::Timeouts::default().idle(std::time::Duration::from_secs(60));
    /// ```
    pub fn idle(mut self, timeout: Duration) -> Self {
        self.idle = on(timeout);
        self
    }

    /// From accept, whatever the connection does; each gets up to a tenth less, by chance, so that
    /// the clients of a restarted server do not all come back at once. Off (0) by default.
    ///
    /// # Examples
    ///
    /// ```
    /// # let _ =
    /// halves::Timeouts::default().lifetime(std::time::Duration::from_secs(3600));
    /// ```
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = on(lifetime);
        self
    }

    /// Bytes that a peer must send in a second while the handler waits for more of something that it
    /// has begun to get, on average over 5 seconds of such waiting in which it sends at all. Off (0)
    /// by default.
    ///
    /// Something begins with the first byte after the handler has written, or after the end of a
    /// [`handshake`](crate::Peer::handshake), and goes on until the handler writes; what a
    /// [frame](crate::Reader::line) has begun with goes on until that is whole. Time in which the
    /// handler works, or its writes and flushes wait for the peer, does not count, nor does that between
    /// an answer and the next request:
    ///
    /// ```text
    /// peer     GET /a↵      ·            GET /b↵      ·    G · E · T · ·
    /// handler         works   answers            works  answers
    /// counts   ------+                  ------+             +----------->
    /// ```
    ///
    /// With 100 bytes a second, a peer that sends requests of 40 bytes whole, and waits 2 seconds
    /// between them, goes on for ever; one that sends a byte of its request a second is ended 5 seconds
    /// after the first.
    ///
    /// A service that answers nothing, such as [`discard`](crate::service::discard), has its whole time
    /// count from the first byte on; one that takes messages says with
    /// [`more_or_drain`](crate::Reader::more_or_drain) where each is complete. Silence is a matter for
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

    /// Whether connections are watched from accept to end, for any of these.
    pub(crate) fn always(&self) -> bool {
        self.idle.is_some() || self.lifetime.is_some() || self.min_rate.is_some()
    }
}

fn on(timeout: Duration) -> Option<Duration> {
    Some(timeout).filter(|timeout| !timeout.is_zero())
}
