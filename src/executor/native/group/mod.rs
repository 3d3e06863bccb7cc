//! Several worker threads that share their tasks and one reactor.
//!
//! A task that is woken on a worker's thread goes to that worker's queue, and any other task to the
//! injector. A worker without tasks takes some from the injector and from the queues of the others,
//! polls the reactor once, and parks. The last one awake listens to the reactor instead.

mod idle;
mod policy;
mod queue;
mod worker;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use std::thread::{self, JoinHandle};

use async_task::{Runnable, Task};

use super::tasks::{self, Scheduler, SchedulerGuard, TaskList};
use crate::reactor::{Reactor, WrittenSockets};
use idle::IdleWorkers;
use queue::RunQueue;

/// The workers of an executor, their tasks, and the reactor that they share.
pub(super) struct WorkerGroup {
    reactor: Arc<Reactor>,
    workers: Box<[Worker]>,
    /// Tasks that were woken on a thread other than the workers'.
    injector: RunQueue<Runnable>,
    idle: IdleWorkers,
    tasks: TaskList,
    stopping: AtomicBool,
    /// Set once no task may be queued: a woken task is dropped.
    closed: AtomicBool,
}

/// The part of a worker that other threads access.
#[derive(Debug)]
struct Worker {
    queue: RunQueue<Runnable>,
    /// The number of starts and ends of tasks. It is odd while a task runs. Written by the worker
    /// only.
    steps: AtomicUsize,
    /// Sockets with small writes that are sent at the end of the worker's turn.
    written: WrittenSockets,
}

/// Drops the tasks of a group when its executor and its last thread have dropped this guard.
#[derive(Debug)]
pub(super) struct GroupGuard(Arc<WorkerGroup>);

impl WorkerGroup {
    /// Makes a group without threads.
    pub(super) fn new(workers: usize) -> io::Result<Arc<Self>> {
        let worker = || Worker {
            queue: RunQueue::new(),
            steps: AtomicUsize::new(0),
            written: WrittenSockets::default(),
        };
        Ok(Arc::new(Self {
            reactor: Reactor::for_group(workers)?,
            workers: (0..workers).map(|_| worker()).collect(),
            injector: RunQueue::new(),
            idle: IdleWorkers::new(workers),
            tasks: TaskList::default(),
            stopping: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        }))
    }

    pub(super) fn spawn<T: Send + 'static>(
        self: &Arc<Self>,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Task<T> {
        tasks::spawn(self, future)
    }

    /// Stops the threads, each after the poll of its current task.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        self.idle.close();
        self.reactor.notify();
    }

    /// Returns true if this process is a forked child of the process that has the threads.
    pub(super) fn is_of_parent(&self) -> bool {
        self.reactor.is_inherited()
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// Drops every task. No thread may run tasks now or later.
    fn close(&self) {
        // A woken task goes to the injector, and is dropped from there without a run. The drop of a
        // task may wake or start another.
        loop {
            let woken = self.tasks.wake_all();
            let left = self.injector.take_part(1);
            let queued = left.len()
                + self
                    .workers
                    .iter()
                    .map(|worker| worker.queue.len())
                    .sum::<usize>();
            drop(left);
            for worker in &self.workers {
                drop(worker.queue.take_part(1));
            }
            if !woken && queued == 0 {
                break;
            }
        }
        self.closed.store(true, Ordering::SeqCst);
        drop(self.injector.take_part(1));
        self.reactor.abandon();
    }
}

impl Worker {
    fn steps(&self) -> usize {
        self.steps.load(Ordering::Relaxed)
    }

    /// Records the start or the end of a task.
    fn step(&self) {
        self.steps
            .store(self.steps().wrapping_add(1), Ordering::Relaxed);
    }
}

impl Scheduler for WorkerGroup {
    fn tasks(&self) -> &TaskList {
        &self.tasks
    }

    fn schedule(&self, runnable: Runnable) {
        if let Some(worker) = SchedulerGuard::worker_of(self) {
            return self.workers[worker].queue.push(runnable);
        }
        if self.closed.load(Ordering::SeqCst) {
            return drop(runnable);
        }
        self.injector.push(runnable);
        if self.closed.load(Ordering::SeqCst) {
            // The group was closed meanwhile, so no thread takes the task from the queue.
            return drop(self.injector.take_part(1));
        }
        if self.idle.is_listening() {
            self.reactor.notify();
        } else {
            self.idle.wake_searcher();
        }
    }
}

impl GroupGuard {
    pub(super) fn new(group: Arc<WorkerGroup>) -> Arc<Self> {
        Arc::new(Self(group))
    }

    /// Starts the thread of a worker. The thread calls `enter` first, and keeps the value until it
    /// ends.
    pub(super) fn start<T>(
        self: &Arc<Self>,
        worker: usize,
        enter: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<JoinHandle<()>> {
        let guard = self.clone();
        thread::Builder::new()
            .name(format!("halves-{}", worker + 1))
            .spawn(move || {
                let _entered = enter();
                worker::run(&guard.0, worker);
            })
    }
}

impl Drop for GroupGuard {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl fmt::Debug for WorkerGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerGroup")
            .field("workers", &self.workers.len())
            .finish_non_exhaustive()
    }
}
