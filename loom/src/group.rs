//! Workers take tasks, park and listen: no task is left while all of them sleep.
//!
//! The queues and the list of idle workers are the files of the library. The order of their calls
//! is that of `executor::native::group::worker`, without two steps: the watch, which wakes up after
//! each period, and the check of the worker's own queue after the end of a turn. That check saves a
//! worker the two later ones, and is not needed beside them.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;

use loom::sync::Condvar;

use crate::epoll::Epoll;
use crate::explore;
use crate::idle::{IdleWorkers, Role};
use crate::queue::RunQueue;
use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::sync::{Mutex, thread};

const WORKERS: usize = 2;

/// A task that runs once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    Short,
    /// Blocks its thread until a short task has run.
    Blocks,
    /// Leaves a small write for the end of the turn, which wakes a short task.
    Writes,
}

/// The step that is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Without {
    Nothing,
    /// The check for a notification right before the wait for the reactor. Another worker may have
    /// taken its event.
    CheckNotified,
    /// The check of the injector right before the wait for the reactor.
    CheckInjector,
    /// The check of the worker's own queue right before the wait for the reactor.
    CheckQueueBeforeWait,
    /// The check of the worker's own queue right before it parks.
    CheckQueueBeforePark,
    /// The wake-up of a searcher if no worker listens.
    WakeSearcher,
}

struct Group {
    injector: RunQueue<Task>,
    queues: [RunQueue<Task>; WORKERS],
    idle: IdleWorkers,
    epoll: Epoll,
    left: AtomicUsize,
    short: Mutex<bool>,
    short_ran: Condvar,
    stopping: AtomicBool,
    without: Without,
}

impl Group {
    fn new(tasks: &[Task], without: Without) -> Arc<Self> {
        let woken = tasks.iter().filter(|&&task| task == Task::Writes).count();
        Arc::new(Self {
            injector: RunQueue::new(),
            queues: [RunQueue::new(), RunQueue::new()],
            idle: IdleWorkers::new(WORKERS),
            epoll: Epoll::default(),
            left: AtomicUsize::new(tasks.len() + woken),
            short: Mutex::new(false),
            short_ran: Condvar::new(),
            stopping: AtomicBool::new(false),
            without,
        })
    }

    fn does(&self, step: Without) -> bool {
        self.without != step
    }

    /// Wakes a task on a thread that runs no worker.
    fn inject(&self, task: Task) {
        self.injector.push(task);
        if self.idle.is_listening() {
            self.epoll.notify();
        } else if self.does(Without::WakeSearcher) {
            self.idle.wake_searcher();
        }
    }

    fn run_task(&self, task: Task) {
        match task {
            Task::Short => {
                *self.short.lock().expect("no panic") = true;
                self.short_ran.notify_all();
            }
            Task::Blocks => {
                let mut ran = self.short.lock().expect("no panic");
                while !*ran {
                    ran = self.short_ran.wait(ran).expect("no panic");
                }
            }
            Task::Writes => {}
        }
        if self.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.stopping.store(true, Ordering::SeqCst);
            self.idle.close();
            self.epoll.notify();
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
        let any = self.adopt(me, tasks);
        if any && self.injector.len() > 0 {
            self.idle.wake_searcher();
        }
        any
    }

    fn adopt(&self, me: usize, tasks: VecDeque<Task>) -> bool {
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
            let mut written = 0;
            while let Some(task) = self.queues[me].pop() {
                end_search(&mut searching);
                written += usize::from(task == Task::Writes);
                self.run_task(task);
            }
            // The end of the turn: a task woken on a worker's thread goes to its own queue.
            (0..written).for_each(|_| self.queues[me].push(Task::Short));
            if self.take(me) {
                continue;
            }
            end_search(&mut searching);
            if self.idle.is_last_awake() {
                self.listen(me);
            } else if self.epoll.turn(|| false, drop) != Some(true) {
                searching = self.park(me);
            }
        }
    }

    fn listen(&self, me: usize) {
        self.epoll.listen();
        self.idle.begin_listening();
        let blocks = || {
            let queued = self.does(Without::CheckQueueBeforeWait) && self.queues[me].len() > 0;
            let injected = self.does(Without::CheckInjector) && self.injector.len() > 0;
            let notified = self.does(Without::CheckNotified) && self.epoll.is_notified();
            !(queued || injected || self.is_stopping() || notified)
        };
        let found = self.epoll.turn(blocks, drop);
        self.idle.end_listening();
        if found == Some(true) {
            self.idle.begin_watch();
        }
    }

    /// Returns true if the worker was woken to search.
    fn park(&self, me: usize) -> bool {
        if !self.idle.enter(me) {
            return false;
        }
        let queued = self.does(Without::CheckQueueBeforePark) && self.queues[me].len() > 0;
        if queued || self.injector.len() > 0 || self.is_stopping() {
            return !self.idle.leave(me);
        }
        while self.idle.role(me) != Role::Searcher {
            thread::park();
        }
        true
    }
}

/// Injects tasks while two workers search for some, park and listen.
pub fn no_task_is_left_while_all_workers_sleep(
    tasks: &'static [Task],
    interruptions: usize,
    without: Without,
) {
    explore(interruptions, move || {
        let group = Group::new(tasks, without);
        let workers = [0, 1].map(|me| {
            let group = group.clone();
            thread::spawn(move || group.work(me))
        });
        while !group.idle.is_last_awake() {
            thread::yield_now();
        }
        for &task in tasks {
            group.inject(task);
        }
        for worker in workers {
            worker.join().expect("no panic");
        }
        assert_eq!(group.left.load(Ordering::SeqCst), 0);
    });
}
