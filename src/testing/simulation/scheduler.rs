//! The scheduler: a seed chooses the task that runs next.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Wake, Waker};

use fastrand::Rng;

/// The number of the test itself, which is not among the tasks.
const MAIN: usize = usize::MAX;

/// The future that runs next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// The test.
    Main,
    /// The task with this number.
    Task(usize),
}

/// A task of a simulation.
type LocalTask = Pin<Box<dyn Future<Output = ()>>>;

/// The tasks of one run.
pub(super) struct Scheduler {
    /// By number. None for a task that runs or has ended.
    tasks: RefCell<Vec<Slot>>,
    main: Arc<TaskWaker>,
    ready: Arc<Mutex<Vec<usize>>>,
    rng: RefCell<Rng>,
    unfinished: Cell<usize>,
}

struct Slot {
    future: Option<LocalTask>,
    waker: Arc<TaskWaker>,
}

/// Puts its task among those that are ready.
struct TaskWaker {
    number: usize,
    is_ready: AtomicBool,
    ready: Arc<Mutex<Vec<usize>>>,
}

impl Scheduler {
    pub(super) fn new(seed: u64) -> Self {
        let ready = Arc::default();
        Self {
            tasks: RefCell::default(),
            main: TaskWaker::ready(MAIN, &ready),
            ready,
            rng: RefCell::new(Rng::with_seed(seed)),
            unfinished: Cell::new(0),
        }
    }

    /// Returns the waker of the test, which is ready from the start.
    pub(super) fn main_waker(&self) -> Waker {
        self.main.clone().into()
    }

    /// Adds a task.
    pub(super) fn spawn(&self, future: impl Future<Output = ()> + 'static) {
        let mut tasks = self.tasks.borrow_mut();
        let waker = TaskWaker::ready(tasks.len(), &self.ready);
        tasks.push(Slot {
            future: Some(Box::pin(future)),
            waker,
        });
        self.unfinished.set(self.unfinished.get() + 1);
    }

    /// Returns the number of tasks that have not ended.
    pub(super) fn unfinished(&self) -> usize {
        self.unfinished.get()
    }

    /// Takes one of the futures that are ready, at random. None if all wait.
    pub(super) fn next(&self) -> Option<Turn> {
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        let n = match ready.len() {
            0 => return None,
            1 => 0,
            len => self.rng.borrow_mut().usize(..len),
        };
        Some(match ready.swap_remove(n) {
            MAIN => {
                self.main.is_ready.store(false, Ordering::Release);
                Turn::Main
            }
            number => Turn::Task(number),
        })
    }

    /// Polls a task, unless it has ended.
    pub(super) fn poll(&self, number: usize) {
        let (future, waker) = {
            let mut tasks = self.tasks.borrow_mut();
            let slot = &mut tasks[number];
            slot.waker.is_ready.store(false, Ordering::Release);
            (slot.future.take(), slot.waker.clone())
        };
        let Some(mut future) = future else { return };
        let waker = Waker::from(waker);
        let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
        if polled.is_ready() {
            self.unfinished.set(self.unfinished.get() - 1);
        } else {
            self.tasks.borrow_mut()[number].future = Some(future);
        }
    }

    /// Drops all tasks. A drop may wake and spawn others, which are dropped, too.
    pub(super) fn clear(&self) {
        loop {
            let tasks = std::mem::take(&mut *self.tasks.borrow_mut());
            if tasks.is_empty() {
                return;
            }
            drop(tasks);
        }
    }
}

impl TaskWaker {
    /// Makes the waker of a future that is ready.
    fn ready(number: usize, ready: &Arc<Mutex<Vec<usize>>>) -> Arc<Self> {
        let waker = Arc::new(Self {
            number,
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
            let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
            ready.push(self.number);
        }
    }
}
