//! The settings that may change while the server runs.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::connection::ServerContext;
use crate::limits::{Timeouts, connections_for_open_files};

/// The limit of connections, and the timeouts.
pub(super) struct Settings {
    max_connections: AtomicUsize,
    timeouts: Mutex<Applied>,
}

/// The timeouts, and the context of the running server, in which they are applied.
#[derive(Default)]
struct Applied {
    timeouts: Timeouts,
    context: Weak<ServerContext>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_connections: AtomicUsize::new(connections_for_open_files(1)),
            timeouts: Mutex::default(),
        }
    }
}

impl Settings {
    pub(super) fn max_connections(&self) -> usize {
        self.max_connections.load(Ordering::Acquire)
    }

    pub(super) fn set_max_connections(&self, max: usize) {
        self.max_connections.store(max.max(1), Ordering::Release);
    }

    pub(super) fn timeouts(&self) -> Timeouts {
        self.lock().timeouts.clone()
    }

    pub(super) fn set_timeouts(&self, timeouts: Timeouts) {
        let mut applied = self.lock();
        applied.timeouts = timeouts;
        applied.record_times();
    }

    /// Applies the timeouts to the connections of this context, now and later.
    pub(super) fn apply_to(&self, context: &Arc<ServerContext>) {
        let mut applied = self.lock();
        applied.context = Arc::downgrade(context);
        applied.record_times();
    }

    /// Returns true if the kernel has the counts of some connections.
    pub(super) fn lends(&self) -> bool {
        let context = self.lock().context.upgrade();
        context.is_some_and(|context| context.lends())
    }

    fn lock(&self) -> MutexGuard<'_, Applied> {
        self.timeouts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Applied {
    fn record_times(&self) {
        let rated = self.timeouts.min_rate.is_some();
        if let Some(context) = self.context.upgrade() {
            context.record_times(rated || self.timeouts.idle.is_some(), rated);
        }
    }
}
