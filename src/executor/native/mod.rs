//! The executor on Linux: one thread that drives a reactor, or several threads that share one.

mod drive;
mod group;
mod single;
mod tasks;

use std::future::Future;
use std::io;
use std::mem;
use std::num::NonZeroUsize;
use std::pin::pin;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use async_task::Task;
use event_listener::Event;
use futures_lite::future;

use super::{EnterGuard, ExecutorId};
use drive::drive;
use group::{GroupGuard, WorkerGroup};
use single::SingleThread;

/// The tasks of an executor, and the threads that run them.
#[derive(Debug)]
pub(super) struct Backend {
    id: ExecutorId,
    /// Driven by a thread that is in `block_on`. Runs all tasks, if there are no worker threads.
    single: Arc<SingleThread>,
    /// Notified when the driver of `single` leaves: another thread may drive it.
    driver_left: Event,
    threads: Option<WorkerThreads>,
}

/// The worker threads of an executor.
#[derive(Debug)]
struct WorkerThreads {
    group: Arc<WorkerGroup>,
    /// Dropped before the threads are joined: the drop of the last guard drops the tasks.
    guard: Option<Arc<GroupGuard>>,
    handles: Vec<JoinHandle<()>>,
}

impl Backend {
    pub(super) fn new(threads: NonZeroUsize) -> io::Result<Self> {
        let id = ExecutorId::new();
        let single = SingleThread::new()?;
        let threads = match threads.get() {
            1 => None,
            threads => Some(WorkerThreads::start(threads, id)?),
        };
        Ok(Self {
            id,
            single,
            driver_left: Event::new(),
            threads,
        })
    }

    pub(super) fn id(&self) -> ExecutorId {
        self.id
    }

    pub(super) fn spawn<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Task<T> {
        match &self.threads {
            Some(threads) => threads.group.spawn(future),
            None => self.single.spawn(future),
        }
    }

    pub(super) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        loop {
            let left = self.driver_left.listen();
            let notify = NotifyOnDrop(&self.driver_left);
            if let Some(result) = drive(&self.single, future.as_mut()) {
                return result;
            }
            // This thread has not driven it.
            mem::forget(notify);
            // Another thread drives `single` and its tasks. This thread polls only the future,
            // until that thread leaves and the tasks need a new driver.
            let own = SingleThread::new();
            let own = CloseOnDrop(own.expect("an epoll instance for `block_on`"));
            let done = async { Some(future.as_mut().await) };
            let vacated = async {
                left.await;
                None
            };
            if let Some(Some(result)) = drive(&own.0, pin!(future::or(done, vacated))) {
                return result;
            }
        }
    }
}

/// Closes the scheduler of one loop, also after a panic.
struct CloseOnDrop(Arc<SingleThread>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Notifies a thread that waits to drive `single`, also after a panic.
struct NotifyOnDrop<'a>(&'a Event);

impl Drop for NotifyOnDrop<'_> {
    fn drop(&mut self) {
        self.0.notify(1);
    }
}

impl WorkerThreads {
    fn start(threads: usize, id: ExecutorId) -> io::Result<Self> {
        let group = WorkerGroup::new(threads)?;
        let guard = GroupGuard::new(group.clone());
        let mut this = Self {
            group,
            guard: None,
            handles: Vec::with_capacity(threads),
        };
        for worker in 0..threads {
            // If the system refuses a thread, the drop of `this` ends the ones before it.
            let thread = guard.start(worker, move || EnterGuard::enter(id))?;
            this.handles.push(thread);
        }
        this.guard = Some(guard);
        Ok(this)
    }
}

impl Drop for WorkerThreads {
    fn drop(&mut self) {
        if self.group.is_of_parent() {
            // The child of a fork has none of its parent's threads.
            mem::forget(mem::take(&mut self.handles));
        } else {
            self.group.stop();
        }
        self.guard = None;
        for thread in self.handles.drain(..) {
            // A task of this executor may drop the last handle, on a worker's thread.
            if thread.thread().id() != thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.threads = None;
        self.single.close();
    }
}
