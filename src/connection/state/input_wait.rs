//! The time that the handler has waited for the rest of incomplete input.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::Record;
use crate::time::{AtomicStamp, Stamp};

/// The time that the handler has waited for the rest of incomplete input.
///
/// The server sets `measured`, and the reader writes the other fields. `begun` is also cleared, by the
/// writer, by `more_or_drain` and by the end of a handshake. The task reads all fields to compute the
/// rate.
#[derive(Debug)]
pub(in crate::connection) struct InputWait {
    /// A minimum rate is set.
    measured: AtomicBool,
    /// Bytes have arrived since the last input was complete.
    begun: AtomicBool,
    /// The reader has the beginning of a frame.
    partial: AtomicBool,
    /// The time since which the handler waits; `NEVER` while it does not wait.
    since: AtomicStamp,
    /// The total wait of the handler's writes at `since`, in nanoseconds.
    blocked: AtomicU64,
    /// The total time of earlier waits, in nanoseconds.
    before: AtomicU64,
}

impl Default for InputWait {
    fn default() -> Self {
        Self {
            measured: AtomicBool::new(false),
            begun: AtomicBool::new(false),
            partial: AtomicBool::new(false),
            since: AtomicStamp::new(Stamp::NEVER),
            blocked: AtomicU64::new(0),
            before: AtomicU64::new(0),
        }
    }
}

impl InputWait {
    fn counts(&self) -> bool {
        self.begun.load(Ordering::Relaxed) || self.partial.load(Ordering::Relaxed)
    }
}

impl Record {
    /// Starts to measure the [wait for input](Self::input_wait).
    pub(crate) fn measure_input_wait(&self) {
        self.cold()
            .input_wait
            .measured
            .store(true, Ordering::Relaxed);
    }

    fn measured_wait(&self) -> Option<&InputWait> {
        let wait = &self.cold.get()?.input_wait;
        wait.measured.load(Ordering::Relaxed).then_some(wait)
    }

    /// Ends a wait, since bytes have arrived. Called by the reader only.
    pub(super) fn end_input_wait(&self) {
        if let (Some(wait), Some(context)) = (self.measured_wait(), self.context()) {
            let waited = nanos(self.input_wait(context.clock.stamp()));
            wait.before.store(waited, Ordering::Relaxed);
            wait.since.set(Stamp::NEVER);
            wait.begun.store(true, Ordering::Relaxed);
            wait.partial.store(false, Ordering::Relaxed);
        }
    }

    /// Marks the input as complete: the handler has written, or has reported it. Later bytes begin
    /// new input.
    pub(crate) fn end_message(&self) {
        if let Some(wait) = self.measured_wait() {
            wait.begun.store(false, Ordering::Relaxed);
        }
    }

    /// Sets whether the reader has the beginning of a frame. Called by the reader only.
    pub(in crate::connection) fn set_partial(&self, partial: bool) {
        if let Some(wait) = self.measured_wait() {
            wait.partial.store(partial, Ordering::Relaxed);
        }
    }

    /// Begins a wait, if the input is incomplete. Called by the reader only.
    pub(in crate::connection) fn begin_input_wait(&self) {
        if let (Some(wait), Some(context)) = (self.measured_wait(), self.context())
            && wait.counts()
            && wait.since.get() == Stamp::NEVER
        {
            let now = context.clock.stamp();
            let blocked = nanos(self.blocked_for(now));
            wait.blocked.store(blocked, Ordering::Relaxed);
            wait.since.set(now);
        }
    }

    /// Returns true while the handler waits for the rest of incomplete input.
    pub(crate) fn is_awaiting_input(&self) -> bool {
        let waits = |wait: &InputWait| wait.counts() && wait.since.get() != Stamp::NEVER;
        self.measured_wait().is_some_and(waits) && !self.is_blocked()
    }

    /// The total time that the handler has waited for the rest of incomplete input, without the time
    /// that its own writes waited.
    pub(crate) fn input_wait(&self, now: Stamp) -> Duration {
        let Some(wait) = self.measured_wait() else {
            return Duration::ZERO;
        };
        let before = Duration::from_nanos(wait.before.load(Ordering::Relaxed));
        if !wait.counts() {
            return before;
        }
        let blocked_before = Duration::from_nanos(wait.blocked.load(Ordering::Relaxed));
        let blocked = self.blocked_for(now).saturating_sub(blocked_before);
        before + now.since(wait.since.get()).saturating_sub(blocked)
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
