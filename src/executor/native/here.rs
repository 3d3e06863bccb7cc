//! The scheduler of which this thread runs tasks.

use std::cell::Cell;
use std::ptr;

thread_local! {
    /// The scheduler, to be compared and never followed, and the number of its worker.
    static HERE: Cell<(*const (), usize)> = const { Cell::new((ptr::null(), 0)) };
}

/// While it lives, this thread runs tasks of a scheduler, instead of those that it ran before.
pub(super) struct Here((*const (), usize));

impl Here {
    pub(super) fn enter<S>(scheduler: &S, worker: usize) -> Self {
        Self(HERE.replace(((&raw const *scheduler).cast(), worker)))
    }

    /// The number of this thread's worker, if this scheduler is the one.
    pub(super) fn worker_of<S>(scheduler: &S) -> Option<usize> {
        let (here, worker) = HERE.get();
        ptr::eq(here, (&raw const *scheduler).cast()).then_some(worker)
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        HERE.set(self.0);
    }
}
