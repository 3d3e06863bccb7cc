//! The tasks of an executor, each of which is dropped with it.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use async_task::{Builder, Runnable, Task};
use pin_project_lite::pin_project;
use slab::Slab;

use crate::polling::poll_task;
use crate::reactor::lock;

/// Every task that is not done, by its waker.
#[derive(Debug, Default)]
pub(super) struct Tasks(Mutex<Slab<Waker>>);

/// The owner of tasks: decides which thread runs one that is woken.
pub(super) trait Scheduler: Send + Sync + 'static {
    fn tasks(&self) -> &Tasks;

    /// Queues a task that is runnable. A scheduler that is closed drops it.
    fn schedule(&self, runnable: Runnable);
}

/// Starts a task. It holds its scheduler until it is done or dropped.
pub(super) fn spawn<S: Scheduler, T: Send + 'static>(
    scheduler: &Arc<S>,
    future: impl Future<Output = T> + Send + 'static,
) -> Task<T> {
    let mut tasks = lock(&scheduler.tasks().0);
    let entry = tasks.vacant_entry();
    let future = Tracked {
        future,
        place: Place {
            scheduler: scheduler.clone(),
            key: entry.key(),
        },
    };
    let schedules = scheduler.clone();
    let (runnable, task) = Builder::new()
        .propagate_panic(true)
        .spawn(|()| future, move |runnable| schedules.schedule(runnable));
    entry.insert(runnable.waker());
    drop(tasks);
    runnable.schedule();
    task
}

impl Tasks {
    /// Wakes every task and empties the list. Returns whether there were any.
    pub(super) fn wake_all(&self) -> bool {
        let wakers: Vec<_> = lock(&self.0).drain().collect();
        let any = !wakers.is_empty();
        wakers.into_iter().for_each(Waker::wake);
        any
    }
}

pin_project! {
    /// A task's future, and its place in the list.
    struct Tracked<F, S: Scheduler> {
        #[pin]
        future: F,
        // Last: the place is given back when the future is gone.
        place: Place<S>,
    }
}

impl<F: Future, S: Scheduler> Future for Tracked<F, S> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let future = self.project().future;
        poll_task(cx.waker(), || future.poll(cx))
    }
}

struct Place<S: Scheduler> {
    scheduler: Arc<S>,
    key: usize,
}

impl<S: Scheduler> Drop for Place<S> {
    fn drop(&mut self) {
        // The list is empty once the scheduler is closed.
        let waker = lock(&self.scheduler.tasks().0).try_remove(self.key);
        drop(waker);
    }
}
