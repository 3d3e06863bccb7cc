//! A reactor that several threads share: one of them at a time takes events.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, TryLockError};

/// The state of a reactor that several threads share.
#[derive(Debug, Default)]
pub(super) struct Group {
    /// Held by the thread that takes events, from before the wait until it has handed them out.
    driving: Mutex<()>,
    /// Threads that have joined.
    drivers: AtomicUsize,
    /// Polls of the reactor, for those who watch it.
    turns: AtomicUsize,
}

impl Group {
    /// One more thread drives the reactor.
    pub(super) fn join(&self) {
        self.drivers.fetch_add(1, Ordering::AcqRel);
    }

    /// None: another thread takes events.
    pub(super) fn try_drive(&self) -> Option<MutexGuard<'_, ()>> {
        match self.driving.try_lock() {
            Ok(driving) => Some(driving),
            Err(TryLockError::Poisoned(error)) => Some(error.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    pub(super) fn turns(&self) -> usize {
        self.turns.load(Ordering::Relaxed)
    }

    pub(super) fn count_turn(&self) {
        let turns = self.turns.load(Ordering::Relaxed);
        self.turns.store(turns.wrapping_add(1), Ordering::Relaxed);
    }

    /// Returns whether the last thread leaves.
    pub(super) fn leave(&self) -> bool {
        self.drivers.fetch_sub(1, Ordering::AcqRel) == 1
    }
}
