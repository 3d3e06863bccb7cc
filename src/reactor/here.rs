//! The reactor that this thread drives.

use std::cell::Cell;
use std::ptr;

use super::Reactor;

thread_local! {
    /// The reactor that this thread drives. Compared, and never followed.
    static REACTOR: Cell<*const Reactor> = const { Cell::new(ptr::null()) };
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
