//! Who waits for one thing, and whether a second party may count on it.

use std::mem;
use std::task::Waker;

use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Mutex, MutexGuard, PoisonError};

/// The waker of whoever waits, if anybody does.
///
/// A task that waits here through something that it polls, such as a half, can ask afterwards
/// [whether it is reached](Self::reaches) by a wake, and save itself a second place to wait at.
///
/// Only that task calls [`forget`](Self::forget) and `reaches`; any number of others may register
/// and wake. Each registration changes `holder` while the place is locked, so in the order in which
/// one replaces the other. If the task reads its own mark, it has registered since it forgot: then
/// it stored `NOBODY`, or found `SPLIT`, and a load gives nothing older. Whoever replaces it comes
/// next, so its swap finds no `SPLIT`, and it wakes the task. `forget` does not lock, and may
/// overwrite a `SPLIT` of the same moment; if that was of one who replaced the task, the task is
/// woken, and forgets again. Nothing else is read on the word of `holder`, so it is relaxed: what was
/// stored before a wake is seen through the lock or, by who is woken, through its waker.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    waker: Mutex<Option<Waker>>,
    /// The [mark](mark) of the waker that was registered last, since the last [`forget`](Self::forget).
    holder: AtomicUsize,
}

/// Nobody has registered since.
const NOBODY: usize = 0;
/// Different ones have waited here: no one may count on it.
const SPLIT: usize = 1;

impl Waiting {
    /// Whoever was registered before is so no more. The first time that this is somebody else,
    /// that one is woken: it may have counted on being reached here.
    pub(crate) fn register(&self, waker: &Waker) {
        let mut held = self.lock();
        match &*held {
            Some(held) if held.will_wake(waker) => {}
            Some(_) => return self.replace(held, waker),
            // A clone has no reason to come back here.
            None => *held = Some(waker.clone()),
        }
        if self.holder.load(Ordering::Relaxed) != SPLIT {
            self.holder.store(mark(waker), Ordering::Relaxed);
        }
    }

    #[cold]
    fn replace(&self, mut held: MutexGuard<'_, Option<Waker>>, waker: &Waker) {
        let before = held.replace(waker.clone());
        let first = self.holder.swap(SPLIT, Ordering::Relaxed) != SPLIT;
        // Wakes and drops of wakers may: they run code of others.
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

    /// Before a poll after which [`reaches`](Self::reaches) is asked.
    pub(crate) fn forget(&self) {
        if self.holder.load(Ordering::Relaxed) != SPLIT {
            self.holder.store(NOBODY, Ordering::Relaxed);
        }
    }

    /// Whether a [`wake`](Self::wake) reaches this waker: it was registered in this poll. If it has
    /// been replaced or taken meanwhile, it was woken.
    pub(crate) fn reaches(&self, waker: &Waker) -> bool {
        self.holder.load(Ordering::Relaxed) == mark(waker)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Waker>> {
        self.waker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells wakers apart as `will_wake` does, by their data and their functions.
fn mark(waker: &Waker) -> usize {
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
    fn whoever_registered_in_this_poll_is_reached() {
        let (waiting, (woken, ours), (_, theirs)) = (Waiting::default(), waker(), waker());
        assert!(!waiting.reaches(&ours), "nobody waits");
        waiting.register(&ours);
        assert!(waiting.reaches(&ours) && !waiting.reaches(&theirs));
        waiting.register(&ours);
        assert!(waiting.reaches(&ours), "the same again is nobody else");
        waiting.wake();
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        waiting.forget();
        assert!(!waiting.reaches(&ours), "not since it was woken");
    }

    #[test]
    fn who_is_replaced_is_woken_once_and_nobody_counts_on_it_any_more() {
        let (waiting, (woken, ours), (_, theirs)) = (Waiting::default(), waker(), waker());
        waiting.register(&ours);
        waiting.register(&theirs);
        assert_eq!(
            woken.0.load(Ordering::Relaxed),
            1,
            "it may have counted on it"
        );
        assert!(
            !waiting.reaches(&theirs),
            "which is who reads, and not the task"
        );
        waiting.register(&ours);
        waiting.register(&theirs);
        assert_eq!(woken.0.load(Ordering::Relaxed), 1, "it knows already");
        waiting.forget();
        waiting.register(&ours);
        assert!(!waiting.reaches(&ours));
    }
}
