//! The task that this thread polls.

use std::cell::Cell;
use std::ptr;
use std::task::Waker;

thread_local! {
    /// The data of the waker of that task. Compared, and never followed.
    static TASK: Cell<*const ()> = const { Cell::new(ptr::null()) };
}

/// While it lives, this thread polls a task; within another one at times.
struct Polling {
    outer: *const (),
}

/// Polls a task of the executor that drives this thread's reactor, or the future of its `block_on`.
/// Such a task runs again only where that reactor is driven again, so it is not woken when the
/// reactor is left.
#[cfg(all(target_os = "linux", not(halves_portable)))]
#[inline(always)]
pub(crate) fn poll_task<T>(waker: &Waker, poll: impl FnOnce() -> T) -> T {
    let _polling = Polling {
        outer: TASK.replace(waker.data()),
    };
    poll()
}

/// The same with a waker that wakes the task of the waker `task`, in its own way. Where that is not the
/// task that this thread polls, it is a waker like any other.
pub(crate) fn poll_for_task<T>(task: &Waker, waker: &Waker, poll: impl FnOnce() -> T) -> T {
    let outer = TASK.get();
    if ptr::eq(outer, task.data()) {
        TASK.set(waker.data());
    }
    let _polling = Polling { outer };
    poll()
}

/// Whether the waker is that of the task that this thread polls.
#[cfg(all(target_os = "linux", not(halves_portable)))]
#[inline(always)]
pub(crate) fn is_task(waker: &Waker) -> bool {
    ptr::eq(TASK.get(), waker.data())
}

impl Drop for Polling {
    fn drop(&mut self) {
        TASK.set(self.outer);
    }
}
