//! How much one half may do before it lets others run.

use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};

/// Bytes that a half may move before it yields.
const BYTES: u32 = 64 * 1024;
/// What an operation counts at least, in bytes: 32 of them are as much.
const LEAST: u32 = BYTES / 32;

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
        if self.0.load(Ordering::Relaxed) < BYTES {
            return Poll::Ready(());
        }
        self.reset();
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    pub(crate) fn charge(&self, bytes: usize) {
        let bytes = u32::try_from(bytes).unwrap_or(BYTES).max(LEAST);
        let spent = self.0.load(Ordering::Relaxed);
        self.0.store(spent.saturating_add(bytes), Ordering::Relaxed);
    }

    /// Whether the half has done nothing since.
    pub(crate) fn is_whole(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }

    /// The stream itself returned `Pending`.
    pub(crate) fn reset(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}
