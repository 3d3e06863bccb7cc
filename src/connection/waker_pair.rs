//! Two who wait for one stream, which knows one waker only.

use std::sync::Arc;
use std::task::Wake;

use atomic_waker::AtomicWaker;

/// Wakes both.
#[derive(Default)]
pub(super) struct WakerPair {
    pub(super) first: AtomicWaker,
    pub(super) second: AtomicWaker,
}

impl Wake for WakerPair {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.first.wake();
        self.second.wake();
    }
}
