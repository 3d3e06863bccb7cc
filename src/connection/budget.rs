//! How much one half may do before it lets others run.

use std::task::{Context, Poll};

/// Bytes that a half may move before it yields.
const BYTES: usize = 64 * 1024;
/// Operations that a half may do before it yields.
const OPERATIONS: u8 = 32;

/// What a half has done since it last returned `Pending`.
///
/// No future of a stream that is always ready would ever return to the executor by itself: beside
/// one flooding client everything else would wait.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    bytes: usize,
    operations: u8,
}

impl Budget {
    /// Pending, once, when the budget is used up; the task is woken to go on later.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.bytes < BYTES && self.operations < OPERATIONS {
            return Poll::Ready(());
        }
        self.reset();
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    pub(crate) fn charge(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes);
        self.operations += 1;
    }

    /// The stream itself returned `Pending`.
    pub(crate) fn reset(&mut self) {
        *self = Self::default();
    }
}
