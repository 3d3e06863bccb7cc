//! The check of a connection's deadlines, in the connection's task.

use std::sync::Arc;
use std::task::{Wake, Waker};

use super::{Flag, Phase, Record};
use crate::catch::catch_panic;
use crate::reason::Reason;
use crate::time::Clock;

/// Checks the deadlines of one connection. Called in the connection's task.
pub(crate) trait DeadlineCheck: Send {
    /// Ends the connection if a deadline has passed, or else schedules the next check. Returns true
    /// if a next check is scheduled, false if no further check is needed.
    fn check(&mut self, record: &Arc<Record>, clock: &Clock, task: &Waker) -> bool;
}

impl Record {
    pub(crate) fn set_deadlines(&self, deadlines: Box<dyn DeadlineCheck>) {
        self.cold().deadlines.put(deadlines);
        // The first check is at the first poll of the task.
        self.flags.set(Flag::DeadlinesDue);
    }

    /// Schedules a check of the deadlines, and wakes the task.
    pub(crate) fn recheck_deadlines(&self) {
        self.flags.set(Flag::DeadlinesDue);
        self.wake();
    }

    /// Makes the next read try the stream, and schedules a check of the deadlines after it.
    pub(crate) fn assume_readable_and_recheck(&self) {
        self.assume_readable();
        self.recheck_deadlines();
    }

    /// Makes the next read try the stream, even if it is not reported as readable.
    pub(in crate::connection) fn assume_readable(&self) {
        self.source.assume_readable();
    }

    /// Checks the deadlines if a check is due. Called in each poll of the task, after the handler is
    /// polled.
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
        let for_handshake =
            || (self.phase() == Phase::Handshake).then(|| context.hooks.handshake_deadline(self));
        let Some(mut deadlines) = slot.take().or_else(for_handshake) else {
            return;
        };
        // The check calls the link, which may be foreign code.
        match catch_panic(|| deadlines.check(self, &context.clock, task)) {
            Ok(true) => slot.put(deadlines),
            Ok(false) => {}
            Err(_) => self.abort(Reason::Panic),
        }
    }
}

/// The waker of the deadline's sleep.
impl Wake for Record {
    fn wake(self: Arc<Self>) {
        self.recheck_deadlines();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.recheck_deadlines();
    }
}
