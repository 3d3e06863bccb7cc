//! `Difference`: the first place at which an answer is not the recorded one.

use std::fmt;
use std::io::{self, ErrorKind};
use std::time::Duration;

use crate::testing::record::quoted;

/// The most bytes of a text in a [`Difference`], behind the first one that differs.
pub(super) const MAX_TEXT_BYTES: usize = 40;
/// The most bytes of a text in front of the first byte that differs.
const MAX_CONTEXT_BYTES: usize = 16;

/// The first place at which an answer is not the recorded one. Its text is one line.
///
/// # Examples
///
/// See [`Replay::play`](super::Replay::play).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// The bytes of the answer that are the same.
    pub offset: u64,
    /// The line of the record, from 1.
    pub line: usize,
    /// The virtual or real time since the begin of the replay.
    pub time: Duration,
    /// The last of the bytes that are the same: up to 16.
    pub before: Vec<u8>,
    /// The answer of the record, from there on.
    pub recorded: Observed,
    /// The answer of the handler or server, from there on.
    pub answered: Observed,
}

/// The next part of an answer.
///
/// # Examples
///
/// ```
/// use halves::testing::Observed;
///
/// assert_eq!(Observed::Bytes(b"hello\n".to_vec()).to_string(), r#""hello\n""#);
/// assert_eq!(Observed::End.to_string(), "the end");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Observed {
    /// The next bytes: up to 40.
    Bytes(Vec<u8>),
    /// The end of the answer, in order.
    End,
    /// A reset.
    Reset,
    /// The halves were dropped: an end or a reset.
    Closed,
    /// An error of the connection, such as a violation of TLS.
    Error(ErrorKind, String),
    /// No byte and no end arrived in this time.
    Nothing(Duration),
    /// The next piece of input was not taken in this time.
    InputNotTaken(Duration),
}

impl Difference {
    /// Returns true if the answer is the recorded one as far as it goes: it ends, fails or stops too
    /// early.
    ///
    /// # Examples
    ///
    /// See [`Replay::play`](super::Replay::play).
    #[must_use]
    pub fn is_prefix(&self) -> bool {
        !matches!(self.answered, Observed::Bytes(_))
    }

    /// Returns the end of these bytes as context.
    pub(super) fn context(same: &[u8]) -> Vec<u8> {
        same[same.len().saturating_sub(MAX_CONTEXT_BYTES)..].to_vec()
    }

    /// Returns a text with the bytes in front of it.
    fn in_context(&self, part: &Observed) -> String {
        let dots = if self.offset > self.before.len() as u64 {
            "..."
        } else {
            ""
        };
        match part {
            Observed::Bytes(bytes) => {
                let bytes = [&*self.before, bytes].concat();
                format!("{dots}{}", quoted(&bytes))
            }
            _ if self.before.is_empty() => part.to_string(),
            _ => format!("{dots}{} and then {part}", quoted(&self.before)),
        }
    }
}

impl Observed {
    /// Returns the part that an error of a read is.
    pub(super) fn of_error(error: &io::Error) -> Self {
        match error.kind() {
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => Self::Reset,
            kind => Self::Error(kind, error.to_string()),
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            offset, line, time, ..
        } = self;
        let bytes = if *offset == 1 { "byte" } else { "bytes" };
        write!(
            f,
            "the answer differs after {offset} {bytes} (line {line} of the record, after {:.3}s): \
             recorded {}, answered {}",
            time.as_secs_f64(),
            self.in_context(&self.recorded),
            self.in_context(&self.answered)
        )
    }
}

impl std::error::Error for Difference {}

impl From<Difference> for io::Error {
    fn from(difference: Difference) -> Self {
        Self::other(difference)
    }
}

impl fmt::Display for Observed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => f.write_str(&quoted(bytes)),
            Self::End => f.write_str("the end"),
            Self::Reset => f.write_str("a reset"),
            Self::Closed => f.write_str("the end or a reset"),
            Self::Error(_, text) => write!(f, "an error: {text}"),
            Self::Nothing(time) => write!(f, "nothing in {:?}", rounded(*time)),
            Self::InputNotTaken(time) => write!(f, "no input taken in {:?}", rounded(*time)),
        }
    }
}

/// Returns a time in whole milliseconds, if it has any.
fn rounded(time: Duration) -> Duration {
    let millis = Duration::from_millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    if millis.is_zero() { time } else { millis }
}
