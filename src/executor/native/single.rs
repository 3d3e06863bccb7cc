//! The scheduler of an executor without worker threads: its queue, its inbox and its reactor.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::io;
use std::mem;
use std::sync::{Arc, Mutex};

use async_task::{Runnable, Task};

use super::tasks::{self, Scheduler, SchedulerGuard, TaskList};
use crate::reactor::{Driver, Reactor, lock};

/// Schedules tasks on the one thread that drives it. A wake on that thread takes no lock. A wake on
/// another thread goes through the inbox and notifies the reactor.
pub(super) struct SingleThread {
    pub(super) reactor: Arc<Reactor>,
    /// Tasks that were woken on other threads. `None` once the scheduler is closed.
    inbox: Mutex<Option<Vec<Runnable>>>,
    tasks: TaskList,
}

/// Marks this thread, while it lives, as the one that runs the tasks of a scheduler.
pub(super) struct TaskRunner<'a> {
    scheduler: &'a SingleThread,
    /// The thread's queue before this runner began, if one scheduler is driven within another.
    outer: VecDeque<Runnable>,
    guard: Option<SchedulerGuard>,
}

thread_local! {
    /// The runnable tasks of this thread's scheduler.
    static QUEUE: RefCell<VecDeque<Runnable>> = const { RefCell::new(VecDeque::new()) };
}

impl SingleThread {
    pub(super) fn new() -> io::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            reactor: Reactor::new()?,
            inbox: Mutex::new(Some(Vec::new())),
            tasks: TaskList::default(),
        }))
    }

    pub(super) fn spawn<T: Send + 'static>(
        self: &Arc<Self>,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Task<T> {
        tasks::spawn(self, future)
    }

    /// Returns true if this thread runs the tasks.
    fn is_current(&self) -> bool {
        SchedulerGuard::worker_of(self).is_some()
    }

    /// Queues a task that was woken on another thread.
    #[cold]
    fn hand_over(&self, runnable: Runnable) {
        let mut inbox = lock(&self.inbox);
        let Some(woken) = &mut *inbox else {
            // The scheduler is closed: the drop of the runnable drops the future.
            drop(inbox);
            return drop(runnable);
        };
        woken.push(runnable);
        drop(inbox);
        self.reactor.notify();
    }

    /// Drops every task, and abandons the reactor. No thread may drive the scheduler now or later.
    pub(super) fn close(&self) {
        // A woken task goes to the inbox, and is dropped from there without a run. The drop of a
        // task may wake or start another.
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

impl Scheduler for SingleThread {
    fn tasks(&self) -> &TaskList {
        &self.tasks
    }

    fn schedule(&self, runnable: Runnable) {
        // A thread that ends has no queue any more.
        if self.is_current() {
            QUEUE.with_borrow_mut(|queue| queue.push_back(runnable));
        } else {
            self.hand_over(runnable);
        }
    }
}

impl<'a> TaskRunner<'a> {
    pub(super) fn begin(scheduler: &'a SingleThread) -> Self {
        Self {
            scheduler,
            outer: QUEUE.take(),
            guard: Some(SchedulerGuard::enter(scheduler, 0)),
        }
    }

    /// Moves the tasks that were woken on other threads to the queue.
    pub(super) fn collect(&self) {
        let woken = lock(&self.scheduler.inbox).as_mut().map(mem::take);
        QUEUE.with_borrow_mut(|queue| queue.extend(woken.into_iter().flatten()));
    }

    /// Runs the tasks that are queued now. A task that wakes itself is queued behind them. If every
    /// task in the queue afterwards has woken itself, returns their number; otherwise, or if the
    /// queue is empty, returns `None`.
    ///
    /// # Panics
    ///
    /// After a task that has forked, in the child: the other tasks are the parent's.
    #[allow(clippy::unused_self, reason = "the runner owns the thread's queue")]
    pub(super) fn run(&self, driver: &Driver) -> Option<usize> {
        let mut self_woken = 0;
        for _ in 0..QUEUE.with_borrow(VecDeque::len) {
            let Some(runnable) = QUEUE.with_borrow_mut(VecDeque::pop_front) else {
                break;
            };
            self_woken += usize::from(runnable.run());
            driver.end_task();
        }
        let queued = QUEUE.with_borrow(VecDeque::len);
        (queued == self_woken && queued > 0).then_some(queued)
    }

    /// Returns true if no task is queued.
    #[allow(clippy::unused_self, reason = "the runner owns the thread's queue")]
    pub(super) fn is_idle(&self) -> bool {
        QUEUE.with_borrow(VecDeque::is_empty)
    }
}

impl Drop for TaskRunner<'_> {
    fn drop(&mut self) {
        self.guard = None;
        let left = QUEUE.replace(mem::take(&mut self.outer));
        // Without a current scheduler they go to the inbox, for the next driver.
        left.into_iter().for_each(Runnable::schedule);
    }
}

impl fmt::Debug for SingleThread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SingleThread").finish_non_exhaustive()
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
    fn a_socket_does_not_keep_the_reactor_of_a_closed_scheduler() {
        let (ours, _peer) = UnixStream::pair().expect("a pair");
        ours.set_nonblocking(true).expect("set");
        let socket = Socket::new(ours.into());
        let scheduler = SingleThread::new().expect("a reactor");
        let reactor = Arc::downgrade(&scheduler.reactor);
        let read = future::poll_once(future::poll_fn(|cx| socket.poll_read(cx, &mut [0])));
        let polled = drive(&scheduler, pin!(read)).expect("driven");
        assert!(polled.is_none(), "the read waits");
        scheduler.close();
        drop(scheduler);
        assert!(
            reactor.upgrade().is_none(),
            "the reactor still holds its descriptors"
        );
        drop(socket);
    }
}
