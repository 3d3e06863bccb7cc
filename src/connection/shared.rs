//! A stream shared by two holders, and a waker that wakes two tasks.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::task::{Poll, Wake};

use atomic_waker::AtomicWaker;

use crate::catch::quietly_drop;

/// A stream that a half and the server's link share. Either ends it: by closing it, or by an abort
/// from any thread.
pub(crate) struct SharedStream<S> {
    stream: Mutex<Option<S>>,
    aborted: AtomicBool,
}

impl<S> SharedStream<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self {
            stream: Mutex::new(Some(stream)),
            aborted: AtomicBool::new(false),
        }
    }

    /// Polls the stream. Fails with `BrokenPipe` once the stream is gone.
    pub(crate) fn poll<T>(
        &self,
        poll: impl FnOnce(Pin<&mut S>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>>
    where
        S: Unpin,
    {
        let mut slot = self.lock();
        let Some(stream) = &mut *slot else {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        };
        let result = poll(Pin::new(stream));
        // `abort` does not wait for this poll, which drops the stream instead.
        let aborted = self.aborted.load(Ordering::Acquire);
        let gone = if aborted { slot.take() } else { None };
        drop(slot);
        drop(gone);
        result
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.lock().is_none()
    }

    /// Drops the stream.
    pub(crate) fn end(&self) {
        let gone = self.lock().take();
        drop(gone);
    }

    /// Drops the stream now, or at the end of a poll in progress.
    pub(crate) fn abort(&self) {
        self.aborted.store(true, Ordering::Release);
        let gone = match self.stream.try_lock() {
            Ok(mut stream) => stream.take(),
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner().take(),
            Err(TryLockError::WouldBlock) => None,
        };
        quietly_drop(gone);
    }

    fn lock(&self) -> MutexGuard<'_, Option<S>> {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Two wakers. As a waker it wakes both.
#[derive(Default)]
pub(crate) struct WakerPair {
    pub(crate) first: AtomicWaker,
    pub(crate) second: AtomicWaker,
}

impl Wake for WakerPair {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.first.wake();
        self.second.wake();
    }
}
