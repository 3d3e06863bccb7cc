//! `Error`: the context that Halves adds to errors of the system.

use std::borrow::Cow;
use std::{fmt, io};

/// An error with the text that could not be parsed, or the address that could not be used.
///
/// Functions return [`io::Error`], so that `?` works everywhere. Its inner error is this type, with
/// the same [`io::ErrorKind`]. The [`Display`](fmt::Display) form is one line for people.
///
/// # Examples
///
/// ```
/// use halves::{Address, Error};
///
/// let error = "50007x".parse::<Address>().unwrap_err();
/// assert!(matches!(error, Error::Address { .. }));
/// assert!(error.to_string().starts_with("bad address '50007x': "));
/// let error = std::io::Error::from(error);
/// assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The text is not an address. [`Address`](crate::Address) lists the valid forms.
    Address {
        /// The text.
        text: String,
        /// The reason, with a correction if there is one.
        problem: Cow<'static, str>,
    },
    /// The text is not a network. [`Net`](crate::limits::Net) takes CIDR notation.
    Net {
        /// The text.
        text: String,
        /// The reason, with a correction if there is one.
        problem: Cow<'static, str>,
    },
    /// The text is not a duration. [`parse_duration`](crate::duration::parse_duration) lists the
    /// valid forms.
    Duration {
        /// The text.
        text: String,
        /// The reason.
        problem: Cow<'static, str>,
    },
    /// The text is not a [`Version`](crate::proxy_protocol::Version) of the PROXY protocol: `v1`,
    /// `v2` or `any`.
    ProxyVersion {
        /// The text.
        text: String,
    },
    /// The system refuses to listen on the address: it is in use, does not belong to this machine,
    /// or is a port below 1024 without the privilege. Another port, or port 0, avoids the error.
    Listen {
        /// The address.
        address: String,
        /// The error of the system.
        source: io::Error,
    },
    /// The system returned an error instead of a connection, for example because descriptors are
    /// used up. A server retries if that may help.
    Accept {
        /// The address of the listener.
        address: String,
        /// The error of the system.
        source: io::Error,
    },
    /// The name in the address has not been resolved, for example because it does not exist:
    /// [`NotFound`](io::ErrorKind::NotFound). An IP address avoids the error.
    Resolve {
        /// The address.
        address: String,
        /// The error of the lookup.
        source: io::Error,
    },
    /// The connection to the address failed. If all addresses of a name have failed with different
    /// errors, the kind is that of the first, and the text has all.
    Connect {
        /// The address.
        address: String,
        /// The error of the system.
        source: io::Error,
    },
    /// The connection exists, but the TLS handshake failed. With the feature `tls`,
    /// `tls::certificate_error` returns the reason if the certificate of the server is rejected.
    Tls {
        /// The address.
        address: String,
        /// The error of the handshake.
        source: io::Error,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { text, problem } => write!(f, "bad address '{text}': {problem}"),
            Self::Net { text, problem } => write!(f, "bad network '{text}': {problem}"),
            Self::Duration { text, problem } => write!(f, "bad duration '{text}': {problem}"),
            Self::ProxyVersion { text } => {
                write!(f, "bad PROXY version '{text}': write v1, v2 or any")
            }
            Self::Listen { address, source } => write!(f, "cannot listen on {address}: {source}"),
            Self::Accept { address, source } => write!(f, "cannot accept at {address}: {source}"),
            Self::Resolve { address, source } => write!(f, "cannot resolve {address}: {source}"),
            Self::Connect { address, source } => write!(f, "cannot connect to {address}: {source}"),
            Self::Tls { address, source } => write!(f, "TLS with {address} failed: {source}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Address { .. }
            | Self::Net { .. }
            | Self::Duration { .. }
            | Self::ProxyVersion { .. } => None,
            Self::Listen { source, .. }
            | Self::Accept { source, .. }
            | Self::Resolve { source, .. }
            | Self::Connect { source, .. }
            | Self::Tls { source, .. } => Some(source),
        }
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match &error {
            Error::Address { .. }
            | Error::Net { .. }
            | Error::Duration { .. }
            | Error::ProxyVersion { .. } => io::ErrorKind::InvalidInput,
            Error::Listen { source, .. }
            | Error::Accept { source, .. }
            | Error::Resolve { source, .. }
            | Error::Connect { source, .. }
            | Error::Tls { source, .. } => source.kind(),
        };
        Self::new(kind, error)
    }
}
