//! Polls a future only when its own waker was called.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use pin_project_lite::pin_project;

use crate::polling::poll_for_task;

pin_project! {
    /// Keeps an accept loop quiet when it is the future that drives an executor, as in
    /// `ex.run(serve(&ex, …))`: executors poll that one at every wake of anything, and each poll
    /// would cost a system call that learns nothing.
    pub(super) struct Gate<F> {
        #[pin]
        future: F,
        bell: Arc<Bell>,
        waker: Waker,
        // What `bell.outer` holds, to see without its lock whether it has changed.
        outer: Option<Waker>,
    }
}

struct Bell {
    rung: AtomicBool,
    outer: Mutex<Option<Waker>>,
}

impl<F> Gate<F> {
    pub(super) fn new(future: F) -> Self {
        let bell = Arc::new(Bell {
            rung: AtomicBool::new(true),
            outer: Mutex::new(None),
        });
        Self {
            future,
            waker: bell.clone().into(),
            bell,
            outer: None,
        }
    }
}

impl<F: Future> Future for Gate<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let outer = cx.waker();
        if !this.outer.as_ref().is_some_and(|old| old.will_wake(outer)) {
            *this.bell.outer() = Some(outer.clone());
            *this.outer = Some(outer.clone());
            // Another task polls: what the future waits for has to know its reactor.
            this.bell.rung.store(true, Ordering::Release);
        }
        // After that: a ring that woke the old waker is seen here.
        if !this.bell.rung.swap(false, Ordering::AcqRel) {
            return Poll::Pending;
        }
        let waker = &*this.waker;
        let future = this.future;
        poll_for_task(outer, waker, || {
            future.poll(&mut Context::from_waker(waker))
        })
    }
}

impl Bell {
    fn outer(&self) -> MutexGuard<'_, Option<Waker>> {
        self.outer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.rung.swap(true, Ordering::AcqRel) {
            // Cloned, as a waker may run code of others, which may ring.
            let outer = self.outer().clone();
            outer.into_iter().for_each(Waker::wake);
        }
    }
}
