//! Work of the connection's task besides the handler: the check of the deadlines, and the queue of a
//! buffered writer.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Wake, Waker};

use super::{Flag, Phase, Record};
use crate::catch::catch_panic;
use crate::reason::Reason;
use crate::time::{Clock, Stamp};

/// Checks the deadlines of one connection. Called in the connection's task.
pub(crate) trait DeadlineCheck: Send {
    /// Ends the connection if a deadline has passed, or else schedules the next check. Returns true
    /// if a next check is scheduled, false if no further check is needed.
    fn check(&mut self, record: &Arc<Record>, clock: &Clock, task: &Waker) -> bool;
    /// Returns the next deadline, and the reason with which the connection ends then. Calls no
    /// foreign code.
    fn next(&self, record: &Record, now: Stamp) -> Option<(Reason, Stamp)>;
}

/// Sends the bytes of a queue, as far as the stream accepts them.
pub(in crate::connection) trait SendQueued: Send {
    /// Sends queued bytes in the connection's task, which is woken when more can be sent. Returns
    /// false if the writer is gone.
    fn send_queued(&self, cx: &mut Context<'_>) -> bool;
    /// Returns the number of queued bytes, or 0 if another task uses the queue at this moment.
    fn queued(&self) -> usize;
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
        let new = || context.hooks.deadlines(self);
        let Some(mut deadlines) = slot.take().or_else(new) else {
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

impl Record {
    /// Returns the next deadline, and the reason with which the connection ends then.
    pub(crate) fn next_deadline(&self, now: Stamp) -> Option<(Reason, Stamp)> {
        let context = self.context()?;
        if self.ending().is_some() || self.is_lingering() {
            return None;
        }
        let cold = self.cold.get();
        let next = cold.and_then(|cold| cold.deadlines.peek(|check| check.next(self, now)));
        // The check is taken out at this moment, or is not made yet.
        next.unwrap_or_else(|| context.hooks.deadlines(self)?.next(self, now))
    }

    /// Returns true if everything is sent, and only the end of the peer is missing.
    pub(crate) fn is_lingering(&self) -> bool {
        self.phase() == Phase::Closing && self.is_flushed()
    }

    /// Returns the number of bytes that the handler has written and the peer has not acknowledged,
    /// with those in the queue of a buffered writer, if that is known.
    pub(crate) fn unacknowledged(&self) -> Option<usize> {
        let cold = self.cold.get();
        let queued = cold.and_then(|cold| cold.queue.peek(SendQueued::queued));
        self.unsent().map(|unsent| unsent + queued.unwrap_or(0))
    }

    /// Makes the connection's task send this queue. The task may wait already, so it is woken.
    pub(in crate::connection) fn set_queue(&self, queue: Box<dyn SendQueued>) {
        self.cold().queue.put(queue);
        self.flags.set(Flag::HasQueue);
        self.wake();
    }

    /// Sends queued bytes. Called at the end of each poll of the task in which the handler waits.
    #[inline]
    pub(crate) fn send_queued(&self, cx: &mut Context<'_>) {
        if self.flags.has(Flag::HasQueue) {
            self.run_send_queued(cx);
        }
    }

    #[cold]
    fn run_send_queued(&self, cx: &mut Context<'_>) {
        let slot = &self.cold().queue;
        let Some(queue) = slot.take() else { return };
        // A queue that panics is not used again, and its bytes are reported as unsent.
        if catch_panic(|| queue.send_queued(cx)).is_ok_and(|is_open| is_open) {
            slot.put_back(queue);
        }
    }

    /// Reports the bytes that were dropped with a writer.
    pub(in crate::connection) fn report_dropped(self: &Arc<Self>, bytes: usize) {
        self.cold()
            .dropped
            .fetch_add(bytes as u64, Ordering::Relaxed);
        if let Some(context) = self.context() {
            // This is called in a drop, so a panic of the observer must not unwind.
            let _ = catch_panic(|| context.hooks.dropped(self, bytes));
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
