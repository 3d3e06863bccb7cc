//! What is known of a socket's readiness, in one atomic word.

use crate::sync::atomic::{AtomicU32, Ordering};

/// Reading may succeed.
pub(super) const READ: u32 = 1;
/// Writing may succeed.
pub(super) const WRITE: u32 = 1 << 1;
/// What moves less than there is room for may leave something, of which no event comes: there was
/// urgent data, an error, or the peer's end; or it is so from the beginning.
pub(super) const PARTIAL: u32 = 1 << 2;
/// Some reactor tells of readiness, or is about to.
pub(super) const REGISTERED: u32 = 1 << 3;
/// It is that of another runtime: async-io's, or tokio's.
pub(super) const FOREIGN: u32 = 1 << 4;
/// Something is in its outbox, and goes before what is written next.
pub(super) const CORKED: u32 = 1 << 5;
/// The end of output is to be said at the end of the thread's turn.
pub(super) const ENDING: u32 = 1 << 6;
/// Nothing can be written any more, as far as we know.
pub(super) const SHUT: u32 = 1 << 7;
/// A read has found the peer's end.
pub(super) const ENDED: u32 = 1 << 8;
/// Counts what a reactor has told, in the bits above the flags.
const TICK: u32 = 1 << 9;

/// The word. What a reactor tells is never lost: a flag is cleared only if nothing was told since
/// the word was read, and that was before the system call that found nothing.
#[derive(Debug)]
pub(super) struct State(AtomicU32);

impl State {
    /// Of a new socket: it is tried before anybody waits for it.
    pub(super) fn new() -> Self {
        Self(AtomicU32::new(READ | WRITE))
    }

    pub(super) fn load(&self) -> u32 {
        self.0.load(Ordering::Acquire)
    }

    /// Sets flags, as news, and returns the word before.
    pub(super) fn tell(&self, flags: u32) -> u32 {
        let told = |word: u32| Some((word | flags).wrapping_add(TICK));
        match self
            .0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, told)
        {
            Ok(before) | Err(before) => before,
        }
    }

    /// Sets or clears flags that are no news, and returns the word before.
    pub(super) fn mark(&self, flags: u32, set: bool) -> u32 {
        if set {
            self.0.fetch_or(flags, Ordering::AcqRel)
        } else {
            self.0.fetch_and(!flags, Ordering::AcqRel)
        }
    }

    /// Clears some flags and sets others, if nothing was told since the word was `seen`.
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
    fn what_was_told_meanwhile_is_not_cleared() {
        let state = State::new();
        let seen = state.load();
        state.tell(READ);
        assert!(!state.change(seen, READ, 0), "the same flags, and yet news");
        assert_ne!(state.load() & READ, 0);
        let seen = state.load();
        assert!(state.change(seen, READ, REGISTERED));
        assert_eq!(
            state.load() & (READ | WRITE | REGISTERED),
            WRITE | REGISTERED
        );
    }

    #[test]
    fn the_count_wraps_without_touching_the_flags() {
        let state = State(AtomicU32::new(!READ));
        state.tell(PARTIAL);
        assert_eq!(
            state.load(),
            WRITE | PARTIAL | REGISTERED | FOREIGN | CORKED | ENDING | SHUT | ENDED
        );
    }
}
