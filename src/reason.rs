//! `Reason`: why a connection ended. A new reason changes this file only.

use std::fmt;

/// Why a connection ended. Every connection ends with exactly one reason.
///
/// [`Display`](fmt::Display) writes the word that logs use, as [`as_str`](Self::as_str) returns it.
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
    /// The server drained, the peer sent nothing more, and the handler returned `Ok`.
    Drained,
    /// No byte moved in either direction for the idle timeout.
    Idle,
    /// The connection reached its lifetime.
    Lifetime,
    /// The peer sent more slowly than the minimum rate.
    MinRate,
    /// The handshakes, or the lookup of the real client, took longer than the handshake timeout.
    Handshake,
    /// The rules do not allow the source.
    Denied,
    /// The source already had its maximum number of open connections.
    PerSource,
    /// The source exceeded its rate of new connections.
    AcceptRate,
    /// [`Handle::kill`](crate::Handle::kill) reset the connection.
    Killed,
    /// [`Handle::close_clients`](crate::Handle::close_clients) closed the connection.
    Closed,
    /// The connection was reset because the server ended first: at the drain deadline, at a second
    /// signal, when the serving future was dropped, or by
    /// [`Handle::abort_clients`](crate::Handle::abort_clients).
    Aborted,
}

impl Reason {
    /// Every reason, in the order of the variants.
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

    /// Returns the word that logs use.
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

    /// Returns true if the connection was refused because of its source.
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

    /// Returns true if the connection failed: its handler returned an error or panicked, or the end
    /// of the server reset it.
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(halves::Reason::Panic.is_failure());
    /// assert!(!halves::Reason::Idle.is_failure());
    /// ```
    #[must_use]
    pub const fn is_failure(self) -> bool {
        matches!(self, Self::Error | Self::Panic | Self::Aborted)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_reasons_are_listed_in_the_order_of_the_variants() {
        for (n, &reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(reason as usize, n, "{reason}");
        }
    }
}
