//! What passes, and when: written by the halves while data flows.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Record, Seldom};
use crate::time::Stamp;

impl Record {
    pub(crate) fn bytes_in(&self) -> u64 {
        self.bytes_in.load(Ordering::Relaxed)
    }

    pub(crate) fn bytes_out(&self) -> u64 {
        self.bytes_out.load(Ordering::Relaxed)
    }

    /// Called by the reader only, hence no read-modify-write.
    pub(crate) fn received(&self, n: usize) {
        let sum = self.bytes_in() + n as u64;
        self.bytes_in.store(sum, Ordering::Relaxed);
        self.moved(n);
    }

    /// Called by the writer only.
    pub(crate) fn sent(&self, n: usize) {
        let sum = self.bytes_out() + n as u64;
        self.bytes_out.store(sum, Ordering::Relaxed);
        self.moved(n);
        if let Some(seldom) = self.seldom.get()
            && seldom.is_blocked()
        {
            let before = seldom.blocked_for(self.active());
            let before = u64::try_from(before.as_nanos()).unwrap_or(u64::MAX);
            seldom.blocked_before.store(before, Ordering::Relaxed);
            seldom.blocked.set(Stamp::NEVER);
        }
    }

    /// A write waits for the peer. Called by the writer only.
    pub(crate) fn block(&self) {
        if let Some(home) = self.home() {
            let seldom = self.seldom();
            if !seldom.is_blocked() {
                seldom.blocked.set(home.clock.stamp());
            }
        }
    }

    /// Whether the handler is in the middle of a write.
    pub(crate) fn is_blocked(&self) -> bool {
        self.seldom.get().is_some_and(Seldom::is_blocked)
    }

    /// How long writes have waited for the peer, in all.
    pub(crate) fn blocked_for(&self, now: Stamp) -> Duration {
        let seldom = self.seldom.get();
        seldom.map_or(Duration::ZERO, |seldom| seldom.blocked_for(now))
    }

    #[inline(always)]
    fn moved(&self, n: usize) {
        if n > 0
            && let Some(home) = self.home()
        {
            let now = if home.timed {
                home.clock.stamp()
            } else {
                home.clock.turn_stamp()
            };
            self.active.set(now);
        }
    }
}
