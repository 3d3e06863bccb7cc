//! The watch: a parked worker finds one that a task holds, takes its tasks and listens in its place.
//!
//! The looks, the queues and the list of idle workers are the library's own. The order in which they
//! are used is that of `executor::native::group::worker`. A wait with an end is over when all other
//! threads wait; the first ones of each worker are over at any time.

use std::mem;
use std::sync::Arc;

use loom::sync::Condvar;

use crate::epoll::{Epoll, Events};
use crate::explore;
use crate::idle::{Activity, IdleWorkers, Progress, Role};
use crate::queue::Queue;
use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::sync::{Mutex, thread};

const WORKERS: usize = 2;
/// Waits with an end that are over at any time.
const SHORT_WAITS: usize = 1;
/// More waits than any order of steps takes.
const MANY_WAITS: usize = 12;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// It holds its thread until the other task has run.
    Holds,
    Frees,
}

/// The place of the task that ends the hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freed {
    /// In the queue of the worker that is held, which has woken it.
    ByTask,
    /// It waits for a socket, which was ready after the worker polled last.
    BySocket,
}

/// A step that a worker leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Without {
    Nothing,
    /// A parked worker begins to watch one that has listened and runs tasks.
    Watch,
    /// A worker takes tasks of another one.
    Steal,
    /// A worker beside one that is held listens.
    Listen,
}

#[derive(Debug)]
pub(crate) struct WorkerGroup {
    pub(crate) workers: [Worker; WORKERS],
    pub(crate) reactor: Epoll,
    pub(crate) idle: IdleWorkers,
    injector: Queue<Task>,
    free: Mutex<bool>,
    freed: Condvar,
    left: AtomicUsize,
    stopping: AtomicBool,
    by: Freed,
    without: Without,
}

#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) queue: Queue<Task>,
    steps: AtomicUsize,
}

impl Worker {
    fn new() -> Self {
        Self {
            queue: Queue::new(),
            steps: AtomicUsize::new(0),
        }
    }

    pub(crate) fn steps(&self) -> usize {
        self.steps.load(Ordering::Relaxed)
    }

    fn step(&self) {
        self.steps.store(self.steps() + 1, Ordering::Relaxed);
    }
}

impl WorkerGroup {
    fn new(by: Freed, without: Without) -> Arc<Self> {
        Arc::new(Self {
            workers: [Worker::new(), Worker::new()],
            reactor: Epoll::default(),
            idle: IdleWorkers::new(WORKERS),
            injector: Queue::new(),
            free: Mutex::new(false),
            freed: Condvar::new(),
            left: AtomicUsize::new(2),
            stopping: AtomicBool::new(false),
            by,
            without,
        })
    }

    fn inject(&self, task: Task) {
        self.injector.push(task);
        if self.idle.is_listening() {
            self.reactor.notify();
        } else {
            self.idle.wake_searcher();
        }
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }
}

struct WorkerLoop<'a> {
    group: &'a WorkerGroup,
    me: usize,
    worker: &'a Worker,
    is_searching: bool,
    stuck_progress: Option<Progress>,
    waits: usize,
}

impl WorkerLoop<'_> {
    fn run(&mut self) {
        self.group.idle.start(self.me);
        while !self.group.is_stopping() {
            self.run_queued();
            self.rest();
        }
    }

    fn run_queued(&mut self) {
        while let Some(task) = self.worker.queue.pop() {
            if self.is_searching && self.group.idle.is_listening() {
                self.group.reactor.notify();
            }
            self.end_search();
            self.worker.step();
            self.run_task(task);
            self.worker.step();
        }
    }

    fn run_task(&self, task: Task) {
        let group = self.group;
        let mut free = group.free.lock().expect("no panic");
        match task {
            Task::Holds => {
                match group.by {
                    Freed::ByTask => self.worker.queue.push(Task::Frees),
                    Freed::BySocket => group.reactor.make_socket_ready(),
                }
                while !*free {
                    free = group.freed.wait(free).expect("no panic");
                }
            }
            Task::Frees => {
                *free = true;
                group.freed.notify_one();
            }
        }
        drop(free);
        if group.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            group.stopping.store(true, Ordering::SeqCst);
            group.idle.close();
            group.reactor.notify();
        }
    }

    fn rest(&mut self) {
        if self.take() {
            return;
        }
        self.end_search();
        let group = self.group;
        let stuck = match &mut self.stuck_progress {
            Some(progress) => progress.check(group, self.me) == Activity::Stuck,
            None => false,
        };
        if stuck {
            let listens = group.without != Without::Listen;
            if !listens || self.listen(true).is_none() {
                self.stuck_progress = None;
                self.park();
            }
            return;
        }
        self.stuck_progress = None;
        if group.idle.is_last_awake() {
            self.listen(false);
        } else if group.reactor.turn(|| false, |events| self.dispatch(events)) != Some(true) {
            self.park();
        }
    }

    fn take(&self) -> bool {
        let group = self.group;
        let mut tasks = group.injector.take_part(WORKERS);
        if tasks.is_empty() && group.without != Without::Steal {
            tasks = group.workers[1 - self.me].queue.take_part(2);
        }
        let any = !tasks.is_empty();
        self.worker.queue.append(tasks);
        any
    }

    fn dispatch(&self, events: Events) {
        if events.socket {
            self.worker.queue.push(Task::Frees);
        }
    }

    /// Waits for the reactor, for a while only if that is `short`.
    fn listen(&mut self, short: bool) -> Option<bool> {
        let group = self.group;
        group.reactor.listen();
        group.idle.begin_listening();
        let blocks = || {
            let work = self.worker.queue.len() > 0
                || group.injector.len() > 0
                || group.is_stopping()
                || group.reactor.is_notified();
            !work && !short && group.idle.is_last_awake()
        };
        let found = group.reactor.turn(blocks, |events| self.dispatch(events));
        group.idle.end_listening();
        if group.without != Without::Watch {
            group.idle.begin_watch();
        }
        if short && found == Some(false) {
            self.wait_for_a_while();
        }
        found
    }

    fn park(&mut self) {
        let (group, me) = (self.group, self.me);
        if !group.idle.enter(me) {
            return;
        }
        if self.worker.queue.len() > 0 || group.injector.len() > 0 || group.is_stopping() {
            self.is_searching = !group.idle.leave(me);
            return;
        }
        let mut progress = None;
        loop {
            match group.idle.role(me) {
                Role::Searcher => {
                    self.is_searching = true;
                    return;
                }
                Role::Parked => {
                    progress = None;
                    thread::park();
                }
                Role::Watcher => {
                    let mut last = progress.take().unwrap_or_else(|| Progress::of(group));
                    self.wait_for_a_while();
                    if group.idle.role(me) != Role::Watcher {
                        continue;
                    }
                    match last.check(group, me) {
                        Activity::Quiet => group.idle.end_watch(me),
                        Activity::Busy => {}
                        Activity::Stuck if group.idle.is_listening() => {}
                        Activity::Stuck => {
                            self.is_searching = !group.idle.leave(me);
                            self.stuck_progress = Some(last);
                            return;
                        }
                    }
                    progress = Some(last);
                }
            }
        }
    }

    fn wait_for_a_while(&mut self) {
        self.waits += 1;
        assert!(self.waits < MANY_WAITS, "the worker stays held");
        if self.waits > SHORT_WAITS {
            thread::yield_now();
        }
    }

    fn end_search(&mut self) {
        if mem::take(&mut self.is_searching) {
            self.group.idle.end_search();
        }
    }
}

/// A task from outside holds the worker that takes it, while the other one is parked or parks.
pub fn a_worker_that_is_held_is_found(by: Freed, without: Without) {
    explore(1, move || {
        let group = WorkerGroup::new(by, without);
        let workers = [0, 1].map(|me| {
            let group = group.clone();
            thread::spawn(move || {
                let mut worker_loop = WorkerLoop {
                    group: &group,
                    me,
                    worker: &group.workers[me],
                    is_searching: false,
                    stuck_progress: None,
                    waits: 0,
                };
                worker_loop.run();
            })
        });
        while !group.idle.is_last_awake() {
            thread::yield_now();
        }
        group.inject(Task::Holds);
        for worker in workers {
            worker.join().expect("it ends");
        }
        assert_eq!(group.left.load(Ordering::SeqCst), 0);
    });
}
