//! Byte counts, times and budgets, which the halves update while data flows.

use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use super::{ColdState, Flag, Record};
use crate::time::Stamp;

/// The bytes that a half moves before it yields.
const BUDGET_BYTES: u32 = 64 * 1024;
/// The smallest charge of an operation, in bytes, so that 32 operations use up the budget.
const MIN_CHARGE_BYTES: u32 = BUDGET_BYTES / 32;
/// The value of a budget while its half waits for the stream: as good as unused, but not 0.
const WAITING: u32 = 1;

/// The bytes that a half has moved since it last returned `Pending`. Only the half and its task write
/// to it.
///
/// A future that uses a stream that is always ready would never return to the executor, and all
/// other tasks of the thread would wait. With the budget, the half returns `Pending` from time to
/// time.
#[derive(Debug, Default)]
pub(crate) struct Budget(AtomicU32);

impl Budget {
    /// Returns `Pending` once when the budget is used up, and wakes the task to continue later.
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

    /// Returns true if the half has done nothing since it last returned `Pending`.
    pub(crate) fn is_unused(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }

    /// Starts the budget anew.
    pub(crate) fn reset(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// Starts the budget anew, since the stream has returned `Pending`.
    pub(crate) fn wait(&self) {
        self.0.store(WAITING, Ordering::Relaxed);
    }

    /// Returns true if the half has done nothing since the stream returned `Pending`, and the task
    /// was not polled again without it.
    pub(crate) fn is_waiting(&self) -> bool {
        self.0.load(Ordering::Relaxed) == WAITING
    }
}

impl Record {
    /// Bytes that were queued in buffered writers when these were dropped.
    pub(crate) fn bytes_dropped(&self) -> u64 {
        let cold = self.cold.get();
        cold.map_or(0, |cold| cold.dropped.load(Ordering::Relaxed))
    }

    /// Counts received bytes. Called by the reader only, so no read-modify-write is needed.
    #[inline(always)]
    pub(crate) fn received(&self, n: usize) {
        let sum = self.bytes_in.load(Ordering::Relaxed) + n as u64;
        self.bytes_in.store(sum, Ordering::Relaxed);
        self.note_received(n);
    }

    /// Counts sent bytes. Called by the writer only.
    #[inline(always)]
    pub(crate) fn sent(&self, n: usize) {
        let sum = self.bytes_out.load(Ordering::Relaxed) + n as u64;
        self.bytes_out.store(sum, Ordering::Relaxed);
        self.note_sent(n);
        self.unblock();
    }

    /// Records that bytes were received.
    #[inline(always)]
    pub(super) fn note_received(&self, n: usize) {
        if self.touch(n) {
            self.end_input_wait();
        }
    }

    /// Records that bytes were sent.
    #[inline(always)]
    pub(super) fn note_sent(&self, n: usize) {
        if self.touch(n) {
            self.end_message();
        }
    }

    /// Ends the wait for an idle peer, since the peer has sent bytes.
    #[inline(always)]
    pub(in crate::connection) fn end_quiet(&self) {
        if self.flags.has(Flag::AwaitingQuiet) {
            self.flags.clear(Flag::AwaitingQuiet);
            drop(self.cold().quiet_sleep.take());
        }
    }

    /// Begins the wait of a write. Called by the writer only.
    pub(crate) fn block_write(&self) {
        self.block();
        if self.is_blocked() {
            self.flags.set(Flag::Writing);
        }
    }

    /// Begins the wait of a write, a flush or a close. Called by the writer only.
    pub(crate) fn block(&self) {
        if let Some(context) = self.context() {
            let cold = self.cold();
            if !cold.is_blocked() {
                cold.blocked.set(context.clock.stamp());
            }
        }
    }

    /// Ends the wait. Called by the writer only.
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

    /// Returns true while a write of the handler is blocked. A blocked flush does not count, since
    /// its bytes are accepted already.
    pub(crate) fn is_writing(&self) -> bool {
        self.flags.has(Flag::Writing)
    }

    /// Returns true while a write, a flush or a close waits for the peer.
    pub(crate) fn is_blocked(&self) -> bool {
        self.cold.get().is_some_and(ColdState::is_blocked)
    }

    /// The total time that writes, flushes and closes have waited for the peer.
    pub(crate) fn blocked_for(&self, now: Stamp) -> Duration {
        let cold = self.cold.get();
        cold.map_or(Duration::ZERO, |cold| cold.blocked_for(now))
    }

    /// Records the time of a transfer. Returns true if a deadline depends on it.
    #[inline(always)]
    fn touch(&self, n: usize) -> bool {
        if n > 0
            && let Some(context) = self.context()
        {
            let timed = context.is_timed();
            let now = if timed {
                context.clock.stamp()
            } else {
                context.clock.turn_stamp()
            };
            self.active.set(now);
            return timed;
        }
        false
    }
}
