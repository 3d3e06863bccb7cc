//! What Halves has to add to the system's own errors.

use std::borrow::Cow;
use std::{fmt, io};

/// Why a text could not be read, or an address listened on, accepted at or connected to.
///
/// Functions return [`io::Error`], so that `?` works everywhere; this is what is inside, with the
/// same [`io::ErrorKind`]. The text is one line for a person.
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
    /// The text is not an address. [`Address`](crate::Address) lists the forms that are.
    Address {
        /// What was given.
        text: String,
        /// The reason, and what to write instead where that is known.
        problem: Cow<'static, str>,
    },
    /// The text is not a network; [`Net`](crate::limits::Net) takes CIDR notation.
    Net {
        /// What was given.
        text: String,
        /// The reason, and what to write instead where that is known.
        problem: Cow<'static, str>,
    },
    /// The text is not a duration; [`parse_duration`](crate::duration::parse_duration) lists the forms that are.
    Duration {
        /// The text.
        text: String,
        /// The reason.
        problem: Cow<'static, str>,
    },
    /// The address was understood, and the system would not listen there: in use, not ours,
    /// below 1024 without the right. Another port, or port 0, avoids it.
    Listen {
        /// Where.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// A listener yields no connection: the system refuses, or something is used up. A server goes on
    /// where a retry may help.
    Accept {
        /// Where it listens.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// The address was understood, and no connection to it came about.
    Connect {
        /// Where.
        address: String,
        /// What the system said.
        source: io::Error,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { text, problem } => write!(f, "bad address '{text}': {problem}"),
            Self::Net { text, problem } => write!(f, "bad network '{text}': {problem}"),
            Self::Duration { text, problem } => write!(f, "bad duration '{text}': {problem}"),
            Self::Listen { address, source } => write!(f, "cannot listen on {address}: {source}"),
            Self::Accept { address, source } => write!(f, "cannot accept at {address}: {source}"),
            Self::Connect { address, source } => write!(f, "cannot connect to {address}: {source}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Address { .. } | Self::Net { .. } | Self::Duration { .. } => None,
            Self::Listen { source, .. }
            | Self::Accept { source, .. }
            | Self::Connect { source, .. } => Some(source),
        }
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match &error {
            Error::Address { .. } | Error::Net { .. } | Error::Duration { .. } => {
                io::ErrorKind::InvalidInput
            }
            Error::Listen { source, .. }
            | Error::Accept { source, .. }
            | Error::Connect { source, .. } => source.kind(),
        };
        Self::new(kind, error)
    }
}
