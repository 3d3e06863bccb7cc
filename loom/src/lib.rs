//! Models, for loom, of the state that threads of Halves share without a lock, or with a subtle
//! one.
//!
//! The state word, the eventfd, the waker slot, the run queues, and the list of idle workers with
//! the watch are the files of the library. The models repeat the order of their calls, which the
//! library mixes with system calls. If that order has fences or second checks, a model also runs
//! without them, and must fail.

pub mod closing;
pub mod end;
mod epoll;
pub mod first_write;
pub mod group;
pub mod inbox;
pub mod moving;
pub mod readiness;
pub mod retired;
pub mod watch;

#[allow(dead_code)]
#[path = "../../src/executor/native/group/idle.rs"]
mod idle;
#[allow(dead_code)]
#[path = "../../src/executor/native/group/queue.rs"]
mod queue;
#[allow(dead_code)]
#[path = "../../src/reactor/state.rs"]
mod state;
mod sync;
#[allow(dead_code)]
#[path = "../../src/reactor/wake_fd.rs"]
mod wake_fd;
#[allow(dead_code)]
#[path = "../../src/waker_slot.rs"]
mod waker_slot;

use std::sync::Arc;
use std::task::{Wake, Waker};

use sync::atomic::{AtomicBool, Ordering, fence};
use watch::{Worker, WorkerGroup};

/// Runs a model in each order of the steps of its threads with at most so many interruptions. All
/// orders would take minutes.
fn explore(interruptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(interruptions);
    builder.check(model);
}

/// A task, with the flag by which its executor queues it.
#[derive(Debug)]
struct Task(AtomicBool);

impl Task {
    fn new() -> Arc<Self> {
        Arc::new(Self(AtomicBool::new(true)))
    }

    fn waker(self: &Arc<Self>) -> Waker {
        self.clone().into()
    }

    /// Polls while the task is woken. Returns true once it is done.
    fn run(&self, mut poll: impl FnMut() -> bool) -> bool {
        while self.0.swap(false, Ordering::AcqRel) {
            if poll() {
                return true;
            }
        }
        false
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // A swap, as in executors, which check whether the task is queued already.
        self.0.swap(true, Ordering::AcqRel);
    }
}

/// A value made at its first use, with the orderings of `once_cell::race::OnceBox`.
#[derive(Debug, Default)]
struct Lazy<T> {
    made: AtomicBool,
    value: T,
}

impl<T> Lazy<T> {
    fn get(&self) -> Option<&T> {
        self.made.load(Ordering::Acquire).then_some(&self.value)
    }

    fn get_or_init(&self) -> &T {
        if !self.made.load(Ordering::Acquire) {
            let order = (Ordering::Release, Ordering::Acquire);
            let _ = self.made.compare_exchange(false, true, order.0, order.1);
        }
        &self.value
    }
}

/// A fence, unless the model runs without.
fn fence_if(fences: bool) {
    if fences {
        fence(Ordering::SeqCst);
    }
}
