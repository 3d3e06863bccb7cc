//! Why connections ended, and how many did.

use std::fmt;
use std::ops::Index;
use std::sync::atomic::{AtomicU64, Ordering};

/// Why a connection ended. Every connection ends with exactly one.
///
/// Its [`Display`](fmt::Display) is the word that logs use.
///
/// # Examples
///
/// ```
/// assert_eq!(halves::Reason::Drained.to_string(), "drained");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The peer ended its side, and the handler then returned `Ok`.
    Eof,
    /// The handler returned `Ok` while the peer's side was still open.
    Handler,
    /// The handler returned an error, or reset the connection with
    /// [`Peer::abort`](crate::Peer::abort).
    Error,
    /// The handler panicked, and the connection was reset.
    Panic,
    /// The server was told to end, the peer was quiet, and the handler closed for that.
    Drained,
    /// No byte moved, in either direction, for the idle timeout.
    Idle,
    /// The connection reached its lifetime.
    Lifetime,
    /// The peer sent, and slower than the minimum rate.
    MinRate,
    /// The handshakes were not done, or the real client not known, in time.
    Handshake,
    /// The rules do not allow the source.
    Denied,
    /// The source had as many connections open as one may have.
    PerSource,
    /// The source connected too often.
    AcceptRate,
    /// [`Handle::kill`](crate::Handle::kill) ended it, with a reset.
    Killed,
    /// [`Handle::close_clients`](crate::Handle::close_clients) ended it, in order.
    Closed,
    /// The server ended before the connection did, which was reset: the drain deadline passed, a
    /// second signal came, the serving future was dropped, or
    /// [`Handle::abort_clients`](crate::Handle::abort_clients) was called.
    Aborted,
}

impl Reason {
    /// Every reason there is.
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(halves::Reason::ALL.contains(&halves::Reason::Eof));
    /// ```
    pub const ALL: &'static [Self] = &[
        Self::Eof,
        Self::Handler,
        Self::Error,
        Self::Panic,
        Self::Drained,
        Self::Idle,
        Self::Lifetime,
        Self::MinRate,
        Self::Handshake,
        Self::Denied,
        Self::PerSource,
        Self::AcceptRate,
        Self::Killed,
        Self::Closed,
        Self::Aborted,
    ];

    /// The word that logs use.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(halves::Reason::Eof.as_str(), "eof");
    /// ```
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Eof => "eof",
            Self::Handler => "handler",
            Self::Error => "error",
            Self::Panic => "panic",
            Self::Drained => "drained",
            Self::Idle => "idle",
            Self::Lifetime => "lifetime",
            Self::MinRate => "min_rate",
            Self::Handshake => "handshake",
            Self::Denied => "denied",
            Self::PerSource => "per_source",
            Self::AcceptRate => "accept_rate",
            Self::Killed => "killed",
            Self::Closed => "closed",
            Self::Aborted => "aborted",
        }
    }

    /// Whether the connection was refused, for where it came from.
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(halves::Reason::Denied.is_refusal());
    /// assert!(!halves::Reason::Eof.is_refusal());
    /// ```
    #[must_use]
    pub const fn is_refusal(self) -> bool {
        matches!(self, Self::Denied | Self::PerSource | Self::AcceptRate)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How many connections ended for each [`Reason`].
///
/// Its [`Debug`] form has the reasons by name, less those for which none ended.
///
/// # Examples
///
/// ```
/// use halves::Reason;
/// use halves::stats::Stats;
///
/// let ended = Stats::default().ended;
/// assert_eq!(ended[Reason::Eof], 0);
/// assert_eq!(ended.total(), 0);
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Ended([u64; Reason::ALL.len()]);

impl Ended {
    /// How many ended, for any reason.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(halves::stats::Stats::default().ended.total(), 0);
    /// ```
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// How many were refused, for where they came from.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(halves::stats::Stats::default().ended.refused(), 0);
    /// ```
    #[must_use]
    pub fn refused(&self) -> u64 {
        let reasons = Reason::ALL.iter().filter(|reason| reason.is_refusal());
        reasons.map(|&reason| self[reason]).sum()
    }
}

impl fmt::Debug for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names = f.debug_struct("Ended");
        for reason in Reason::ALL {
            let count = self[*reason];
            if count > 0 {
                names.field(reason.as_str(), &count);
            }
        }
        names.finish()
    }
}

impl Index<Reason> for Ended {
    type Output = u64;

    fn index(&self, reason: Reason) -> &u64 {
        &self.0[reason as usize]
    }
}

/// What a server has done so far: plain numbers, taken at one moment.
///
/// # Examples
///
/// ```
/// let server = halves::Server::default();
/// assert_eq!(server.handle().stats(), halves::stats::Stats::default());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Connections that were accepted.
    pub accepted: u64,
    /// Of these, the ones that are open now.
    pub open: u64,
    /// Of these, the ones that ended, by reason.
    pub ended: Ended,
    /// Bytes that ended connections had received.
    pub bytes_in: u64,
    /// Bytes that ended connections had sent.
    pub bytes_out: u64,
    /// Bytes that [`Buffered`](crate::connection::Buffered) writers kept and were dropped with.
    pub bytes_unsent: u64,
    /// Accepts that failed, whatever the error.
    pub accept_errors: u64,
    /// How often a limit, ours or the system's, held new connections back.
    pub limit_episodes: u64,
}

/// The counters behind [`Stats`]. None of them is touched while data flows.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) accepted: AtomicU64,
    pub(crate) bytes_unsent: AtomicU64,
    pub(crate) accept_errors: AtomicU64,
    pub(crate) limit_episodes: AtomicU64,
    ended: [AtomicU64; Reason::ALL.len()],
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
}

impl Counters {
    pub(crate) fn end(&self, reason: Reason, bytes_in: u64, bytes_out: u64) {
        count(&self.bytes_in, bytes_in);
        count(&self.bytes_out, bytes_out);
        count(&self.ended[reason as usize], 1);
    }

    /// Read so that no connection is counted as both open and ended.
    pub(crate) fn snapshot(&self) -> Stats {
        let ended = Ended(
            self.ended
                .each_ref()
                .map(|count| count.load(Ordering::Acquire)),
        );
        let accepted = self.accepted.load(Ordering::Acquire);
        Stats {
            accepted,
            open: accepted - ended.total(),
            ended,
            bytes_in: self.bytes_in.load(Ordering::Relaxed),
            bytes_out: self.bytes_out.load(Ordering::Relaxed),
            bytes_unsent: self.bytes_unsent.load(Ordering::Relaxed),
            accept_errors: self.accept_errors.load(Ordering::Relaxed),
            limit_episodes: self.limit_episodes.load(Ordering::Relaxed),
        }
    }
}

pub(crate) fn count(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Ordering::AcqRel);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_debug_form_has_the_reasons_by_name() {
        let counters = Counters::default();
        assert_eq!(format!("{:?}", counters.snapshot().ended), "Ended");
        count(&counters.accepted, 3);
        for reason in [Reason::MinRate, Reason::Eof, Reason::Eof] {
            counters.end(reason, 0, 0);
        }
        let ended = counters.snapshot().ended;
        assert_eq!(format!("{ended:?}"), "Ended { eof: 2, min_rate: 1 }");
    }
}
