//! The list of the tasks of an executor, and the scheduler that this thread runs.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::ptr;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use async_task::{Builder, Runnable, Task};
use pin_project_lite::pin_project;
use slab::Slab;

use crate::polling::poll_task;
use crate::reactor::lock;

/// The wakers of all tasks that are not done. When the executor ends, they are used to drop the
/// tasks.
#[derive(Debug, Default)]
pub(super) struct TaskList(Mutex<Slab<Waker>>);

/// The owner of tasks. Decides which thread runs a task that is woken.
pub(super) trait Scheduler: Send + Sync + 'static {
    fn tasks(&self) -> &TaskList;

    /// Queues a runnable task. A closed scheduler drops it.
    fn schedule(&self, runnable: Runnable);
}

/// Starts a task. The task holds its scheduler until it is done or dropped.
pub(super) fn spawn<S: Scheduler, T: Send + 'static>(
    scheduler: &Arc<S>,
    future: impl Future<Output = T> + Send + 'static,
) -> Task<T> {
    let mut tasks = lock(&scheduler.tasks().0);
    let vacant = tasks.vacant_entry();
    let future = ListedFuture {
        future,
        entry: TaskEntry {
            scheduler: scheduler.clone(),
            key: vacant.key(),
        },
    };
    let handle = scheduler.clone();
    let (runnable, task) = Builder::new()
        .propagate_panic(true)
        .spawn(|()| future, move |runnable| handle.schedule(runnable));
    vacant.insert(runnable.waker());
    drop(tasks);
    runnable.schedule();
    task
}

impl TaskList {
    /// Wakes every task and empties the list. Returns false if it was empty.
    pub(super) fn wake_all(&self) -> bool {
        let wakers: Vec<_> = lock(&self.0).drain().collect();
        let any = !wakers.is_empty();
        wakers.into_iter().for_each(Waker::wake);
        any
    }
}

pin_project! {
    /// The future of a task, with its entry in the list.
    struct ListedFuture<F, S: Scheduler> {
        #[pin]
        future: F,
        // Declared last: the entry is removed after the drop of the future.
        entry: TaskEntry<S>,
    }
}

impl<F: Future, S: Scheduler> Future for ListedFuture<F, S> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let future = self.project().future;
        poll_task(cx.waker(), || future.poll(cx))
    }
}

/// The entry of a task in its scheduler's list. Removed from the list on drop.
struct TaskEntry<S: Scheduler> {
    scheduler: Arc<S>,
    key: usize,
}

impl<S: Scheduler> Drop for TaskEntry<S> {
    fn drop(&mut self) {
        // A closed scheduler has an empty list.
        let waker = lock(&self.scheduler.tasks().0).try_remove(self.key);
        drop(waker);
    }
}

thread_local! {
    /// The address of the scheduler that this thread runs, only compared and never dereferenced,
    /// and the index of its worker.
    static CURRENT_SCHEDULER: Cell<(*const (), usize)> = const { Cell::new((ptr::null(), 0)) };
}

/// Marks this thread, while it lives, as one that runs the tasks of a scheduler. The drop restores
/// the one before.
pub(super) struct SchedulerGuard((*const (), usize));

impl SchedulerGuard {
    pub(super) fn enter<S>(scheduler: &S, worker: usize) -> Self {
        Self(CURRENT_SCHEDULER.replace(((&raw const *scheduler).cast(), worker)))
    }

    /// The index of this thread's worker, if the thread runs the tasks of this scheduler.
    pub(super) fn worker_of<S>(scheduler: &S) -> Option<usize> {
        let (current, worker) = CURRENT_SCHEDULER.get();
        ptr::eq(current, (&raw const *scheduler).cast()).then_some(worker)
    }
}

impl Drop for SchedulerGuard {
    fn drop(&mut self) {
        CURRENT_SCHEDULER.set(self.0);
    }
}
