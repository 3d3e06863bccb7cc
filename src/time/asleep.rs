//! The task that waits for a sleep, so that its connection can report it.

use std::cell::Cell;
use std::task::Waker;

use crate::waker_slot::mark;

thread_local! {
    /// The mark of the waker that a sleep of this thread has registered last, or 0.
    static ASLEEP: Cell<usize> = const { Cell::new(0) };
}

/// Called when a sleep is pending.
pub(super) fn fall_asleep(waker: &Waker) {
    ASLEEP.set(mark(waker));
}

/// Called when a sleep is over or dropped: its task may wait for something else next.
pub(super) fn wake_up() {
    // A sleep may be dropped at the end of the thread.
    let _ = ASLEEP.try_with(|asleep| asleep.set(0));
}

/// Returns true if the task of this waker was polled last on this thread, and waits for a sleep.
/// Later calls return false until it polls a sleep again.
pub(crate) fn take_asleep(waker: &Waker) -> bool {
    ASLEEP.take() == mark(waker)
}
