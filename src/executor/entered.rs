//! The executors that a thread runs, one within another.

use std::cell::RefCell;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Tells executors apart. An id is never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Id(usize);

/// While it lives, this thread runs an executor, or waits in its `block_on`.
pub(super) struct Entered(());

thread_local! {
    /// The innermost is the last.
    static ENTERED: RefCell<Vec<Id>> = const { RefCell::new(Vec::new()) };
}

impl Id {
    pub(super) fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

impl Entered {
    /// # Panics
    ///
    /// When the thread runs this executor already.
    #[track_caller]
    pub(super) fn enter(id: Id) -> Self {
        let again = ENTERED.with_borrow(|entered| entered.contains(&id));
        assert!(
            !again,
            "`block_on` within a task or a `block_on` of the same executor: \
             await the future there, or spawn it"
        );
        ENTERED.with_borrow_mut(|entered| entered.push(id));
        Self(())
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        ENTERED.with_borrow_mut(Vec::pop);
    }
}
