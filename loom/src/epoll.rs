//! A model of a shared reactor: an eventfd, a socket, and one worker at a time that waits for them.

use std::mem;

use loom::sync::Condvar;

use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::sync::{Mutex, thread};

#[derive(Debug, Default)]
pub(crate) struct Epoll {
    /// The flag of the eventfd.
    rung: AtomicBool,
    events: Mutex<Events>,
    more: Condvar,
    /// The lock of the polling worker. A `Mutex` of loom may block in `try_lock`.
    driving: AtomicBool,
    turns: AtomicUsize,
}

/// Events that no poll has returned yet.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Events {
    /// An edge of the eventfd.
    pub(crate) edge: bool,
    /// The socket is ready.
    pub(crate) socket: bool,
}

impl Events {
    pub(crate) fn any(self) -> bool {
        self.edge || self.socket
    }
}

impl Epoll {
    pub(crate) fn listen(&self) {
        self.rung.swap(false, Ordering::AcqRel);
    }

    pub(crate) fn is_notified(&self) -> bool {
        self.rung.load(Ordering::Acquire)
    }

    pub(crate) fn notify(&self) {
        if !self.rung.swap(true, Ordering::AcqRel) {
            self.report(|events| events.edge = true);
        }
    }

    pub(crate) fn make_socket_ready(&self) {
        self.report(|events| events.socket = true);
    }

    fn report(&self, event: impl FnOnce(&mut Events)) {
        event(&mut self.events.lock().expect("no panic"));
        self.more.notify_one();
    }

    /// Polls, and waits if `blocks`, called right before, returns true. Calls `dispatch` with the
    /// events before another worker can poll. Returns `None` if another worker polls.
    pub(crate) fn turn(
        &self,
        blocks: impl FnOnce() -> bool,
        dispatch: impl FnOnce(Events),
    ) -> Option<bool> {
        let (held, order) = (&self.driving, (Ordering::Acquire, Ordering::Relaxed));
        if held
            .compare_exchange(false, true, order.0, order.1)
            .is_err()
        {
            // Without this loom may run only this worker, which never ends.
            thread::yield_now();
            return None;
        }
        let blocks = blocks();
        let mut events = self.events.lock().expect("no panic");
        while blocks && !events.any() {
            events = self.more.wait(events).expect("no panic");
        }
        let taken = mem::take(&mut *events);
        drop(events);
        dispatch(taken);
        let turns = self.turns.load(Ordering::Relaxed);
        self.turns.store(turns + 1, Ordering::Relaxed);
        self.driving.store(false, Ordering::Release);
        Some(taken.any())
    }

    /// The number of polls.
    pub(crate) fn turns(&self) -> usize {
        self.turns.load(Ordering::Relaxed)
    }
}
