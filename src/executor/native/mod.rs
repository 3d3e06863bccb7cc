//! The executor on Linux: each thread drives a reactor of its own, and runs its own tasks.

mod cpu;
mod drive;
mod rounds;
mod spin;
mod worker;

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use async_task::Task;
use event_listener::Event;
use futures_lite::future;
use smol::channel::{self, Receiver, Sender};

use super::ExecutorBuilder;
use super::entered::{Entered, Id};
use drive::drive;
use worker::{Manner, Worker};

/// The workers, and the threads that drive them.
#[derive(Debug)]
pub(super) struct Pool {
    id: Id,
    /// Driven by whoever is in `block_on`. Its tasks are all, where there are no threads.
    front: Arc<Worker>,
    /// Its driver has left, and another may follow.
    left: Event,
    crew: Arc<Crew>,
    /// Dropped first, which the threads wait for.
    running: Option<Sender<()>>,
    threads: Vec<JoinHandle<()>>,
}

impl Pool {
    pub(super) fn new(settings: &ExecutorBuilder) -> io::Result<Self> {
        let threads = settings.threads.get();
        let cpus = if settings.pin {
            cpu::spare(threads)?
        } else {
            Vec::new()
        };
        let manner = |n: usize| Manner {
            spin: settings.spin,
            cpu: cpus.get(n).copied(),
        };
        let front = match threads {
            1 => manner(0),
            _ => Manner::default(),
        };
        let workers = match threads {
            1 => Vec::new(),
            _ => Worker::crew((0..threads).map(manner))?,
        };
        let (running, stopped) = channel::bounded::<()>(1);
        let mut pool = Self {
            id: Id::new(),
            front: Worker::new(front)?,
            left: Event::new(),
            crew: Arc::new(Crew(workers)),
            running: Some(running),
            threads: Vec::new(),
        };
        for n in 0..pool.crew.0.len() {
            let thread = start(n, pool.id, pool.crew.clone(), stopped.clone())?;
            pool.threads.push(thread);
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
        // This thread, where others are no better off: it need not be woken. The task that spawns
        // is not counted, as it may do nothing else.
        let load = |worker: &&Arc<Worker>| {
            let here = worker.is_current();
            (worker.load().saturating_sub(here.into()), !here)
        };
        let least = self.crew.0.iter().min_by_key(load);
        least.unwrap_or(&self.front).spawn(future)
    }

    pub(super) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        loop {
            let left = self.left.listen();
            let leaving = Leaving(&self.left);
            if let Some(result) = drive(&self.front, &[], future.as_mut()) {
                return result;
            }
            // We have not been there.
            std::mem::forget(leaving);
            // Another thread drives the front, with its tasks; here there is only the future,
            // unless that thread leaves and the tasks need a new driver.
            let alone = Worker::new(Manner::default());
            let alone = Closing(alone.expect("the system gives us an epoll instance"));
            let done = async { Some(future.as_mut().await) };
            let turn = async {
                left.await;
                None
            };
            if let Some(Some(result)) = drive(&alone.0, &[], pin!(future::or(done, turn))) {
                return result;
            }
        }
    }
}

/// Workers whose threads help each other. The last of these to end drops the tasks of all: until
/// then it may run some of another's.
#[derive(Debug, Default)]
struct Crew(Vec<Arc<Worker>>);

impl Drop for Crew {
    fn drop(&mut self) {
        self.0.iter().for_each(|worker| worker.close());
    }
}

/// A worker for one loop, also where that panics.
struct Closing(Arc<Worker>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Tells another thread that its turn has come to drive the front, also after a panic.
struct Leaving<'a>(&'a Event);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.notify(1);
    }
}

fn start(n: usize, id: Id, crew: Arc<Crew>, stopped: Receiver<()>) -> io::Result<JoinHandle<()>> {
    thread::Builder::new()
        .name(format!("halves-{}", n + 1))
        .spawn(move || {
            let _entered = Entered::enter(id);
            let _ = drive(&crew.0[n], &crew.0, pin!(stopped.recv()));
        })
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.running = None;
        self.crew = Arc::default();
        for thread in self.threads.drain(..) {
            // The last handle may have been dropped by a task of ours, on such a thread.
            if thread.thread().id() != thread::current().id() {
                let _ = thread.join();
            }
        }
        self.front.close();
    }
}
