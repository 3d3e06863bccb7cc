//! The idle workers of a group: parked, watching or listening. The watch finds stuck workers.

use std::mem;
use std::time::Duration;

use super::{Worker, WorkerGroup};
use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use crate::sync::thread::{self, Thread};
use crate::sync::{Mutex, MutexGuard, PoisonError};

/// The time between two checks of the watch. A worker counts as stuck if it makes no progress in
/// one period, so its tasks wait for at most two periods while another worker is free.
pub(super) const WATCH_PERIOD: Duration = Duration::from_millis(2);

/// The workers without work: those that listen to the reactor, and those that are parked.
///
/// No wake-up is lost. A thread first makes work visible, and then looks for a listening, searching
/// or parked worker. A worker first becomes visible as one of these, and then looks for work. Both
/// sides have a sequentially consistent fence in between, so one of them sees the other.
#[derive(Debug)]
pub(super) struct IdleWorkers {
    /// The number of all workers, parked or not.
    workers: usize,
    parked: Mutex<ParkedWorkers>,
    /// The number of parked workers, readable without the lock.
    parked_len: AtomicUsize,
    /// True if one of the parked workers watches the others.
    watched: AtomicBool,
    /// The number of workers that were woken to search for work and have not found any yet.
    searching: AtomicUsize,
    /// The number of workers that wait for the reactor or are about to. One of them polls it.
    listening: AtomicUsize,
}

#[derive(Debug)]
struct ParkedWorkers {
    /// The last one to park is the first one to be woken.
    stack: Vec<usize>,
    watcher: Option<usize>,
    /// The thread of each worker, once it has started.
    threads: Vec<Option<Thread>>,
    /// Workers may not park any more.
    closed: bool,
}

/// The state of a worker that has parked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Parked,
    /// Parked, but wakes up after each period to check the other workers.
    Watcher,
    /// No longer parked: woken to search for work.
    Searcher,
}

impl IdleWorkers {
    pub(super) fn new(workers: usize) -> Self {
        Self {
            workers,
            parked: Mutex::new(ParkedWorkers {
                stack: Vec::with_capacity(workers),
                watcher: None,
                threads: (0..workers).map(|_| None).collect(),
                closed: false,
            }),
            parked_len: AtomicUsize::new(0),
            watched: AtomicBool::new(false),
            searching: AtomicUsize::new(0),
            listening: AtomicUsize::new(0),
        }
    }

    /// Registers this thread as the one that runs a worker.
    pub(super) fn start(&self, worker: usize) {
        self.lock().threads[worker] = Some(thread::current());
    }

    /// Lists a worker as parked, before its thread parks. Returns false if all others are parked
    /// already, or the group stops: then the worker must not park.
    pub(super) fn enter(&self, worker: usize) -> bool {
        let mut parked = self.lock();
        if parked.closed || parked.stack.len() + 1 == self.workers {
            return false;
        }
        parked.stack.push(worker);
        self.parked_len.store(parked.stack.len(), Ordering::SeqCst);
        fence(Ordering::SeqCst);
        // A listening worker runs no task and needs no watcher.
        if parked.watcher.is_none() && self.listening.load(Ordering::SeqCst) == 0 {
            self.set_watcher(&mut parked, Some(worker));
        }
        true
    }

    /// Removes a parked worker from the list. Returns false if it was woken to search before.
    pub(super) fn leave(&self, worker: usize) -> bool {
        let mut parked = self.lock();
        let Some(position) = parked.stack.iter().position(|&other| other == worker) else {
            return false;
        };
        let successor = self.remove(&mut parked, position);
        drop(parked);
        if let Some(thread) = successor {
            thread.unpark();
        }
        true
    }

    pub(super) fn role(&self, worker: usize) -> Role {
        let parked = self.lock();
        if !parked.stack.contains(&worker) {
            Role::Searcher
        } else if parked.watcher == Some(worker) {
            Role::Watcher
        } else {
            Role::Parked
        }
    }

    /// Returns true if all workers but one are parked.
    pub(super) fn is_last_awake(&self) -> bool {
        self.parked_len.load(Ordering::SeqCst) + 1 == self.workers
    }

    /// Wakes a parked worker to search for work, unless one searches already. The caller has made
    /// the work visible before.
    pub(super) fn wake_searcher(&self) {
        fence(Ordering::SeqCst);
        if self.parked_len.load(Ordering::SeqCst) == 0 {
            return;
        }
        let order = Ordering::SeqCst;
        if self.searching.compare_exchange(0, 1, order, order).is_err() {
            return;
        }
        let mut parked = self.lock();
        let watcher = parked.watcher;
        let position = parked
            .stack
            .iter()
            .rposition(|&worker| Some(worker) != watcher)
            .or_else(|| parked.stack.len().checked_sub(1));
        let searcher = position.and_then(|position| {
            let thread = parked.threads[parked.stack[position]].clone();
            self.remove(&mut parked, position);
            thread
        });
        drop(parked);
        match searcher {
            Some(thread) => thread.unpark(),
            None => self.end_search(),
        }
    }

    /// Ends the search of a woken worker: it has found work, or parks or listens after one more
    /// look.
    pub(super) fn end_search(&self) {
        self.searching.fetch_sub(1, Ordering::SeqCst);
    }

    /// Counts a worker that is about to wait for the reactor. The worker looks for work after this
    /// call.
    pub(super) fn begin_listening(&self) {
        self.listening.fetch_add(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }

    pub(super) fn end_listening(&self) {
        self.listening.fetch_sub(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }

    /// Returns true if a worker waits for the reactor. A caller with work notifies the reactor
    /// then.
    pub(super) fn is_listening(&self) -> bool {
        fence(Ordering::SeqCst);
        self.listening.load(Ordering::SeqCst) > 0
    }

    /// Makes a parked worker the watcher, unless there is one. Called by a worker that is about to
    /// run tasks after a wait.
    pub(super) fn begin_watch(&self) {
        if self.parked_len.load(Ordering::SeqCst) == 0 || self.watched.load(Ordering::SeqCst) {
            return;
        }
        let mut parked = self.lock();
        let successor = self.appoint_watcher(&mut parked);
        drop(parked);
        if let Some(thread) = successor {
            thread.unpark();
        }
    }

    /// Ends the watch of a worker when no task runs. The worker stays parked. If no worker listens,
    /// the watch continues.
    pub(super) fn end_watch(&self, worker: usize) {
        let mut parked = self.lock();
        if parked.watcher != Some(worker) {
            return;
        }
        self.set_watcher(&mut parked, None);
        fence(Ordering::SeqCst);
        if self.listening.load(Ordering::SeqCst) == 0 {
            self.set_watcher(&mut parked, Some(worker));
        }
    }

    /// Wakes all workers, and lets none park any more.
    pub(super) fn close(&self) {
        let mut parked = self.lock();
        parked.closed = true;
        parked.stack.clear();
        self.parked_len.store(0, Ordering::SeqCst);
        self.set_watcher(&mut parked, None);
        let threads = parked.threads.clone();
        drop(parked);
        threads.iter().flatten().for_each(Thread::unpark);
    }

    /// Removes a worker from the stack. If it was the watcher, returns the thread of its successor,
    /// which the caller unparks.
    fn remove(&self, parked: &mut ParkedWorkers, position: usize) -> Option<Thread> {
        let worker = parked.stack.remove(position);
        self.parked_len.store(parked.stack.len(), Ordering::SeqCst);
        if parked.watcher != Some(worker) {
            return None;
        }
        self.set_watcher(parked, None);
        self.appoint_watcher(parked)
    }

    /// Makes the worker that would be woken last the watcher, unless there is one. Returns its
    /// thread.
    fn appoint_watcher(&self, parked: &mut ParkedWorkers) -> Option<Thread> {
        if parked.watcher.is_some() {
            return None;
        }
        let watcher = parked.stack.first().copied()?;
        self.set_watcher(parked, Some(watcher));
        parked.threads[watcher].clone()
    }

    fn set_watcher(&self, parked: &mut ParkedWorkers, watcher: Option<usize>) {
        parked.watcher = watcher;
        self.watched.store(watcher.is_some(), Ordering::SeqCst);
    }

    fn lock(&self) -> MutexGuard<'_, ParkedWorkers> {
        self.parked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The progress of a group's workers at one check of the watch.
#[derive(Debug)]
pub(super) struct Progress {
    steps: Box<[usize]>,
    turns: usize,
}

/// The activity of a group between two checks of the watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Activity {
    /// No worker has run a task, and one listens.
    Quiet,
    /// Tasks start and end.
    Busy,
    /// A worker has been in one task, or between two, for the whole period, or no worker has polled
    /// the reactor.
    Stuck,
}

impl Progress {
    pub(super) fn of(group: &WorkerGroup) -> Self {
        Self {
            steps: group.workers.iter().map(Worker::steps).collect(),
            turns: group.reactor.turns(),
        }
    }

    /// Compares the group with the last check, except for the worker `me`, and records this check.
    pub(super) fn check(&mut self, group: &WorkerGroup, me: usize) -> Activity {
        let (mut ran, mut stuck) = (false, false);
        for (n, (worker, steps)) in group.workers.iter().zip(&mut self.steps).enumerate() {
            let before = mem::replace(steps, worker.steps());
            let same = before == *steps;
            ran |= !same;
            stuck |= same && n != me && (is_running(*steps) || worker.queue.len() > 0);
        }
        let before = mem::replace(&mut self.turns, group.reactor.turns());
        let polled = before != self.turns;
        let listens = group.idle.is_listening();
        if stuck || !(polled || listens) {
            Activity::Stuck
        } else if ran || polled || !listens {
            Activity::Busy
        } else {
            Activity::Quiet
        }
    }
}

/// Returns true if a task runs: the number of a worker's steps is odd then.
fn is_running(steps: usize) -> bool {
    steps % 2 == 1
}
