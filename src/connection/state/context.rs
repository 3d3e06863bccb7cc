//! The state of a server that its connections use, and their calls to it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{DeadlineCheck, Record};
use crate::reason::Reason;
use crate::shutdown::Shutdown;
use crate::time::Clock;

/// The state that all connections of a server share.
pub(crate) struct ServerContext {
    pub(crate) clock: Clock,
    pub(crate) shutdown: Shutdown,
    /// A deadline depends on the time of the last byte, or has depended on it.
    timed: AtomicBool,
    /// A deadline depends on the reads of the handler, or has depended on them.
    rated: AtomicBool,
    /// Other code uses, or has used, the socket of a connection.
    lends: AtomicBool,
    pub(crate) hooks: Arc<dyn ServerHooks>,
}

impl ServerContext {
    pub(crate) fn new(clock: Clock, shutdown: Shutdown, hooks: Arc<dyn ServerHooks>) -> Self {
        Self {
            clock,
            shutdown,
            timed: AtomicBool::new(false),
            rated: AtomicBool::new(false),
            lends: AtomicBool::new(false),
            hooks,
        }
    }

    /// Makes connections record the exact time of each transfer if `timed`, and their waits for
    /// input if `rated`. Neither ends while the server runs: a wait that is recorded in part would
    /// count against the peer later.
    pub(crate) fn record_times(&self, timed: bool, rated: bool) {
        self.timed.fetch_or(timed, Ordering::Relaxed);
        self.rated.fetch_or(rated, Ordering::Relaxed);
    }

    #[inline(always)]
    pub(crate) fn is_timed(&self) -> bool {
        self.timed.load(Ordering::Relaxed)
    }

    pub(crate) fn is_rated(&self) -> bool {
        self.rated.load(Ordering::Relaxed)
    }

    /// Called when other code gets the socket of a connection.
    pub(super) fn lend(&self) {
        self.lends.store(true, Ordering::Relaxed);
    }

    /// Returns true if the kernel has the counts of some connections.
    pub(crate) fn lends(&self) -> bool {
        self.lends.load(Ordering::Relaxed)
    }
}

/// Calls from a connection to its server.
pub(crate) trait ServerHooks: Send + Sync {
    /// Applies the admission checks to the real client.
    fn identify(&self, record: &Arc<Record>) -> Result<(), Reason>;
    /// Makes the check of the deadlines, if the connection has any at the moment.
    fn deadlines(&self, record: &Record) -> Option<Box<dyn DeadlineCheck>>;
    /// A writer was dropped with this many queued bytes.
    fn dropped(&self, record: &Arc<Record>, bytes: usize);
    /// The connection has ended for this reason.
    fn closed(&self, record: &Arc<Record>, reason: Reason, error: Option<io::Error>);
}
