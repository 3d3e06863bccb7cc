//! A slot for the waker of a waiting task. The task can check that a wake reaches it.

use std::mem;
use std::task::Waker;

use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Mutex, MutexGuard, PoisonError};

/// The waker of the task that waits, if there is one.
///
/// A task that registers here through something that it polls, such as a half, can check afterwards
/// whether a wake [reaches](Self::reaches) it. If so, it needs no second registration.
///
/// Only that task calls [`forget`](Self::forget) and `reaches`. Other tasks may register and wake.
/// The relaxed operations on `holder` are enough:
///
/// * Each registration changes `holder` under the lock, so in the order in which registrations
///   replace each other.
/// * If the task loads its own mark, it has registered since its call of `forget`. That call has
///   stored `HOLDER_NONE` or loaded `HOLDER_SHARED`, and a later load returns no older value.
/// * A task that replaces its waker registers later. The swap of that task does not return
///   `HOLDER_SHARED`, so it wakes the first task.
/// * `forget` does not lock, and may overwrite a concurrent `HOLDER_SHARED`. If the task that
///   stored it has replaced this task's waker, this task is woken and calls `forget` again.
/// * No other data depends on `holder`. Stores before a wake are visible through the lock or, to
///   the woken task, through its waker.
#[derive(Debug, Default)]
pub(crate) struct WakerSlot {
    waker: Mutex<Option<Waker>>,
    /// The [mark](mark) of the last waker registered since the last [`forget`](Self::forget), or
    /// one of the values below.
    holder: AtomicUsize,
}

/// No waker has been registered since the last `forget`.
const HOLDER_NONE: usize = 0;
/// Different wakers have been registered: none is sure to be reached.
const HOLDER_SHARED: usize = 1;

impl WakerSlot {
    /// Replaces the registered waker. The first time that a different waker is replaced, it is
    /// woken: its task may rely on being reached here.
    pub(crate) fn register(&self, waker: &Waker) {
        let mut held = self.lock();
        match &*held {
            Some(held) if held.will_wake(waker) => {}
            Some(_) => return self.replace(held, waker),
            // A clone of a waker does not register in this slot.
            None => *held = Some(waker.clone()),
        }
        if self.holder.load(Ordering::Relaxed) != HOLDER_SHARED {
            self.holder.store(mark(waker), Ordering::Relaxed);
        }
    }

    #[cold]
    fn replace(&self, mut held: MutexGuard<'_, Option<Waker>>, waker: &Waker) {
        let before = held.replace(waker.clone());
        let first = self.holder.swap(HOLDER_SHARED, Ordering::Relaxed) != HOLDER_SHARED;
        // Unlocked first: the wake and the drop of a waker run code from outside this crate.
        drop(held);
        if first && let Some(before) = before {
            before.wake();
        }
    }

    #[inline(always)]
    pub(crate) fn wake(&self) {
        if let Some(waker) = self.take() {
            waker.wake();
        }
    }

    pub(crate) fn take(&self) -> Option<Waker> {
        mem::take(&mut *self.lock())
    }

    /// Called before a poll that is followed by a call of [`reaches`](Self::reaches).
    pub(crate) fn forget(&self) {
        if self.holder.load(Ordering::Relaxed) != HOLDER_SHARED {
            self.holder.store(HOLDER_NONE, Ordering::Relaxed);
        }
    }

    /// Returns true if a [`wake`](Self::wake) reaches this waker, because it was registered in this
    /// poll. If it has been replaced or taken since, it has been woken.
    pub(crate) fn reaches(&self, waker: &Waker) -> bool {
        self.holder.load(Ordering::Relaxed) == mark(waker)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Waker>> {
        self.waker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The identity of a waker. It compares data and functions, as `will_wake` does.
pub(crate) fn mark(waker: &Waker) -> usize {
    let functions: *const _ = waker.vtable();
    (waker.data().addr() ^ functions.addr().rotate_left(usize::BITS / 2)) | 2
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn waker() -> (Arc<Woken>, Waker) {
        let woken = Arc::<Woken>::default();
        (woken.clone(), woken.into())
    }

    #[test]
    fn a_waker_registered_in_this_poll_is_reached() {
        let (slot, (woken, ours), (_, theirs)) = (WakerSlot::default(), waker(), waker());
        assert!(!slot.reaches(&ours), "no waker is registered");
        slot.register(&ours);
        assert!(slot.reaches(&ours) && !slot.reaches(&theirs));
        slot.register(&ours);
        assert!(slot.reaches(&ours), "the same waker again replaces nothing");
        slot.wake();
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        slot.forget();
        assert!(!slot.reaches(&ours), "not registered since the wake");
    }

    #[test]
    fn a_replaced_waker_is_woken_once_and_none_is_reached_afterwards() {
        let (slot, (woken, ours), (_, theirs)) = (WakerSlot::default(), waker(), waker());
        slot.register(&ours);
        slot.register(&theirs);
        assert_eq!(
            woken.0.load(Ordering::Relaxed),
            1,
            "its task may rely on the slot"
        );
        assert!(!slot.reaches(&theirs), "the slot is shared now");
        slot.register(&ours);
        slot.register(&theirs);
        assert_eq!(
            woken.0.load(Ordering::Relaxed),
            1,
            "woken only the first time"
        );
        slot.forget();
        slot.register(&ours);
        assert!(!slot.reaches(&ours));
    }
}
