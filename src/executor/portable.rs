//! The executor where there is no reactor of ours: async-executor, over async-io.

use std::future::Future;
use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use async_task::Task;
use smol::channel::{self, Receiver, Sender};

use super::entered::{Entered, Id};

type Tasks = async_executor::Executor<'static>;

/// The tasks, and the threads that run them.
#[derive(Debug)]
pub(super) struct Pool {
    id: Id,
    tasks: Arc<Tasks>,
    /// Dropped first, which the workers wait for.
    running: Option<Sender<()>>,
    workers: Vec<JoinHandle<()>>,
}

impl Pool {
    pub(super) fn new(threads: NonZeroUsize) -> io::Result<Self> {
        let threads = threads.get();
        let (running, stopped) = channel::bounded::<()>(1);
        let mut pool = Self {
            id: Id::new(),
            tasks: Arc::default(),
            running: Some(running),
            workers: Vec::new(),
        };
        if threads > 1 {
            for n in 1..=threads {
                pool.workers
                    .push(worker(n, pool.id, pool.tasks.clone(), stopped.clone())?);
            }
        }
        Ok(pool)
    }

    pub(super) fn id(&self) -> Id {
        self.id
    }

    pub(super) fn spawn<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Task<T> {
        self.tasks.spawn(future)
    }

    pub(super) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        if self.workers.is_empty() {
            smol::block_on(self.tasks.run(future))
        } else {
            smol::block_on(future)
        }
    }
}

fn worker(
    n: usize,
    id: Id,
    tasks: Arc<Tasks>,
    stopped: Receiver<()>,
) -> io::Result<JoinHandle<()>> {
    thread::Builder::new()
        .name(format!("halves-{n}"))
        .spawn(move || {
            let _entered = Entered::enter(id);
            let _ = smol::block_on(tasks.run(stopped.recv()));
        })
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.running = None;
        for worker in self.workers.drain(..) {
            // The last handle may have been dropped by a task of ours, on a worker.
            if worker.thread().id() != thread::current().id() {
                let _ = worker.join();
            }
        }
    }
}
