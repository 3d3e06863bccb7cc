//! The tasks of one thread, and its reactor.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::io;
use std::mem;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_task::{Builder, Runnable, Task};
use pin_project_lite::pin_project;
use slab::Slab;

use crate::reactor::{Reactor, is_in_batch, lock, poll_task};

/// Tasks that stay on one thread, as long as that gets to them: else another one of its crew runs
/// what becomes ready. Wakes from that thread touch no lock; wakes from others go through the
/// inbox, and ring the reactor's bell.
pub(super) struct Worker {
    pub(super) reactor: Arc<Reactor>,
    pub(super) manner: Manner,
    /// The same for those that help each other; 0 is none.
    crew: usize,
    /// Tasks that were woken elsewhere; none once the worker is closed.
    inbox: Mutex<Option<Vec<Runnable>>>,
    /// Every task that is not done, to be dropped with the worker.
    tasks: Mutex<Slab<Waker>>,
    load: AtomicUsize,
}

/// How a thread drives a worker.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Manner {
    /// How long it stays awake before it sleeps.
    pub(super) spin: Duration,
    /// Where it is pinned to.
    pub(super) cpu: Option<usize>,
}

/// While it lives, this thread runs a worker's tasks.
pub(super) struct Turn<'a> {
    worker: &'a Worker,
    /// The worker and the queue that the thread had before, where one is driven within another.
    outer: (Here, VecDeque<Runnable>),
}

/// What a thread drives.
#[derive(Clone, Copy)]
struct Here {
    /// Compared, and never followed.
    worker: *const Worker,
    crew: usize,
}

thread_local! {
    static HERE: Cell<Here> = const {
        Cell::new(Here {
            worker: std::ptr::null(),
            crew: 0,
        })
    };
    static QUEUE: RefCell<VecDeque<Runnable>> = const { RefCell::new(VecDeque::new()) };
}

impl Worker {
    pub(super) fn new(manner: Manner) -> io::Result<Arc<Self>> {
        Ok(Self::with(manner, Reactor::new()?, 0))
    }

    /// One for each of these, that help each other.
    pub(super) fn crew(manners: impl Iterator<Item = Manner>) -> io::Result<Vec<Arc<Self>>> {
        static CREWS: AtomicUsize = AtomicUsize::new(0);
        let crew = 1 + CREWS.fetch_add(1, Ordering::Relaxed);
        let worker = |manner| Ok(Self::with(manner, Reactor::shared()?, crew));
        manners.map(worker).collect()
    }

    fn with(manner: Manner, reactor: Arc<Reactor>, crew: usize) -> Arc<Self> {
        Arc::new(Self {
            reactor,
            manner,
            crew,
            inbox: Mutex::new(Some(Vec::new())),
            tasks: Mutex::default(),
            load: AtomicUsize::new(0),
        })
    }

    /// How many tasks it has.
    pub(super) fn load(&self) -> usize {
        self.load.load(Ordering::Relaxed)
    }

    pub(super) fn spawn<T: Send + 'static>(
        self: &Arc<Self>,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Task<T> {
        let mut tasks = lock(&self.tasks);
        let entry = tasks.vacant_entry();
        let future = Tracked {
            future,
            place: Place {
                worker: self.clone(),
                key: entry.key(),
            },
        };
        let worker = self.clone();
        let (runnable, task) = Builder::new()
            .propagate_panic(true)
            .spawn(|()| future, move |runnable| worker.schedule(runnable));
        entry.insert(runnable.waker());
        drop(tasks);
        self.load.fetch_add(1, Ordering::Relaxed);
        runnable.schedule();
        task
    }

    /// Whether this thread runs its tasks.
    pub(super) fn is_current(&self) -> bool {
        let here = HERE.try_with(Cell::get);
        here.is_ok_and(|here| std::ptr::eq(here.worker, self))
    }

    /// Whether this thread has just heard of readiness that its tasks wait for, and may run them:
    /// it is of the same crew.
    fn is_helped(&self) -> bool {
        let here = HERE.try_with(Cell::get);
        is_in_batch() && here.is_ok_and(|here| here.crew != 0 && here.crew == self.crew)
    }

    fn schedule(&self, runnable: Runnable) {
        // While the thread ends there is no queue any more.
        if self.is_current() || self.is_helped() {
            return QUEUE.with_borrow_mut(|queue| queue.push_back(runnable));
        }
        let mut inbox = lock(&self.inbox);
        let Some(woken) = &mut *inbox else {
            // Nobody will run it: it is dropped, and its future with it.
            drop(inbox);
            return drop(runnable);
        };
        woken.push(runnable);
        drop(inbox);
        self.reactor.notify();
    }

    /// Drops every task, and lets the reactor go. For when no thread drives the worker, or ever
    /// will.
    pub(super) fn close(&self) {
        // A task that is woken is handed over, and one that is not run is dropped. Dropping one
        // may wake, or start, another.
        loop {
            let wakers: Vec<_> = lock(&self.tasks).drain().collect();
            wakers.into_iter().for_each(Waker::wake);
            let woken = lock(&self.inbox).as_mut().map(std::mem::take);
            if woken.is_none_or(|woken| woken.is_empty()) {
                break;
            }
        }
        drop(lock(&self.inbox).take());
        self.reactor.abandon();
    }
}

impl<'a> Turn<'a> {
    pub(super) fn begin(worker: &'a Worker) -> Self {
        let here = Here {
            worker,
            crew: worker.crew,
        };
        let outer = (HERE.replace(here), QUEUE.take());
        Self { worker, outer }
    }

    /// Takes over the tasks that were woken elsewhere.
    pub(super) fn collect(&self) {
        let woken = lock(&self.worker.inbox).as_mut().map(std::mem::take);
        QUEUE.with_borrow_mut(|queue| queue.extend(woken.into_iter().flatten()));
    }

    /// Runs the tasks that are queued now: one that wakes itself has its next turn after them. Says
    /// how many do so, if nobody else was woken meanwhile.
    #[allow(clippy::unused_self, reason = "the thread's queue is its")]
    pub(super) fn run(&self) -> Option<usize> {
        let mut restless = 0;
        for _ in 0..QUEUE.with_borrow(VecDeque::len) {
            let Some(runnable) = QUEUE.with_borrow_mut(VecDeque::pop_front) else {
                break;
            };
            restless += usize::from(runnable.run());
        }
        let queued = QUEUE.with_borrow(VecDeque::len);
        (queued == restless && queued > 0).then_some(queued)
    }

    /// Whether no task is queued.
    #[allow(clippy::unused_self, reason = "the thread's queue is its")]
    pub(super) fn is_idle(&self) -> bool {
        QUEUE.with_borrow(VecDeque::is_empty)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        HERE.set(self.outer.0);
        let left = QUEUE.replace(mem::take(&mut self.outer.1));
        // They wait for the next driver.
        left.into_iter().for_each(Runnable::schedule);
    }
}

pin_project! {
    /// A task's future, and its place among the worker's tasks.
    struct Tracked<F> {
        #[pin]
        future: F,
        // Last, so that it is given back when the future is gone.
        place: Place,
    }
}

impl<F: Future> Future for Tracked<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let future = self.project().future;
        poll_task(cx.waker(), || future.poll(cx))
    }
}

struct Place {
    worker: Arc<Worker>,
    key: usize,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.worker.load.fetch_sub(1, Ordering::Relaxed);
        // Not there any more, where the worker is closed.
        let waker = lock(&self.worker.tasks).try_remove(self.key);
        drop(waker);
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("load", &self.load())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::pin::pin;

    use futures_lite::future;

    use super::super::drive::drive;
    use super::*;
    use crate::reactor::Socket;

    #[test]
    fn connections_do_not_keep_the_reactor_of_a_worker_that_is_closed() {
        let (ours, _peer) = UnixStream::pair().expect("a pair");
        ours.set_nonblocking(true).expect("set");
        let socket = Socket::new(ours.into());
        let worker = Worker::new(Manner::default()).expect("a reactor");
        let reactor = Arc::downgrade(&worker.reactor);
        let read = future::poll_once(future::poll_fn(|cx| socket.poll_read(cx, &mut [0])));
        let polled = drive(&worker, &[], pin!(read)).expect("driven");
        assert!(polled.is_none(), "it waits there");
        worker.close();
        drop(worker);
        assert!(reactor.upgrade().is_none(), "with its three descriptors");
        drop(socket);
    }
}
