//! Whether this thread has events in hand.

use std::cell::Cell;

thread_local! {
    /// This thread is handing out a batch of events.
    static IN_BATCH: Cell<bool> = const { Cell::new(false) };
}

/// While it lives, the thread's events may name sources whose registration has ended.
pub(super) struct Batch {
    /// Whether it is within another: a waker may drive a reactor.
    within: bool,
}

impl Batch {
    pub(super) fn begin() -> Self {
        Self {
            within: IN_BATCH.replace(true),
        }
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        IN_BATCH.set(self.within);
    }
}

/// This thread hands out events just now.
pub(super) fn is_in_batch() -> bool {
    IN_BATCH.get()
}
