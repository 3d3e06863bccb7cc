//! The reactor that this thread drives.

use std::cell::{Cell, RefCell};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Waker;

use super::Reactor;
use super::timers::Timers;
use crate::polling::is_task;

/// The reactor of a thread, and the index of the thread's worker in it.
#[derive(Clone)]
pub(super) struct Current {
    pub(super) reactor: Arc<Reactor>,
    pub(super) worker: usize,
}

thread_local! {
    static CURRENT_REACTOR: RefCell<Option<Current>> = const { RefCell::new(None) };
    /// The address of the current reactor, or null. It is compared and never followed.
    static REACTOR_ADDRESS: Cell<*const Reactor> = const { Cell::new(ptr::null()) };
}

/// Sets the reactor that this thread drives, and returns the previous one.
pub(super) fn replace(current: Option<Current>) -> Option<Current> {
    let address = current.as_ref().map(|current| &raw const *current.reactor);
    REACTOR_ADDRESS.set(address.unwrap_or(ptr::null()));
    CURRENT_REACTOR.replace(current)
}

/// Returns the address of the reactor that this thread drives, or null.
#[inline(always)]
pub(super) fn reactor() -> *const Reactor {
    REACTOR_ADDRESS.get()
}

/// Returns true if this thread drives a reactor. Any other runtime of the thread waits for it.
#[cfg(feature = "tokio")]
pub(super) fn drives_reactor() -> bool {
    !reactor().is_null()
}

impl Current {
    /// Calls `f` with the current reactor. Returns None if this thread drives none.
    fn with<T>(f: impl FnOnce(&Self) -> T) -> Option<T> {
        // The value is gone while the thread ends.
        CURRENT_REACTOR
            .try_with(|current| current.borrow().as_ref().map(f))
            .ok()
            .flatten()
    }
}

impl Reactor {
    pub(super) fn current() -> Option<Arc<Self>> {
        Current::with(|current| current.reactor.clone())
    }

    /// Returns the queue of this thread for an alarm that wakes this waker. Returns None if the
    /// thread drives no reactor, or in the child of a fork, where the timer is the parent's.
    pub(super) fn current_timers(waker: &Waker) -> Option<Arc<Timers>> {
        let timers = |current: &Current| {
            if current.reactor.is_inherited() {
                return None;
            }
            if !is_task(waker) {
                current.reactor.admit_outside_waker();
            }
            Some(current.reactor.timers[current.worker].clone())
        };
        Current::with(timers).flatten()
    }

    /// As [`admit_outside_waker`](Self::admit_outside_waker), for the reactor of this thread.
    pub(super) fn admit_outside_waker_on_thread() {
        Current::with(|current| {
            let admitted = &current.reactor.has_outside_wakers;
            if !admitted.load(Ordering::Relaxed) {
                admitted.store(true, Ordering::SeqCst);
            }
        });
    }

    /// Returns true if this thread drives the reactor with this id.
    pub(super) fn is_id_current(id: usize) -> bool {
        Current::with(|current| current.reactor.id == id).unwrap_or(false)
    }

    /// Returns true if this thread drives a reactor.
    pub(super) fn is_one_current() -> bool {
        !reactor().is_null()
    }

    /// Returns true if this thread drives this reactor.
    pub(super) fn is_current(&self) -> bool {
        ptr::eq(reactor(), self)
    }
}
