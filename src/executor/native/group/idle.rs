//! Which workers of a group are parked, which one watches the others, and which one listens.

use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use crate::sync::thread::{self, Thread};
use crate::sync::{Mutex, MutexGuard, PoisonError};

/// The workers without work: those that listen to the reactor, and those that are parked.
///
/// No wake-up is lost: a thread first makes work visible and then looks for a listener, a searcher or
/// a parked worker. A worker first becomes visible as one of these, and then looks for work. Both
/// sides have a sequentially consistent fence in between, so one of them sees the other.
#[derive(Debug)]
pub(super) struct Idle {
    /// The number of workers, parked or not.
    workers: usize,
    parked: Mutex<Parked>,
    /// The number of parked workers, readable without the lock.
    parked_len: AtomicUsize,
    /// One of the parked workers watches the others.
    watched: AtomicBool,
    /// Workers that were woken to search for work, and have not found any yet.
    searching: AtomicUsize,
    /// Workers that wait for the reactor, or are about to. One of them polls it.
    listening: AtomicUsize,
}

#[derive(Debug)]
struct Parked {
    /// The last one to park is the first one to be woken.
    stack: Vec<usize>,
    watcher: Option<usize>,
    /// The thread of each worker, once it has started.
    threads: Vec<Option<Thread>>,
    /// No worker parks any more.
    closed: bool,
}

/// The state of a worker that has parked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Parked,
    /// Parked, and wakes up by itself to look at the others.
    Watcher,
    /// Parked no more: woken to search for work.
    Searcher,
}

impl Idle {
    pub(super) fn new(workers: usize) -> Self {
        Self {
            workers,
            parked: Mutex::new(Parked {
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

    /// This thread is the one that runs a worker.
    pub(super) fn start(&self, worker: usize) {
        self.lock().threads[worker] = Some(thread::current());
    }

    /// Lists a worker as parked; its thread parks after that. False: all the others are parked
    /// already, so this one has to listen.
    pub(super) fn enter(&self, worker: usize) -> bool {
        let mut parked = self.lock();
        if parked.closed || parked.stack.len() + 1 == self.workers {
            return false;
        }
        parked.stack.push(worker);
        self.parked_len.store(parked.stack.len(), Ordering::SeqCst);
        fence(Ordering::SeqCst);
        // While a worker listens and the rest is parked, there is nothing to watch.
        if parked.watcher.is_none() && self.listening.load(Ordering::SeqCst) == 0 {
            self.set_watcher(&mut parked, Some(worker));
        }
        true
    }

    /// Takes a parked worker off the list. False: it was woken to search before.
    pub(super) fn leave(&self, worker: usize) -> bool {
        let mut parked = self.lock();
        let Some(place) = parked.stack.iter().position(|&other| other == worker) else {
            return false;
        };
        let successor = self.remove(&mut parked, place);
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

    /// Whether all workers but one are parked.
    pub(super) fn is_last_awake(&self) -> bool {
        self.parked_len.load(Ordering::SeqCst) + 1 == self.workers
    }

    /// There is work that no awake worker has for itself: wakes a parked worker to search for it,
    /// unless one searches already. The caller has made the work visible.
    pub(super) fn call_searcher(&self) {
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
        let place = parked
            .stack
            .iter()
            .rposition(|&worker| Some(worker) != watcher)
            .or_else(|| parked.stack.len().checked_sub(1));
        let called = place.and_then(|place| {
            let thread = parked.threads[parked.stack[place]].clone();
            self.remove(&mut parked, place);
            thread
        });
        drop(parked);
        match called {
            Some(thread) => thread.unpark(),
            None => self.end_search(),
        }
    }

    /// A worker that was woken has found work, or looks once more before it parks or listens.
    pub(super) fn end_search(&self) {
        self.searching.fetch_sub(1, Ordering::SeqCst);
    }

    /// A worker is about to wait for the reactor. It looks for work after that.
    pub(super) fn begin_listening(&self) {
        self.listening.fetch_add(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }

    pub(super) fn end_listening(&self) {
        self.listening.fetch_sub(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }

    /// Whether a worker waits for the reactor, which a caller with work has to notify then.
    pub(super) fn is_listening(&self) -> bool {
        fence(Ordering::SeqCst);
        self.listening.load(Ordering::SeqCst) > 0
    }

    /// A worker is about to run tasks after a wait: one of the parked workers watches it.
    pub(super) fn begin_watch(&self) {
        if self.parked_len.load(Ordering::SeqCst) == 0 || self.watched.load(Ordering::SeqCst) {
            return;
        }
        let mut parked = self.lock();
        let successor = self.appoint(&mut parked);
        drop(parked);
        if let Some(thread) = successor {
            thread.unpark();
        }
    }

    /// Ends the watch of a worker, as no task runs; it stays parked. The watch goes on if no worker
    /// listens.
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

    /// Wakes all workers, and keeps them from parking.
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

    /// Takes a worker off the stack, and returns the thread that watches in its place, to be
    /// unparked.
    fn remove(&self, parked: &mut Parked, place: usize) -> Option<Thread> {
        let worker = parked.stack.remove(place);
        self.parked_len.store(parked.stack.len(), Ordering::SeqCst);
        if parked.watcher != Some(worker) {
            return None;
        }
        self.set_watcher(parked, None);
        self.appoint(parked)
    }

    /// Has the worker watch that would be woken last, unless one watches already.
    fn appoint(&self, parked: &mut Parked) -> Option<Thread> {
        if parked.watcher.is_some() {
            return None;
        }
        let watcher = parked.stack.first().copied()?;
        self.set_watcher(parked, Some(watcher));
        parked.threads[watcher].clone()
    }

    fn set_watcher(&self, parked: &mut Parked, watcher: Option<usize>) {
        parked.watcher = watcher;
        self.watched.store(watcher.is_some(), Ordering::SeqCst);
    }

    fn lock(&self) -> MutexGuard<'_, Parked> {
        self.parked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
