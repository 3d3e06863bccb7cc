//! Workers that take tasks, park and listen: no task is left while all of them sleep.
//!
//! The queues and the list of idle workers are the library's own. The order in which they are used
//! is that of `executor::native::group::worker`, without the watch, which wakes up by itself.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;

use loom::sync::Condvar;

use crate::explore;
use crate::idle::{Idle, Role};
use crate::queue::Queue;
use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::sync::{Mutex, thread};

const WORKERS: usize = 2;

/// A step that a worker leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Without {
    Nothing,
    /// The look for a notification right before the wait for the reactor: another worker may have
    /// taken its edge in.
    LookForNotification,
    /// The wake-up of a searcher where no worker listens, and the look for injected tasks before the
    /// wait. Either alone is enough.
    SearcherAndLook,
}

struct Group {
    injector: Queue<()>,
    queues: [Queue<()>; WORKERS],
    idle: Idle,
    /// The flag of the bell.
    rung: AtomicBool,
    /// An edge of the bell that no poll has taken in yet.
    edge: Mutex<bool>,
    edges: Condvar,
    driving: Mutex<()>,
    left: AtomicUsize,
    stopping: AtomicBool,
    without: Without,
}

impl Group {
    fn new(tasks: usize, without: Without) -> Arc<Self> {
        Arc::new(Self {
            injector: Queue::new(),
            queues: [Queue::new(), Queue::new()],
            idle: Idle::new(WORKERS),
            rung: AtomicBool::new(false),
            edge: Mutex::new(false),
            edges: Condvar::new(),
            driving: Mutex::new(()),
            left: AtomicUsize::new(tasks),
            stopping: AtomicBool::new(false),
            without,
        })
    }

    /// A task is woken on a thread that is no worker's.
    fn inject(&self) {
        self.injector.push(());
        if self.idle.is_listening() {
            self.notify();
        } else if self.without != Without::SearcherAndLook {
            self.idle.call_searcher();
        }
    }

    fn notify(&self) {
        if !self.rung.swap(true, Ordering::AcqRel) {
            *self.edge.lock().expect("no panic") = true;
            self.edges.notify_one();
        }
    }

    /// Polls the reactor, and waits if `blocks` says so right before. None: another worker polls.
    fn turn(&self, blocks: impl FnOnce() -> bool) -> Option<bool> {
        let _driving = self.driving.try_lock().ok()?;
        let blocks = blocks();
        let mut edge = self.edge.lock().expect("no panic");
        while blocks && !*edge {
            edge = self.edges.wait(edge).expect("no panic");
        }
        Some(mem::take(&mut *edge))
    }

    fn run_task(&self) {
        if self.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.stopping.store(true, Ordering::SeqCst);
            self.idle.close();
            self.notify();
        }
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    fn take(&self, me: usize) -> bool {
        let injected = self.injector.take_part(WORKERS);
        let tasks = if injected.is_empty() {
            self.queues[1 - me].take_part(2)
        } else {
            injected
        };
        self.adopt(me, tasks)
    }

    fn adopt(&self, me: usize, tasks: VecDeque<()>) -> bool {
        let any = !tasks.is_empty();
        self.queues[me].append(tasks);
        any
    }

    fn work(&self, me: usize) {
        self.idle.start(me);
        let mut searching = false;
        let end_search = |searching: &mut bool| {
            if mem::take(searching) {
                self.idle.end_search();
            }
        };
        while !self.is_stopping() {
            while self.queues[me].pop().is_some() {
                end_search(&mut searching);
                self.run_task();
            }
            if self.take(me) {
                continue;
            }
            end_search(&mut searching);
            if self.idle.is_last_awake(WORKERS) {
                self.listen(me);
            } else if self.turn(|| false) != Some(true) {
                searching = self.park(me);
            }
        }
    }

    fn listen(&self, me: usize) {
        self.rung.swap(false, Ordering::AcqRel);
        self.idle.begin_listening();
        let without = |step| self.without == step;
        let blocks = || {
            let injected = !without(Without::SearcherAndLook) && self.injector.len() > 0;
            let notified =
                !without(Without::LookForNotification) && self.rung.load(Ordering::Acquire);
            !(self.queues[me].len() > 0 || injected || self.is_stopping() || notified)
        };
        let found = self.turn(blocks);
        self.idle.end_listening();
        if found == Some(true) {
            self.idle.begin_watch();
        }
    }

    /// Returns whether the worker was woken to search.
    fn park(&self, me: usize) -> bool {
        if !self.idle.enter(me) {
            return false;
        }
        if self.injector.len() > 0 || self.is_stopping() {
            return !self.idle.leave(me);
        }
        while self.idle.role(me) != Role::Searcher {
            thread::park();
        }
        true
    }
}

/// Tasks come from outside while two workers look for some, park and listen.
pub fn no_task_is_left_while_all_sleep(tasks: usize, interruptions: usize, without: Without) {
    explore(interruptions, move || {
        let group = Group::new(tasks, without);
        let workers = [0, 1].map(|me| {
            let group = group.clone();
            thread::spawn(move || group.work(me))
        });
        while !group.idle.is_last_awake(WORKERS) {
            thread::yield_now();
        }
        for _ in 0..tasks {
            group.inject();
        }
        for worker in workers {
            worker.join().expect("it ends");
        }
        assert_eq!(group.left.load(Ordering::SeqCst), 0);
    });
}
