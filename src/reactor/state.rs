//! The readiness of a socket, in one atomic word.

use crate::sync::atomic::{AtomicU32, Ordering};

/// Reading may succeed.
pub(super) const READ: u32 = 1;
/// Writing may succeed.
pub(super) const WRITE: u32 = 1 << 1;
/// After a short read or write, more may be possible without a new event. Set after urgent data, an
/// error or the peer's end, and from the beginning for some kinds of descriptors.
pub(super) const PARTIAL: u32 = 1 << 2;
/// A reactor reports readiness, or is about to.
pub(super) const REGISTERED: u32 = 1 << 3;
/// The reactor of another runtime reports readiness: async-io's or tokio's.
pub(super) const FOREIGN: u32 = 1 << 4;
/// The outbox has bytes, which are sent before those of the next write.
pub(super) const CORKED: u32 = 1 << 5;
/// The output is to be shut down at the end of the thread's turn.
pub(super) const SHUTDOWN_DUE: u32 = 1 << 6;
/// Writes are known to fail from now on.
pub(super) const WRITE_SHUT: u32 = 1 << 7;
/// A read has found the peer's end.
pub(super) const READ_ENDED: u32 = 1 << 8;
/// One reported event. The bits above the flags count events.
const ONE_EVENT: u32 = 1 << 9;

/// The operation that a task waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Read,
    Write,
}

/// The state word of a source. No reported event is lost: a flag is cleared only if no event was
/// reported since the word was read, which is before the system call that found nothing.
#[derive(Debug)]
pub(super) struct StateWord(AtomicU32);

impl Direction {
    pub(super) fn flag(self) -> u32 {
        match self {
            Self::Read => READ,
            Self::Write => WRITE,
        }
    }
}

impl StateWord {
    /// The state of a new socket: a call is tried before a task waits.
    pub(super) fn new() -> Self {
        Self(AtomicU32::new(READ | WRITE))
    }

    pub(super) fn load(&self) -> u32 {
        self.0.load(Ordering::Acquire)
    }

    /// Sets flags, counts an event, and returns the previous word.
    pub(super) fn report(&self, flags: u32) -> u32 {
        let reported = |word: u32| Some((word | flags).wrapping_add(ONE_EVENT));
        match self
            .0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, reported)
        {
            Ok(before) | Err(before) => before,
        }
    }

    /// Sets or clears flags without counting an event, and returns the previous word.
    pub(super) fn set(&self, flags: u32, on: bool) -> u32 {
        if on {
            self.0.fetch_or(flags, Ordering::AcqRel)
        } else {
            self.0.fetch_and(!flags, Ordering::AcqRel)
        }
    }

    /// Clears some flags and sets others if the word is still `seen`. Returns false if it is not.
    pub(super) fn change(&self, seen: u32, clear: u32, set: u32) -> bool {
        let changed = (seen & !clear) | set;
        self.0
            .compare_exchange(seen, changed, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_that_was_reported_again_is_not_cleared() {
        let state = StateWord::new();
        let seen = state.load();
        state.report(READ);
        assert!(!state.change(seen, READ, 0), "the event was counted");
        assert_ne!(state.load() & READ, 0);
        let seen = state.load();
        assert!(state.change(seen, READ, REGISTERED));
        assert_eq!(
            state.load() & (READ | WRITE | REGISTERED),
            WRITE | REGISTERED
        );
    }

    #[test]
    fn the_count_wraps_without_changing_the_flags() {
        let state = StateWord(AtomicU32::new(!READ));
        state.report(PARTIAL);
        assert_eq!(
            state.load(),
            WRITE
                | PARTIAL
                | REGISTERED
                | FOREIGN
                | CORKED
                | SHUTDOWN_DUE
                | WRITE_SHUT
                | READ_ENDED
        );
    }
}
