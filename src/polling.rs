//! The task that this thread polls.

use std::cell::Cell;
use std::ptr;
use std::task::Waker;

thread_local! {
    /// The data pointer of the task's waker, only compared and never dereferenced.
    static TASK: Cell<*const ()> = const { Cell::new(ptr::null()) };
}

/// Restores, on drop, the task that this thread polled before.
struct RestoreTask {
    outer: *const (),
}

/// Polls a task of the executor that drives this thread's reactor, or the future of its `block_on`.
/// Such a task runs again only while that reactor is driven, so it is not woken when the last
/// driver leaves the reactor.
#[cfg(all(target_os = "linux", not(halves_portable)))]
#[inline(always)]
pub(crate) fn poll_task<T>(waker: &Waker, poll: impl FnOnce() -> T) -> T {
    let _restore = RestoreTask {
        outer: TASK.replace(waker.data()),
    };
    poll()
}

/// As `poll_task`, with a waker that wraps the waker `task`. Changes nothing if `task` is not the
/// waker of the task that this thread polls.
pub(crate) fn poll_for_task<T>(task: &Waker, waker: &Waker, poll: impl FnOnce() -> T) -> T {
    let outer = TASK.get();
    if ptr::eq(outer, task.data()) {
        TASK.set(waker.data());
    }
    let _restore = RestoreTask { outer };
    poll()
}

/// Returns true if the waker belongs to the task that this thread polls.
#[cfg(all(target_os = "linux", not(halves_portable)))]
#[inline(always)]
pub(crate) fn is_task(waker: &Waker) -> bool {
    ptr::eq(TASK.get(), waker.data())
}

impl Drop for RestoreTask {
    fn drop(&mut self) {
        TASK.set(self.outer);
    }
}
