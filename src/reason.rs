//! `Reason`: why a connection ended. A new reason changes this file only.

use std::fmt;

/// Defines the reasons and the lists of them, so that no reason is missing from a list.
macro_rules! reasons {
    (
        $(#[$attribute:meta])*
        pub enum Reason { $($(#[$doc:meta])* $variant:ident => $word:literal,)* }
    ) => {
        $(#[$attribute])*
        pub enum Reason { $($(#[$doc])* $variant,)* }

        /// Every reason, in the order of the variants.
        const REASONS: &[Reason] = &[$(Reason::$variant),*];
        /// The word of each reason, in the same order.
        const WORDS: &[&str] = &[$($word),*];
    };
}

reasons! {
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
        Eof => "eof",
        /// The handler returned `Ok` while the peer's side was still open.
        Handler => "handler",
        /// The handler returned an error, [`Peer::abort`](crate::Peer::abort) reset the connection, or
        /// the rest of the output could not be sent: the stream failed, or the peer took none of it
        /// for 2 seconds.
        Error => "error",
        /// The handler panicked, and the connection was reset.
        Panic => "panic",
        /// The server drained, the peer sent nothing more, and the handler returned `Ok`.
        Drained => "drained",
        /// No byte moved in either direction for the idle timeout.
        Idle => "idle",
        /// The connection reached its lifetime.
        Lifetime => "lifetime",
        /// The peer sent more slowly than the minimum rate.
        MinRate => "min_rate",
        /// The handshakes took longer than the handshake timeout, or the address of the real client
        /// was not set in that time.
        Handshake => "handshake",
        /// The rules do not allow the source.
        Denied => "denied",
        /// The source already had its maximum number of open connections.
        PerSource => "per_source",
        /// The source exceeded its rate of new connections.
        AcceptRate => "accept_rate",
        /// The header of the PROXY protocol was wrong or missing, or the source may not send one.
        ProxyHeader => "proxy_header",
        /// The TLS handshake failed.
        Tls => "tls",
        /// The peer ended the stream without the `close_notify` of TLS, so its last bytes may be
        /// missing.
        Truncated => "truncated",
        /// No target of a relay could be reached.
        Refused => "refused",
        /// The child process of the connection failed: its exit status is not 0, or a signal ended
        /// it.
        Child => "child",
        /// Another process has taken the connection over and goes on with it.
        Handover => "handover",
        /// [`Handle::kill`](crate::Handle::kill) reset the connection.
        Killed => "killed",
        /// [`Handle::close_clients`](crate::Handle::close_clients) closed the connection.
        Closed => "closed",
        /// The connection was reset because the server ended first: at the drain deadline, at a second
        /// signal, when the serving future or the task of the connection was dropped, or by
        /// [`Handle::abort_clients`](crate::Handle::abort_clients).
        Aborted => "aborted",
    }
}

impl Reason {
    /// Every reason, in the order of the variants.
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(halves::Reason::ALL.contains(&halves::Reason::Eof));
    /// ```
    pub const ALL: &'static [Self] = REASONS;

    /// Returns the word that logs use.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(halves::Reason::Eof.as_str(), "eof");
    /// ```
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        WORDS[self as usize]
    }

    /// Returns true if the connection was refused because of its source, its PROXY header or its
    /// TLS handshake.
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(halves::Reason::Denied.is_refusal());
    /// assert!(!halves::Reason::Eof.is_refusal());
    /// ```
    #[must_use]
    pub const fn is_refusal(self) -> bool {
        matches!(
            self,
            Self::Denied | Self::PerSource | Self::AcceptRate | Self::ProxyHeader | Self::Tls
        )
    }

    /// Returns true if the connection failed: the reason is [`Error`](Self::Error),
    /// [`Panic`](Self::Panic), [`Refused`](Self::Refused) or [`Aborted`](Self::Aborted).
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(halves::Reason::Panic.is_failure());
    /// assert!(!halves::Reason::Idle.is_failure());
    /// ```
    #[must_use]
    pub const fn is_failure(self) -> bool {
        matches!(
            self,
            Self::Error | Self::Panic | Self::Refused | Self::Aborted
        )
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
