//! Deadlines: who looks after them, and when.

use std::sync::Arc;
use std::task::{Wake, Waker};

use super::{Flag, Phase, Record};
use crate::catch::catch_panic;
use crate::reason::Reason;
use crate::time::Clock;

/// Looks after the deadlines of one connection, as its task.
pub(crate) trait DeadlineCheck: Send {
    /// Ends the connection if its time is over, or has its task reminded when it may be. Says
    /// whether it has: if not, there is nothing to look after any more.
    fn check(&mut self, record: &Arc<Record>, clock: &Clock, task: &Waker) -> bool;
}

impl Record {
    pub(crate) fn set_deadlines(&self, deadlines: Box<dyn DeadlineCheck>) {
        self.cold().deadlines.put(deadlines);
        // The first look is at the first poll.
        self.flags.set(Flag::DeadlinesDue);
    }

    /// Has the task look at the deadlines.
    pub(crate) fn recheck_deadlines(&self) {
        self.flags.set(Flag::DeadlinesDue);
        self.wake();
    }

    /// Has the reader try the stream, and the task look at the deadlines after that.
    pub(crate) fn retry_read_and_recheck(&self) {
        self.retry_read();
        self.recheck_deadlines();
    }

    /// The next read tries the stream, whatever is known of its readiness.
    pub(in crate::connection) fn retry_read(&self) {
        self.source.retry_read();
    }

    /// Looks at the deadlines, if it is time to. Called at each poll of the task, after the handler's.
    #[inline]
    pub(crate) fn check_deadlines(self: &Arc<Self>, task: &Waker) {
        if self.flags.has(Flag::DeadlinesDue) {
            self.run_deadline_check(task);
        }
    }

    #[cold]
    fn run_deadline_check(self: &Arc<Self>, task: &Waker) {
        self.flags.clear(Flag::DeadlinesDue);
        let Some(context) = self.context() else {
            return;
        };
        let slot = &self.cold().deadlines;
        let shaking =
            || (self.phase() == Phase::Handshake).then(|| context.hooks.handshake_deadline(self));
        let Some(mut deadlines) = slot.take().or_else(shaking) else {
            return;
        };
        // It asks the link.
        match catch_panic(|| deadlines.check(self, &context.clock, task)) {
            Ok(true) => slot.put(deadlines),
            Ok(false) => {}
            Err(_) => self.abort(Reason::Panic),
        }
    }
}

/// For whom a connection's deadline wakes.
impl Wake for Record {
    fn wake(self: Arc<Self>) {
        self.recheck_deadlines();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.recheck_deadlines();
    }
}
