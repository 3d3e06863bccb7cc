//! The counts of a server: connections, bytes, errors of accept.

mod histogram;

use std::fmt;
use std::ops::Index;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::reason::Reason;

pub use histogram::{Histogram, Histograms};

/// The number of connections that ended, by [`Reason`].
///
/// The [`Debug`] form lists the reasons by name and leaves out those with a count of 0.
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
    /// Returns the number of connections that ended for any reason.
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

    /// Returns the number of connections that were refused: see [`Reason::is_refusal`].
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

/// The statistics of a server, read at one moment. All but `open` never decrease.
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
    /// Accepted connections that are open now.
    pub open: u64,
    /// Accepted connections that ended, by reason.
    pub ended: Ended,
    /// Bytes received by all connections, those that are open included.
    pub bytes_in: u64,
    /// Bytes sent by all connections, those that are open included.
    pub bytes_out: u64,
    /// Bytes that [`Buffered`](crate::connection::Buffered) writers still held when they were
    /// dropped.
    pub bytes_unsent: u64,
    /// Accepts that failed with any error.
    pub accept_errors: u64,
    /// Times that a limit of the server or of the system began to hold new connections back.
    pub limit_episodes: u64,
}

/// The counters behind [`Stats`]. Reads and writes of a connection do not touch them.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) accepted: AtomicU64,
    pub(crate) bytes_unsent: AtomicU64,
    pub(crate) accept_errors: AtomicU64,
    pub(crate) limit_episodes: AtomicU64,
    ended: [AtomicU64; Reason::ALL.len()],
}

impl Counters {
    pub(crate) fn end(&self, reason: Reason) {
        count(&self.ended[reason as usize], 1);
    }

    /// Reads `ended` before `accepted`, so that no connection counts as both open and ended. The
    /// bytes are those of all connections.
    pub(crate) fn snapshot(&self, bytes_in: u64, bytes_out: u64) -> Stats {
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
            bytes_in,
            bytes_out,
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
        assert_eq!(format!("{:?}", counters.snapshot(0, 0).ended), "Ended");
        count(&counters.accepted, 3);
        for reason in [Reason::MinRate, Reason::Eof, Reason::Eof] {
            counters.end(reason);
        }
        let ended = counters.snapshot(0, 0).ended;
        assert_eq!(format!("{ended:?}"), "Ended { eof: 2, min_rate: 1 }");
    }
}
