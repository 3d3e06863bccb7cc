//! A stream that two halves, or a half and the server's link, share; and the wakers of the two.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::task::{Poll, Wake};

use atomic_waker::AtomicWaker;

use crate::catch::quietly_drop;

/// A stream until it is gone: closed, or aborted from any thread.
pub(super) struct SharedStream<S> {
    stream: Mutex<Option<S>>,
    aborted: AtomicBool,
}

impl<S> SharedStream<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream: Mutex::new(Some(stream)),
            aborted: AtomicBool::new(false),
        }
    }

    /// Polls the stream; one that is gone is a broken pipe.
    pub(super) fn poll<T>(
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
        // `abort` does not wait for us.
        let aborted = self.aborted.load(Ordering::Acquire);
        let gone = if aborted { slot.take() } else { None };
        drop(slot);
        drop(gone);
        result
    }

    pub(super) fn is_gone(&self) -> bool {
        self.lock().is_none()
    }

    /// Drops the stream.
    pub(super) fn end(&self) {
        let gone = self.lock().take();
        drop(gone);
    }

    /// Drops the stream now, or when the poll that is under way is over.
    pub(super) fn abort(&self) {
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

/// Wakes both.
#[derive(Default)]
pub(in crate::connection) struct WakerPair {
    pub(in crate::connection) first: AtomicWaker,
    pub(in crate::connection) second: AtomicWaker,
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
