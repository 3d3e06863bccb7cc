//! A source is not freed while a batch of events may contain its address. The list of retired sources
//! of a shared reactor, and the lock of its driver, ensure that.
//!
//! The order of operations is that of `Reactor::deregister`, `retire`, `unless_driven`, `free_retired`
//! and `Driver::turn`.

use std::mem;
use std::sync::{Arc, TryLockError};

use loom::cell::UnsafeCell;

use crate::explore;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, Ordering};

/// The memory of a source.
struct Memory {
    /// loom checks that all uses are ordered before the end.
    used: UnsafeCell<()>,
    freed: AtomicBool,
}

// SAFETY: the cell holds no data, and loom checks each access.
unsafe impl Sync for Memory {}

impl Memory {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            used: UnsafeCell::new(()),
            freed: AtomicBool::new(false),
        })
    }

    /// The use of an address by `Source::handle_event`.
    fn handle_event(&self) {
        assert!(!self.freed.load(Ordering::Relaxed), "used after free");
        self.used.with(|_| ());
    }
}

/// The reactor's reference to the memory, the last one.
struct Registration(Arc<Memory>);

impl Drop for Registration {
    fn drop(&mut self) {
        self.0.used.with_mut(|_| ());
        let freed = self.0.freed.swap(true, Ordering::Relaxed);
        assert!(!freed, "freed twice");
    }
}

struct Reactor {
    /// The address that the kernel returns at each wait.
    kernel: Mutex<Option<Arc<Memory>>>,
    sources: Mutex<Vec<Registration>>,
    retired: Mutex<Vec<Registration>>,
    has_retired: AtomicBool,
    driving: Mutex<()>,
    /// True if a thread that closes a socket checks for a driver with events in hand.
    checks_driver: bool,
}

impl Reactor {
    /// Makes a reactor with one source, and returns the memory of the source.
    fn new(checks_driver: bool) -> (Arc<Self>, Arc<Memory>) {
        let memory = Memory::new();
        let reactor = Self {
            kernel: Mutex::new(Some(memory.clone())),
            sources: Mutex::new(vec![Registration(memory.clone())]),
            retired: Mutex::default(),
            has_retired: AtomicBool::new(false),
            driving: Mutex::default(),
            checks_driver,
        };
        (Arc::new(reactor), memory)
    }

    fn wait(&self) -> Option<Arc<Memory>> {
        lock(&self.kernel).clone()
    }

    /// The turn of any worker. Does nothing while another one takes events.
    fn turn(&self) {
        self.unless_driven(|| {
            self.free_retired();
            let event = self.wait();
            if let Some(source) = event {
                source.handle_event();
            }
        });
    }

    /// Called on any worker's thread, between its batches.
    fn deregister(&self) {
        lock(&self.kernel).take();
        let registration = lock(&self.sources).pop();
        let registration = registration.expect("a registered source");
        if !self.checks_driver || self.unless_driven(|| ()).is_some() {
            drop(registration);
        } else {
            let mut retired = lock(&self.retired);
            retired.push(registration);
            self.has_retired.store(true, Ordering::Release);
        }
    }

    fn free_retired(&self) {
        if !self.has_retired.load(Ordering::Acquire) {
            return;
        }
        self.has_retired.store(false, Ordering::Relaxed);
        let retired = mem::take(&mut *lock(&self.retired));
        drop(retired);
    }

    fn unless_driven<T>(&self, f: impl FnOnce() -> T) -> Option<T> {
        match self.driving.try_lock() {
            Ok(_alone) => Some(f()),
            Err(TryLockError::Poisoned(_)) => unreachable!("no panic"),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

/// Two workers take events, and a third thread closes the source.
pub fn a_closed_source_is_freed_after_its_events(checks_driver: bool) {
    explore(4, move || {
        let (reactor, memory) = Reactor::new(checks_driver);
        let worker = spawn(&reactor, Reactor::turn);
        let closer = spawn(&reactor, Reactor::deregister);
        reactor.turn();
        worker.join().expect("no panic");
        closer.join().expect("no panic");
        reactor.turn();
        assert!(
            memory.freed.load(Ordering::Relaxed),
            "the source is not freed"
        );
    });
}

/// A worker closes the source between its own turns, while others take events.
pub fn a_source_closed_by_a_worker_is_freed_after_its_events(checks_driver: bool) {
    explore(4, move || {
        let (reactor, memory) = Reactor::new(checks_driver);
        let workers = [
            spawn(&reactor, Reactor::turn),
            spawn(&reactor, Reactor::turn),
        ];
        reactor.turn();
        reactor.deregister();
        reactor.turn();
        for worker in workers {
            worker.join().expect("no panic");
        }
        reactor.turn();
        assert!(
            memory.freed.load(Ordering::Relaxed),
            "the source is not freed"
        );
    });
}

/// Two threads close a source each, while a worker frees retired ones.
pub fn every_retired_source_is_freed() {
    explore(4, || {
        let (reactor, memory) = Reactor::new(true);
        let other = Memory::new();
        lock(&reactor.sources).push(Registration(other.clone()));
        let close = || spawn(&reactor, Reactor::deregister);
        let closers = [close(), close()];
        reactor.turn();
        for closer in closers {
            closer.join().expect("no panic");
        }
        reactor.turn();
        for memory in [memory, other] {
            assert!(
                memory.freed.load(Ordering::Relaxed),
                "the source is not freed"
            );
        }
    });
}

fn spawn(
    reactor: &Arc<Reactor>,
    f: impl FnOnce(&Reactor) + 'static,
) -> loom::thread::JoinHandle<()> {
    let reactor = reactor.clone();
    loom::thread::spawn(move || f(&reactor))
}

fn lock<T>(mutex: &Mutex<T>) -> crate::sync::MutexGuard<'_, T> {
    mutex.lock().expect("no panic")
}
