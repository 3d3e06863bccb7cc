//! Deadlines: who looks after them, and when.

use std::sync::Arc;
use std::task::{Wake, Waker};

use super::{Flag, Phase, Record};
use crate::catch::catch_panic;
use crate::reason::Reason;
use crate::time::Clock;

/// Looks after the deadlines of one connection, as its task.
pub(crate) trait LookAfter: Send {
    /// Ends the connection if its time is over, or has its task reminded when it may be. Says
    /// whether it has: if not, there is nothing to look after any more.
    fn look(&mut self, record: &Arc<Record>, clock: &Clock, task: &Waker) -> bool;
}

impl Record {
    pub(crate) fn set_watch(&self, watch: Box<dyn LookAfter>) {
        self.cold().watch.put(watch);
        // The first look is at the first poll.
        self.flags.set(Flag::Reminded);
    }

    /// Has the task look at the deadlines.
    pub(crate) fn remind(&self) {
        self.flags.set(Flag::Reminded);
        self.wake();
    }

    /// Has the reader try the stream, and the task look at the deadlines after that.
    pub(crate) fn retry(&self) {
        self.retry_read();
        self.remind();
    }

    /// The next read tries the stream, whatever is known of its readiness.
    pub(in crate::connection) fn retry_read(&self) {
        self.source.retry_read();
    }

    /// Looks at the deadlines, if it is time to. Called at each poll of the task, after the handler's.
    #[inline]
    pub(crate) fn look(self: &Arc<Self>, task: &Waker) {
        if self.flags.has(Flag::Reminded) {
            self.look_closely(task);
        }
    }

    #[cold]
    fn look_closely(self: &Arc<Self>, task: &Waker) {
        self.flags.clear(Flag::Reminded);
        let Some(context) = self.context() else {
            return;
        };
        let slot = &self.cold().watch;
        let shaking = || (self.phase() == Phase::Handshake).then(|| context.host.watch(self));
        let Some(mut watch) = slot.take().or_else(shaking) else {
            return;
        };
        // It asks the link.
        match catch_panic(|| watch.look(self, &context.clock, task)) {
            Ok(true) => slot.put(watch),
            Ok(false) => {}
            Err(_) => self.abort(Reason::Panic),
        }
    }
}

/// For whom a connection's deadline wakes.
impl Wake for Record {
    fn wake(self: Arc<Self>) {
        self.remind();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.remind();
    }
}
