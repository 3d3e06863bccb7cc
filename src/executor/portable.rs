//! The executor on systems without the epoll reactor: async-executor, over async-io.

use std::future::Future;
use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use async_task::Task;
use smol::channel::{self, Receiver, Sender};

use super::{EnterGuard, ExecutorId};

type AsyncExecutor = async_executor::Executor<'static>;

/// The tasks of an executor, and the threads that run them.
#[derive(Debug)]
pub(super) struct Backend {
    id: ExecutorId,
    tasks: Arc<AsyncExecutor>,
    /// Its drop ends the workers.
    running: Option<Sender<()>>,
    workers: Vec<JoinHandle<()>>,
}

impl Backend {
    pub(super) fn new(threads: NonZeroUsize) -> io::Result<Self> {
        let threads = threads.get();
        let (running, stopped) = channel::bounded::<()>(1);
        let mut this = Self {
            id: ExecutorId::new(),
            tasks: Arc::default(),
            running: Some(running),
            workers: Vec::new(),
        };
        if threads > 1 {
            for n in 1..=threads {
                let worker = start_worker(n, this.id, this.tasks.clone(), stopped.clone())?;
                this.workers.push(worker);
            }
        }
        Ok(this)
    }

    pub(super) fn id(&self) -> ExecutorId {
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

fn start_worker(
    n: usize,
    id: ExecutorId,
    tasks: Arc<AsyncExecutor>,
    stopped: Receiver<()>,
) -> io::Result<JoinHandle<()>> {
    thread::Builder::new()
        .name(format!("halves-{n}"))
        .spawn(move || {
            let _guard = EnterGuard::enter(id);
            let _ = smol::block_on(tasks.run(stopped.recv()));
        })
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.running = None;
        for worker in self.workers.drain(..) {
            // A task of this executor may drop the last handle, on a worker's thread.
            if worker.thread().id() != thread::current().id() {
                let _ = worker.join();
            }
        }
    }
}
