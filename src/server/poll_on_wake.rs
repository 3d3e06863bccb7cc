//! `PollOnWake`: polls a future only after its own waker was called.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use pin_project_lite::pin_project;

use crate::polling::poll_for_task;

pin_project! {
    /// Polls the inner future only after its own waker was called, or when another task polls.
    ///
    /// An executor polls the future that drives it, as in `ex.run(serve(&ex, …))`, at every wake of
    /// any task. Without this type, each of these polls would be a system call of the accept loop
    /// that finds nothing.
    pub(super) struct PollOnWake<F> {
        #[pin]
        future: F,
        flag: Arc<WakeFlag>,
        waker: Waker,
        // A copy of `flag.outer`, to compare without its lock.
        outer: Option<Waker>,
    }
}

/// Set when the inner future is woken.
struct WakeFlag {
    woken: AtomicBool,
    /// The waker of the task that polls.
    outer: Mutex<Option<Waker>>,
}

impl<F> PollOnWake<F> {
    pub(super) fn new(future: F) -> Self {
        let flag = Arc::new(WakeFlag {
            woken: AtomicBool::new(true),
            outer: Mutex::new(None),
        });
        Self {
            future,
            waker: flag.clone().into(),
            flag,
            outer: None,
        }
    }
}

impl<F: Future> Future for PollOnWake<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let outer = cx.waker();
        if !this.outer.as_ref().is_some_and(|old| old.will_wake(outer)) {
            *this.flag.outer() = Some(outer.clone());
            *this.outer = Some(outer.clone());
            // Another task polls: the sources that the future waits for move to its reactor.
            this.flag.woken.store(true, Ordering::Release);
        }
        // Checked after the store above: a wake of the old waker is seen here.
        if !this.flag.woken.swap(false, Ordering::AcqRel) {
            return Poll::Pending;
        }
        let waker = &*this.waker;
        let future = this.future;
        poll_for_task(outer, waker, || {
            future.poll(&mut Context::from_waker(waker))
        })
    }
}

impl WakeFlag {
    fn outer(&self) -> MutexGuard<'_, Option<Waker>> {
        self.outer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for WakeFlag {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.woken.swap(true, Ordering::AcqRel) {
            // Cloned, because a waker may run foreign code, which may wake this flag.
            let outer = self.outer().clone();
            outer.into_iter().for_each(Waker::wake);
        }
    }
}
