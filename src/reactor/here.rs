//! What this thread drives, and which task it polls.

use std::cell::Cell;
use std::ptr;
use std::task::Waker;

use super::Reactor;

thread_local! {
    /// The reactor that this thread drives. Compared, and never followed.
    static REACTOR: Cell<*const Reactor> = const { Cell::new(ptr::null()) };
    /// The data of the waker of the task that this thread polls. Compared, and never followed.
    static TASK: Cell<*const ()> = const { Cell::new(ptr::null()) };
}

/// While it lives, this thread polls a task; within another one at times.
struct Polling {
    outer: *const (),
}

/// Polls a task of the executor that drives this thread's reactor, or the future of its `block_on`.
/// Such a task runs again only where that reactor is driven again, so it is not woken when the
/// reactor is left.
#[inline(always)]
pub(crate) fn poll_task<T>(waker: &Waker, poll: impl FnOnce() -> T) -> T {
    let _polling = Polling {
        outer: TASK.replace(waker.data()),
    };
    poll()
}

/// Says which reactor this thread drives from now on.
pub(super) fn set_reactor(reactor: *const Reactor) {
    REACTOR.set(reactor);
}

/// The reactor that this thread drives, or null.
#[inline(always)]
pub(super) fn reactor() -> *const Reactor {
    REACTOR.get()
}

/// Whether this thread drives a reactor of ours, for which any other runtime waits.
#[cfg(feature = "tokio")]
pub(super) fn drives_ours() -> bool {
    !reactor().is_null()
}

/// Whether the waker is that of the task that this thread polls.
#[inline(always)]
pub(super) fn is_task(waker: &Waker) -> bool {
    ptr::eq(TASK.get(), waker.data())
}

impl Drop for Polling {
    fn drop(&mut self) {
        TASK.set(self.outer);
    }
}
