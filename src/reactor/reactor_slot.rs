//! The reactor that a source is registered with.

use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use super::{Reactor, lock};

/// An `Option<Arc<Reactor>>` behind a lock, which can be compared without taking the lock.
#[derive(Debug)]
pub(super) struct ReactorSlot {
    lock: Mutex<()>,
    /// Null, or a pointer from [`Arc::into_raw`] that owns one reference. Changed under the lock.
    reactor: AtomicPtr<Reactor>,
}

/// Access to a locked [`ReactorSlot`].
pub(super) struct LockedSlot<'a> {
    reactor: &'a AtomicPtr<Reactor>,
    _lock: MutexGuard<'a, ()>,
}

impl ReactorSlot {
    pub(super) fn empty() -> Self {
        Self {
            lock: Mutex::new(()),
            reactor: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// Returns true if the slot holds this reactor. Another thread may move the source at the same
    /// time: then the new reactor wakes the waiting tasks.
    #[inline(always)]
    pub(super) fn is(&self, reactor: *const Reactor) -> bool {
        ptr::eq(self.reactor.load(Ordering::Relaxed), reactor)
    }

    pub(super) fn lock(&self) -> LockedSlot<'_> {
        LockedSlot {
            reactor: &self.reactor,
            _lock: lock(&self.lock),
        }
    }
}

impl LockedSlot<'_> {
    pub(super) fn get(&self) -> Option<&Reactor> {
        // SAFETY: the pointer is null, or the slot's own reference keeps the reactor until the
        // pointer is replaced, which takes `&mut self`.
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
        // SAFETY: a pointer that is not null came from `Arc::into_raw`, and its reference is taken
        // back once.
        (!before.is_null()).then(|| unsafe { Arc::from_raw(before) })
    }
}

impl Drop for ReactorSlot {
    fn drop(&mut self) {
        drop(self.lock().take());
    }
}
