//! The end of `halves connect`: a word, an exit code, and an error for people.

use std::io::{self, ErrorKind};

use halves::tls::certificate_error;
use halves::{Error, escape::OneLine};

use crate::cli::{EXIT_FAILED, EXIT_OUTPUT_CLOSED, EXIT_SIGNALED};

/// The cause of the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Verdict {
    /// Both directions have ended in order.
    Complete,
    /// Files, standard input or standard output.
    Failed,
    Idle,
    NotResolved,
    Unreachable,
    TimedOut,
    Tls,
    Certificate,
    Reset,
    /// TLS has ended without `close_notify`.
    Truncated,
    /// The reader of standard output is gone.
    OutputClosed,
    /// The number of the signal.
    Signaled(u8),
}

impl Verdict {
    pub(in crate::cli) fn code(self) -> u8 {
        match self {
            Self::Complete => 0,
            Self::Failed | Self::Idle => EXIT_FAILED,
            Self::NotResolved => 10,
            Self::Unreachable => 11,
            Self::TimedOut => 12,
            Self::Tls => 13,
            Self::Certificate => 14,
            Self::Reset => 15,
            Self::Truncated => 16,
            Self::OutputClosed => EXIT_OUTPUT_CLOSED,
            Self::Signaled(number) => EXIT_SIGNALED | number,
        }
    }

    pub(in crate::cli) fn word(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Failed => "failed",
            Self::Idle => "idle",
            Self::NotResolved => "not_resolved",
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timeout",
            Self::Tls => "tls",
            Self::Certificate => "certificate",
            Self::Reset => "reset",
            Self::Truncated => "truncated",
            Self::OutputClosed => "output_closed",
            Self::Signaled(_) => "signal",
        }
    }
}

/// A verdict, and a line about it if people need one.
#[derive(Debug)]
pub(in crate::cli) struct End {
    pub(in crate::cli) verdict: Verdict,
    pub(in crate::cli) problem: Option<String>,
}

impl End {
    /// An end that needs no words.
    pub(in crate::cli) fn silent(verdict: Verdict) -> Self {
        Self {
            verdict,
            problem: None,
        }
    }

    pub(in crate::cli) fn new(verdict: Verdict, problem: impl Into<String>) -> Self {
        Self {
            verdict,
            problem: Some(problem.into()),
        }
    }

    /// The end of a connect that failed.
    pub(in crate::cli) fn of_connect(error: &io::Error) -> Self {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
        let verdict = match inner {
            _ if error.kind() == ErrorKind::TimedOut => Verdict::TimedOut,
            _ if certificate_error(error).is_some() => Verdict::Certificate,
            Some(Error::Resolve { .. }) => Verdict::NotResolved,
            Some(Error::Tls { .. }) => Verdict::Tls,
            // For example a descriptor that is no connection.
            _ if error.kind() == ErrorKind::InvalidInput => Verdict::Failed,
            _ => Verdict::Unreachable,
        };
        Self::new(verdict, error.to_string())
    }

    /// The end of a connection by an error of its input or output.
    pub(in crate::cli) fn of_connection(address: &str, error: &io::Error) -> Self {
        match error.kind() {
            ErrorKind::UnexpectedEof => Self::new(
                Verdict::Truncated,
                format!("{address}: TLS ended without close_notify, so bytes may be missing"),
            ),
            ErrorKind::InvalidData => {
                Self::new(Verdict::Tls, format!("{address}: {}", OneLine(error)))
            }
            _ => Self::new(
                Verdict::Reset,
                format!("{address}: the connection was reset: {error}"),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    fn inner(kind: ErrorKind) -> io::Error {
        io::Error::new(kind, "a reason")
    }

    #[test]
    fn an_error_of_a_connect_has_its_exit_code() {
        let address = || "h:1".to_owned();
        let resolve = |source| Error::Resolve {
            address: address(),
            source,
        };
        let connect = |source| Error::Connect {
            address: address(),
            source,
        };
        let tls = |source| Error::Tls {
            address: address(),
            source,
        };
        for (error, code) in [
            (resolve(inner(ErrorKind::NotFound)), 10),
            (resolve(inner(ErrorKind::TimedOut)), 12),
            (connect(inner(ErrorKind::ConnectionRefused)), 11),
            (connect(inner(ErrorKind::NetworkUnreachable)), 11),
            (connect(Errno::MFILE.into()), 11),
            (connect(Errno::TIMEDOUT.into()), 12),
            (connect(inner(ErrorKind::InvalidInput)), 1),
            (tls(inner(ErrorKind::InvalidData)), 13),
            (tls(inner(ErrorKind::UnexpectedEof)), 13),
            (tls(inner(ErrorKind::ConnectionReset)), 13),
            (tls(inner(ErrorKind::TimedOut)), 12),
        ] {
            let line = error.to_string();
            let end = End::of_connect(&error.into());
            assert_eq!(end.verdict.code(), code, "{line}");
            assert_eq!(end.problem, Some(line));
        }
    }

    #[test]
    fn an_error_of_a_connection_has_its_exit_code() {
        for (kind, code) in [
            (ErrorKind::ConnectionReset, 15),
            (ErrorKind::BrokenPipe, 15),
            (ErrorKind::TimedOut, 15),
            (ErrorKind::UnexpectedEof, 16),
            (ErrorKind::InvalidData, 13),
        ] {
            let end = End::of_connection("h:1", &inner(kind));
            assert_eq!(end.verdict.code(), code);
            assert!(end.problem.is_some_and(|line| line.starts_with("h:1: ")));
        }
    }
}
