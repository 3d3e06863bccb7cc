//! The watch: a parked worker finds a worker that a task blocks, takes its tasks and listens
//! instead.
//!
//! The watch, the queues and the list of idle workers are the files of the library. The order of
//! their calls is that of `executor::native::group::worker`. A wait with a timeout ends when all
//! other threads wait. The first ones of each worker may end at any time.

use std::mem;
use std::sync::Arc;

use loom::sync::Condvar;

use crate::epoll::{Epoll, Events};
use crate::explore;
use crate::idle::{Activity, IdleWorkers, Progress, Role};
use crate::queue::RunQueue;
use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::sync::{Mutex, thread};

const WORKERS: usize = 2;
/// The number of waits with a timeout that may end at any time.
const SHORT_WAITS: usize = 1;
/// More waits than any order of steps needs.
const MAX_WAITS: usize = 12;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// Blocks its thread until the other task has run.
    Blocks,
    Unblocks,
}

/// The place of the task that unblocks the worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unblocked {
    /// In the queue of the blocked worker, which has woken it.
    ByTask,
    /// Waiting for a socket that became ready after the last poll of the worker.
    BySocket,
}

/// The step that a worker leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Without {
    Nothing,
    /// A worker that has listened and runs tasks makes a parked worker the watcher.
    Watch,
    /// A worker takes tasks of another one.
    Steal,
    /// A worker listens while another one is stuck.
    Listen,
}

#[derive(Debug)]
pub(crate) struct WorkerGroup {
    pub(crate) workers: [Worker; WORKERS],
    pub(crate) reactor: Epoll,
    pub(crate) idle: IdleWorkers,
    injector: RunQueue<Task>,
    unblocked: Mutex<bool>,
    has_unblocked: Condvar,
    left: AtomicUsize,
    stopping: AtomicBool,
    by: Unblocked,
    without: Without,
}

#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) queue: RunQueue<Task>,
    steps: AtomicUsize,
}

impl Worker {
    fn new() -> Self {
        Self {
            queue: RunQueue::new(),
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
    fn new(by: Unblocked, without: Without) -> Arc<Self> {
        Arc::new(Self {
            workers: [Worker::new(), Worker::new()],
            reactor: Epoll::default(),
            idle: IdleWorkers::new(WORKERS),
            injector: RunQueue::new(),
            unblocked: Mutex::new(false),
            has_unblocked: Condvar::new(),
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
        let mut unblocked = group.unblocked.lock().expect("no panic");
        match task {
            Task::Blocks => {
                match group.by {
                    Unblocked::ByTask => self.worker.queue.push(Task::Unblocks),
                    Unblocked::BySocket => group.reactor.make_socket_ready(),
                }
                while !*unblocked {
                    unblocked = group.has_unblocked.wait(unblocked).expect("no panic");
                }
            }
            Task::Unblocks => {
                *unblocked = true;
                group.has_unblocked.notify_one();
            }
        }
        drop(unblocked);
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
            self.worker.queue.push(Task::Unblocks);
        }
    }

    /// Waits for the reactor, with a timeout if `short`.
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
            self.wait_with_timeout();
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
                    self.wait_with_timeout();
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

    fn wait_with_timeout(&mut self) {
        self.waits += 1;
        assert!(self.waits < MAX_WAITS, "the worker stays blocked");
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

/// An injected task blocks the worker that takes it, while the other one is parked or parks.
pub fn a_blocked_worker_is_found(by: Unblocked, without: Without) {
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
        group.inject(Task::Blocks);
        for worker in workers {
            worker.join().expect("no panic");
        }
        assert_eq!(group.left.load(Ordering::SeqCst), 0);
    });
}
