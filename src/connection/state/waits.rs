//! The event that the handler of a connection waits for, from state that exists for other purposes.

use std::fmt;
use std::sync::atomic::Ordering;

use super::{Flag, Record};
use crate::time::Stamp;

/// The event that a connection waits for.
///
/// # Examples
///
/// ```
/// assert_eq!(halves::connection::Waits::Read.to_string(), "read");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Waits {
    /// Input of the peer. After the handler, this is the end of the peer.
    Read,
    /// A write, a flush or a close that the peer holds up, because it does not read.
    Write,
    /// A [sleep](crate::Clock::sleep), and neither input nor a write.
    Timer,
    /// Anything else. The handler works, or it waits for something that the server does not know,
    /// such as a channel, another connection, or a half in another task.
    Other,
}

impl fmt::Display for Waits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Timer => "timer",
            Self::Other => "other",
        })
    }
}

impl Record {
    /// Returns the event that the connection waits for, and the time since which it may wait: the
    /// begin of a write, or else the last byte.
    pub(crate) fn waits(&self) -> (Waits, Stamp) {
        if self.flags.has(Flag::Closing) {
            let flushed = self.is_flushed();
            let waits = if flushed { Waits::Read } else { Waits::Write };
            return (waits, self.active());
        }
        let cold = self.cold.get();
        let blocked = cold.map_or(Stamp::NEVER, |cold| cold.blocked.get());
        if blocked != Stamp::NEVER {
            return (Waits::Write, blocked);
        }
        let asleep = || cold.is_some_and(|cold| cold.asleep.load(Ordering::Relaxed));
        let waits = if self.reading.is_waiting() {
            Waits::Read
        } else if asleep() {
            Waits::Timer
        } else {
            Waits::Other
        };
        (waits, self.active())
    }
}
