//! What passes, and when: written by the halves while data flows.

use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use super::{ColdState, Flag, Record};
use crate::time::Stamp;

/// Bytes that a half may move before it yields.
const BUDGET_BYTES: u32 = 64 * 1024;
/// What an operation counts at least, in bytes: 32 of them are as much.
const MIN_CHARGE_BYTES: u32 = BUDGET_BYTES / 32;

/// What a half has done since it last returned `Pending`, in bytes. Only that half, and its task,
/// write to it.
///
/// No future of a stream that is always ready would ever return to the executor by itself: beside
/// one flooding client everything else would wait.
#[derive(Debug, Default)]
pub(crate) struct Budget(AtomicU32);

impl Budget {
    /// Pending, once, when the budget is used up; the task is woken to go on later.
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.0.load(Ordering::Relaxed) < BUDGET_BYTES {
            return Poll::Ready(());
        }
        self.reset();
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    pub(crate) fn charge(&self, bytes: usize) {
        let bytes = u32::try_from(bytes)
            .unwrap_or(BUDGET_BYTES)
            .max(MIN_CHARGE_BYTES);
        let spent = self.0.load(Ordering::Relaxed);
        self.0.store(spent.saturating_add(bytes), Ordering::Relaxed);
    }

    /// Whether the half has done nothing since.
    pub(crate) fn is_unused(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }

    /// The stream itself returned `Pending`.
    pub(crate) fn reset(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

impl Record {
    pub(crate) fn bytes_in(&self) -> u64 {
        self.bytes_in.load(Ordering::Relaxed)
    }

    pub(crate) fn bytes_out(&self) -> u64 {
        self.bytes_out.load(Ordering::Relaxed)
    }

    /// Bytes that a writer kept, and that were dropped with it.
    pub(crate) fn bytes_dropped(&self) -> u64 {
        let cold = self.cold.get();
        cold.map_or(0, |cold| cold.dropped.load(Ordering::Relaxed))
    }

    /// Called by the reader only, hence no read-modify-write.
    #[inline(always)]
    pub(crate) fn received(&self, n: usize) {
        let sum = self.bytes_in() + n as u64;
        self.bytes_in.store(sum, Ordering::Relaxed);
        if self.touch(n) {
            self.end_input_wait();
        }
    }

    /// Called by the writer only.
    #[inline(always)]
    pub(crate) fn sent(&self, n: usize) {
        let sum = self.bytes_out() + n as u64;
        self.bytes_out.store(sum, Ordering::Relaxed);
        if self.touch(n) {
            self.end_message();
        }
        self.unblock();
    }

    /// A write waits for the peer. Called by the writer only.
    pub(crate) fn block_write(&self) {
        self.block();
        if self.is_blocked() {
            self.flags.set(Flag::Writing);
        }
    }

    /// A write, or what was written before, waits for the peer. Called by the writer only.
    pub(crate) fn block(&self) {
        if let Some(context) = self.context() {
            let cold = self.cold();
            if !cold.is_blocked() {
                cold.blocked.set(context.clock.stamp());
            }
        }
    }

    /// Neither waits any more. Called by the writer only.
    pub(crate) fn unblock(&self) {
        if let Some(cold) = self.cold.get()
            && cold.is_blocked()
            && let Some(context) = self.context()
        {
            let before = cold.blocked_for(context.clock.stamp());
            let before = u64::try_from(before.as_nanos()).unwrap_or(u64::MAX);
            cold.blocked_before.store(before, Ordering::Relaxed);
            cold.blocked.set(Stamp::NEVER);
            self.flags.clear(Flag::Writing);
        }
    }

    /// Whether the handler is in the middle of a write. One that waits in a flush is not: what it
    /// wrote was taken.
    pub(crate) fn is_writing(&self) -> bool {
        self.flags.has(Flag::Writing)
    }

    /// Whether the handler waits for the peer to take something.
    pub(crate) fn is_blocked(&self) -> bool {
        self.cold.get().is_some_and(ColdState::is_blocked)
    }

    /// How long writes and flushes have waited for the peer, in all.
    pub(crate) fn blocked_for(&self, now: Stamp) -> Duration {
        let cold = self.cold.get();
        cold.map_or(Duration::ZERO, |cold| cold.blocked_for(now))
    }

    /// Says whether some deadline depends on it.
    #[inline(always)]
    fn touch(&self, n: usize) -> bool {
        if n > 0
            && let Some(context) = self.context()
        {
            let now = if context.timed {
                context.clock.stamp()
            } else {
                context.clock.turn_stamp()
            };
            self.active.set(now);
            return context.timed;
        }
        false
    }
}
