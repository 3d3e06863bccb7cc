//! The scheduler: a seed chooses the task that runs next.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Wake, Waker};

use fastrand::Rng;
use slab::Slab;

use super::plan::below;
use crate::catch::catch_panic;

/// The identity of the test itself, which is not among the tasks.
pub(super) const MAIN: TaskId = TaskId {
    number: 0,
    slot: usize::MAX,
};
/// The most times that the drop of all tasks may leave new ones.
const MAX_CLEARS: usize = 100;

/// A task of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TaskId {
    /// Tasks are numbered in the order of their spawns, from 1.
    pub(super) number: u64,
    /// The place in the list of tasks. A later task may have the place of one that has ended.
    slot: usize,
}

/// A task of a simulation.
type LocalTask = Pin<Box<dyn Future<Output = ()>>>;

/// The tasks of one run.
pub(super) struct Scheduler {
    tasks: RefCell<Slab<Slot>>,
    main: Arc<TaskWaker>,
    ready: Arc<Ready>,
    rng: RefCell<Rng>,
    spawned: Cell<u64>,
}

struct Slot {
    number: u64,
    /// None while the task is polled.
    task: Option<Task>,
}

struct Task {
    future: LocalTask,
    waker: Waker,
    state: Arc<TaskWaker>,
}

/// The tasks that are ready. Another thread may wake one.
#[derive(Default)]
struct Ready(Mutex<Vec<TaskId>>);

/// Puts its task among those that are ready.
struct TaskWaker {
    id: TaskId,
    /// True also once the task has ended.
    is_ready: AtomicBool,
    ready: Arc<Ready>,
}

impl Scheduler {
    pub(super) fn new(seed: u64) -> Self {
        let ready = Arc::default();
        Self {
            tasks: RefCell::default(),
            main: TaskWaker::ready(MAIN, &ready),
            ready,
            rng: RefCell::new(Rng::with_seed(seed)),
            spawned: Cell::new(0),
        }
    }

    /// Returns the waker of the test, which is ready from the start.
    pub(super) fn main_waker(&self) -> Waker {
        self.main.clone().into()
    }

    /// Adds a task.
    pub(super) fn spawn(&self, future: impl Future<Output = ()> + 'static) {
        let future = Box::pin(future);
        let number = self.spawned.get() + 1;
        self.spawned.set(number);
        let mut tasks = self.tasks.borrow_mut();
        let entry = tasks.vacant_entry();
        let slot = entry.key();
        let state = TaskWaker::ready(TaskId { number, slot }, &self.ready);
        entry.insert(Slot {
            number,
            task: Some(Task {
                future,
                waker: state.clone().into(),
                state,
            }),
        });
    }

    /// Returns the number of tasks that have not ended.
    pub(super) fn unfinished(&self) -> usize {
        self.tasks.borrow().len()
    }

    /// Takes one of the futures that are ready, at random. None if all wait.
    pub(super) fn next(&self) -> Option<TaskId> {
        let mut ready = self.ready.lock();
        loop {
            let n = match ready.len() {
                0 => return None,
                1 => 0,
                len => below(&mut self.rng.borrow_mut(), len),
            };
            let id = ready.swap_remove(n);
            if id == MAIN {
                self.main.is_ready.store(false, Ordering::Release);
                return Some(id);
            }
            // A task that was woken in its last poll has ended. Its slot may have another task.
            let tasks = self.tasks.borrow();
            if tasks
                .get(id.slot)
                .is_some_and(|slot| slot.number == id.number)
            {
                return Some(id);
            }
        }
    }

    /// Polls a task that [`next`](Self::next) has returned.
    pub(super) fn poll(&self, id: TaskId) {
        let task = self.tasks.borrow_mut()[id.slot].task.take();
        let Some(mut task) = task else { return };
        task.state.is_ready.store(false, Ordering::Release);
        let mut cx = Context::from_waker(&task.waker);
        if task.future.as_mut().poll(&mut cx).is_pending() {
            self.tasks.borrow_mut()[id.slot].task = Some(task);
            return;
        }
        // Later wakes have no effect.
        task.state.is_ready.store(true, Ordering::Release);
        self.tasks.borrow_mut().remove(id.slot);
    }

    /// Drops all tasks. A drop may wake and spawn others, which are dropped, too.
    ///
    /// # Errors
    ///
    /// The first panic of a drop, or if there are always new tasks.
    pub(super) fn clear(&self) -> io::Result<()> {
        let mut result = Ok(());
        for _ in 0..MAX_CLEARS {
            let tasks = std::mem::take(&mut *self.tasks.borrow_mut());
            if tasks.is_empty() {
                return result;
            }
            for (_, slot) in tasks {
                result = result.and(catch_panic(|| drop(slot)));
            }
        }
        result.and(Err(io::Error::other(
            "the drop of a task spawns another one, again and again",
        )))
    }
}

impl Ready {
    fn lock(&self) -> MutexGuard<'_, Vec<TaskId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TaskWaker {
    /// Makes the waker of a future that is ready.
    fn ready(id: TaskId, ready: &Arc<Ready>) -> Arc<Self> {
        let waker = Arc::new(Self {
            id,
            is_ready: AtomicBool::new(false),
            ready: ready.clone(),
        });
        waker.wake_by_ref();
        waker
    }
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_ready.swap(true, Ordering::AcqRel) {
            self.ready.lock().push(self.id);
        }
    }
}
