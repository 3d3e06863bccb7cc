//! How long the handler has waited for more of something that it has begun to get.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::Record;
use crate::time::{AtomicStamp, Stamp};

/// Written by the reader, but for `begun`; read by the task, which judges the rate.
#[derive(Debug)]
pub(in crate::connection) struct Pace {
    /// There is a minimum rate.
    measured: AtomicBool,
    /// Bytes have come since the handler last wrote.
    begun: AtomicBool,
    /// The reader has the beginning of a frame.
    partial: AtomicBool,
    /// Since when the handler waits for more; `NEVER` while it does not.
    since: AtomicStamp,
    /// How long its own writes had waited by then, in nanoseconds.
    blocked: AtomicU64,
    /// How long it waited for more before that, in nanoseconds.
    before: AtomicU64,
}

impl Default for Pace {
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

impl Pace {
    fn counts(&self) -> bool {
        self.begun.load(Ordering::Relaxed) || self.partial.load(Ordering::Relaxed)
    }
}

impl Record {
    /// From now on it is known how long the handler [waits for more](Self::waited).
    pub(crate) fn measure_pace(&self) {
        self.cold().pace.measured.store(true, Ordering::Relaxed);
    }

    fn pace(&self) -> Option<&Pace> {
        let pace = &self.cold.get()?.pace;
        pace.measured.load(Ordering::Relaxed).then_some(pace)
    }

    /// Bytes have come. Called by the reader only.
    pub(super) fn came(&self) {
        if let (Some(pace), Some(context)) = (self.pace(), self.context()) {
            let waited = nanos(self.waited(context.clock.stamp()));
            pace.before.store(waited, Ordering::Relaxed);
            pace.since.set(Stamp::NEVER);
            pace.begun.store(true, Ordering::Relaxed);
            pace.partial.store(false, Ordering::Relaxed);
        }
    }

    /// Something is complete: the handler has answered, or says so. What comes next is something new.
    pub(in crate::connection) fn complete(&self) {
        if let Some(pace) = self.pace() {
            pace.begun.store(false, Ordering::Relaxed);
        }
    }

    /// The reader has the beginning of a frame, or has none. Called by the reader only.
    pub(in crate::connection) fn set_partial(&self, partial: bool) {
        if let Some(pace) = self.pace() {
            pace.partial.store(partial, Ordering::Relaxed);
        }
    }

    /// A read has to wait. Called by the reader only.
    pub(in crate::connection) fn wait_for_more(&self) {
        if let (Some(pace), Some(context)) = (self.pace(), self.context())
            && pace.counts()
            && pace.since.get() == Stamp::NEVER
        {
            let now = context.clock.stamp();
            let blocked = nanos(self.blocked_for(now));
            pace.blocked.store(blocked, Ordering::Relaxed);
            pace.since.set(now);
        }
    }

    /// Whether the handler waits for more of something that it has begun to get.
    pub(crate) fn waits_for_more(&self) -> bool {
        let waits = |pace: &Pace| pace.counts() && pace.since.get() != Stamp::NEVER;
        self.pace().is_some_and(waits) && !self.is_blocked()
    }

    /// How long the handler has waited so, in all, without the time in which its own writes waited.
    pub(crate) fn waited(&self, now: Stamp) -> Duration {
        let Some(pace) = self.pace() else {
            return Duration::ZERO;
        };
        let before = Duration::from_nanos(pace.before.load(Ordering::Relaxed));
        if !pace.counts() {
            return before;
        }
        let blocked_before = Duration::from_nanos(pace.blocked.load(Ordering::Relaxed));
        let blocked = self.blocked_for(now).saturating_sub(blocked_before);
        before + now.since(pace.since.get()).saturating_sub(blocked)
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
