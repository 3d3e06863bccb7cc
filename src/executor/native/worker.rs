//! The tasks of one thread, and its reactor.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::io;
use std::mem;
use std::sync::{Arc, Mutex};

use async_task::{Runnable, Task};

use super::here::Here;
use super::tasks::{self, Scheduler, Tasks};
use crate::reactor::{Reactor, lock};

/// Tasks that stay on one thread. Wakes from that thread touch no lock; wakes from others go through
/// the inbox, and ring the reactor's bell.
pub(super) struct Worker {
    pub(super) reactor: Arc<Reactor>,
    /// Tasks that were woken elsewhere; none once the worker is closed.
    inbox: Mutex<Option<Vec<Runnable>>>,
    tasks: Tasks,
}

/// While it lives, this thread runs a worker's tasks.
pub(super) struct Turn<'a> {
    worker: &'a Worker,
    /// The queue that the thread had before, where one worker is driven within another.
    outer: VecDeque<Runnable>,
    here: Option<Here>,
}

thread_local! {
    static QUEUE: RefCell<VecDeque<Runnable>> = const { RefCell::new(VecDeque::new()) };
}

impl Worker {
    pub(super) fn new() -> io::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            reactor: Reactor::new()?,
            inbox: Mutex::new(Some(Vec::new())),
            tasks: Tasks::default(),
        }))
    }

    pub(super) fn spawn<T: Send + 'static>(
        self: &Arc<Self>,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Task<T> {
        tasks::spawn(self, future)
    }

    /// Whether this thread runs its tasks.
    fn is_current(&self) -> bool {
        Here::worker_of(self).is_some()
    }

    /// Queues a task that was woken on another thread.
    #[cold]
    fn hand_over(&self, runnable: Runnable) {
        let mut inbox = lock(&self.inbox);
        let Some(woken) = &mut *inbox else {
            // No thread will run it: it is dropped, and its future with it.
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
            self.tasks.wake_all();
            let woken = lock(&self.inbox).as_mut().map(mem::take);
            if woken.is_none_or(|woken| woken.is_empty()) {
                break;
            }
        }
        drop(lock(&self.inbox).take());
        self.reactor.abandon();
    }
}

impl Scheduler for Worker {
    fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    fn schedule(&self, runnable: Runnable) {
        // While the thread ends there is no queue any more.
        if self.is_current() {
            QUEUE.with_borrow_mut(|queue| queue.push_back(runnable));
        } else {
            self.hand_over(runnable);
        }
    }
}

impl<'a> Turn<'a> {
    pub(super) fn begin(worker: &'a Worker) -> Self {
        Self {
            worker,
            outer: QUEUE.take(),
            here: Some(Here::enter(worker, 0)),
        }
    }

    /// Takes over the tasks that were woken elsewhere.
    pub(super) fn collect(&self) {
        let woken = lock(&self.worker.inbox).as_mut().map(mem::take);
        QUEUE.with_borrow_mut(|queue| queue.extend(woken.into_iter().flatten()));
    }

    /// Runs the tasks that are queued now: one that wakes itself has its next turn after them. Says
    /// how many do so, if no other task was woken meanwhile.
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
        self.here = None;
        let left = QUEUE.replace(mem::take(&mut self.outer));
        // They wait for the next driver.
        left.into_iter().for_each(Runnable::schedule);
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").finish_non_exhaustive()
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
        let worker = Worker::new().expect("a reactor");
        let reactor = Arc::downgrade(&worker.reactor);
        let read = future::poll_once(future::poll_fn(|cx| socket.poll_read(cx, &mut [0])));
        let polled = drive(&worker, pin!(read)).expect("driven");
        assert!(polled.is_none(), "it waits there");
        worker.close();
        drop(worker);
        assert!(reactor.upgrade().is_none(), "with its three descriptors");
        drop(socket);
    }
}
