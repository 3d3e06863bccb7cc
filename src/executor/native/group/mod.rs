//! Several threads that share one reactor and their tasks.
//!
//! A task that is woken on a worker goes to that worker's queue, and one that is woken elsewhere to
//! the injector. A worker without tasks takes from the injector and from the queues of others, polls
//! the reactor once, and parks. The last one awake listens to the reactor instead.

mod idle;
mod pace;
mod queue;
mod watch;
mod worker;
mod yielding;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use std::thread::{self, JoinHandle};

use async_task::{Runnable, Task};

use super::here::Here;
use super::tasks::{self, Scheduler, Tasks};
use crate::reactor::{Reactor, Written};
use idle::Idle;
use queue::Queue;

/// The workers, their tasks, and the reactor that they share.
pub(super) struct Group {
    reactor: Arc<Reactor>,
    workers: Box<[Worker]>,
    /// Tasks that were woken on other threads than the workers'.
    injector: Queue<Runnable>,
    idle: Idle,
    tasks: Tasks,
    stopping: AtomicBool,
    /// No task is queued any more: a task that is woken is dropped.
    closed: AtomicBool,
}

/// The part of one worker that others see.
#[derive(Debug)]
struct Worker {
    queue: Queue<Runnable>,
    /// Tasks that it has begun and ended, so that it is odd while a task runs. Written by the worker
    /// only.
    steps: AtomicUsize,
    /// Sockets with small writes that leave at the end of the worker's turn.
    written: Written,
}

/// Ends the tasks of a group when the last of its threads, and its executor, are gone.
#[derive(Debug)]
pub(super) struct Life(Arc<Group>);

impl Group {
    /// A group without threads yet.
    pub(super) fn new(workers: usize) -> io::Result<Arc<Self>> {
        let worker = || Worker {
            queue: Queue::new(),
            steps: AtomicUsize::new(0),
            written: Written::default(),
        };
        Ok(Arc::new(Self {
            reactor: Reactor::for_group(workers)?,
            workers: (0..workers).map(|_| worker()).collect(),
            injector: Queue::new(),
            idle: Idle::new(workers),
            tasks: Tasks::default(),
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

    /// Ends the threads: each one when its present task returns.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        self.idle.close();
        self.reactor.notify();
    }

    /// Whether this process is the child of a fork of the one with the threads.
    pub(super) fn is_of_parent(&self) -> bool {
        self.reactor.is_of_parent()
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// Drops every task. No thread runs any, or ever will.
    fn close(&self) {
        // A task that is woken comes here, and is dropped with the queue. Dropping one may wake or
        // start another.
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

    /// A task begins or ends.
    fn step(&self) {
        self.steps
            .store(self.steps().wrapping_add(1), Ordering::Relaxed);
    }
}

impl Scheduler for Group {
    fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    fn schedule(&self, runnable: Runnable) {
        if let Some(worker) = Here::worker_of(self) {
            return self.workers[worker].queue.push(runnable);
        }
        if self.closed.load(Ordering::SeqCst) {
            return drop(runnable);
        }
        self.injector.push(runnable);
        if self.closed.load(Ordering::SeqCst) {
            // It was closed meanwhile, and no thread takes what is queued.
            return drop(self.injector.take_part(1));
        }
        if self.idle.is_listening() {
            self.reactor.notify();
        } else {
            self.idle.call_searcher();
        }
    }
}

impl Life {
    pub(super) fn new(group: Arc<Group>) -> Arc<Self> {
        Arc::new(Self(group))
    }

    /// Starts the thread of a worker, within `enter`.
    pub(super) fn start<G>(
        self: &Arc<Self>,
        worker: usize,
        enter: impl FnOnce() -> G + Send + 'static,
    ) -> io::Result<JoinHandle<()>> {
        let life = self.clone();
        thread::Builder::new()
            .name(format!("halves-{}", worker + 1))
            .spawn(move || {
                let _entered = enter();
                worker::run(&life.0, worker);
            })
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group")
            .field("workers", &self.workers.len())
            .finish_non_exhaustive()
    }
}
