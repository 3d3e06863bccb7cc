//! The reactor that a source is registered with.

use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use super::{Reactor, lock};

/// A locked `Option<Arc<Reactor>>` that is compared without the lock.
#[derive(Debug)]
pub(super) struct Registered {
    lock: Mutex<()>,
    /// Null, or from [`Arc::into_raw`], with one count of it. Changed under the lock.
    reactor: AtomicPtr<Reactor>,
}

pub(super) struct Locked<'a> {
    reactor: &'a AtomicPtr<Reactor>,
    _lock: MutexGuard<'a, ()>,
}

impl Registered {
    pub(super) fn nowhere() -> Self {
        Self {
            lock: Mutex::new(()),
            reactor: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// Whether it is this one. Another thread may move the source meanwhile: then the new reactor
    /// wakes what waits.
    #[inline(always)]
    pub(super) fn is(&self, reactor: *const Reactor) -> bool {
        ptr::eq(self.reactor.load(Ordering::Relaxed), reactor)
    }

    pub(super) fn lock(&self) -> Locked<'_> {
        Locked {
            reactor: &self.reactor,
            _lock: lock(&self.lock),
        }
    }
}

impl Locked<'_> {
    pub(super) fn get(&self) -> Option<&Reactor> {
        // SAFETY: it is null, or the count that is ours keeps it until it is replaced, which takes
        // `&mut self`.
        unsafe { self.reactor.load(Ordering::Relaxed).as_ref() }
    }

    pub(super) fn is(&self, reactor: &Reactor) -> bool {
        ptr::eq(self.reactor.load(Ordering::Relaxed), reactor)
    }

    pub(super) fn set(&mut self, reactor: Arc<Reactor>) {
        drop(self.replace(Arc::into_raw(reactor)));
    }

    pub(super) fn take(&mut self) -> Option<Arc<Reactor>> {
        self.replace(ptr::null())
    }

    fn replace(&mut self, reactor: *const Reactor) -> Option<Arc<Reactor>> {
        let before = self.reactor.swap(reactor.cast_mut(), Ordering::Relaxed);
        // SAFETY: what is not null came from `Arc::into_raw`, and its count is given back once.
        (!before.is_null()).then(|| unsafe { Arc::from_raw(before) })
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        drop(self.lock().take());
    }
}
