//! Models of what threads of Halves share without a lock, or with a subtle one, explored by loom.
//!
//! The state word, the eventfd, the place of a waker, the run queues, the list of idle workers and the looks
//! of the watch are the library's own files. The order in which they are used is written down again in the models, as what surrounds
//! it there is full of system calls. Where that order has fences, or looks again, a model is also run
//! without them, and has to fail.

pub mod closing;
mod epoll;
pub mod graveyard;
pub mod group;
pub mod inbox;
pub mod late;
pub mod record;
pub mod rehoming;
pub mod watch;
pub mod words;

#[allow(dead_code)]
#[path = "../../src/reactor/wake_fd.rs"]
mod wake_fd;
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
#[path = "../../src/waker_slot.rs"]
mod waker_slot;

use std::sync::Arc;
use std::task::{Wake, Waker};

use sync::atomic::{AtomicBool, Ordering, fence};
use watch::{Worker, WorkerGroup};

/// Runs a model in each order in which its threads may take turns, if they are interrupted no more
/// than so many times: all orders would take minutes.
fn explore(interruptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(interruptions);
    builder.check(model);
}

/// A task as its executor sees it.
#[derive(Debug)]
struct Task(AtomicBool);

impl Task {
    fn new() -> Arc<Self> {
        Arc::new(Self(AtomicBool::new(true)))
    }

    fn waker(self: &Arc<Self>) -> Waker {
        self.clone().into()
    }

    /// Polls as long as it is woken, and says whether it is done.
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
        // As executors do it, which have to know whether it is queued already.
        self.0.swap(true, Ordering::AcqRel);
    }
}

/// What is made when it is needed first, ordered as `once_cell::race::OnceBox` does it.
#[derive(Debug, Default)]
struct Seldom<T> {
    made: AtomicBool,
    value: T,
}

impl<T> Seldom<T> {
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

/// The fence of a model, which may be run without.
fn fence_if(fences: bool) {
    if fences {
        fence(Ordering::SeqCst);
    }
}
