//! The executor on Linux: one thread that drives a reactor, or several that share one.

mod drive;
mod group;
mod here;
mod tasks;
mod worker;

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

use super::entered::{Entered, Id};
use drive::drive;
use group::{Group, Life};
use worker::Worker;

/// The tasks, and the threads that run them.
#[derive(Debug)]
pub(super) struct Pool {
    id: Id,
    /// Driven by the thread that is in `block_on`. Runs all tasks, if there are no threads.
    front: Arc<Worker>,
    /// Its driver has left, and another may follow.
    left: Event,
    threads: Option<Threads>,
}

/// The threads of a group.
#[derive(Debug)]
struct Threads {
    group: Arc<Group>,
    /// Dropped before the threads are awaited: the last of these ends the tasks.
    life: Option<Arc<Life>>,
    handles: Vec<JoinHandle<()>>,
}

impl Pool {
    pub(super) fn new(threads: NonZeroUsize) -> io::Result<Self> {
        let id = Id::new();
        let front = Worker::new()?;
        let threads = match threads.get() {
            1 => None,
            threads => Some(Threads::start(threads, id)?),
        };
        Ok(Self {
            id,
            front,
            left: Event::new(),
            threads,
        })
    }

    pub(super) fn id(&self) -> Id {
        self.id
    }

    pub(super) fn spawn<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Task<T> {
        match &self.threads {
            Some(threads) => threads.group.spawn(future),
            None => self.front.spawn(future),
        }
    }

    pub(super) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        loop {
            let left = self.left.listen();
            let leaving = Leaving(&self.left);
            if let Some(result) = drive(&self.front, future.as_mut()) {
                return result;
            }
            // We have not been there.
            mem::forget(leaving);
            // Another thread drives the front, with its tasks; here there is only the future,
            // unless that thread leaves and the tasks need a new driver.
            let alone = Worker::new();
            let alone = Closing(alone.expect("the system gives us an epoll instance"));
            let done = async { Some(future.as_mut().await) };
            let turn = async {
                left.await;
                None
            };
            if let Some(Some(result)) = drive(&alone.0, pin!(future::or(done, turn))) {
                return result;
            }
        }
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

impl Threads {
    fn start(threads: usize, id: Id) -> io::Result<Self> {
        let group = Group::new(threads)?;
        let life = Life::new(group.clone());
        let mut this = Self {
            group,
            life: None,
            handles: Vec::with_capacity(threads),
        };
        for worker in 0..threads {
            // Where the system refuses one, the drop ends those that were started.
            let thread = life.start(worker, move || Entered::enter(id))?;
            this.handles.push(thread);
        }
        this.life = Some(life);
        Ok(this)
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if self.group.is_of_parent() {
            // In the child of a fork there are no such threads.
            mem::forget(mem::take(&mut self.handles));
        } else {
            self.group.stop();
        }
        self.life = None;
        for thread in self.handles.drain(..) {
            // The last handle may have been dropped by a task of ours, on such a thread.
            if thread.thread().id() != thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.threads = None;
        self.front.close();
    }
}
