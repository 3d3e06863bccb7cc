//! What a batch of events may still name is not freed: the graveyard of a reactor that threads share,
//! and the lock of the one that drives it.
//!
//! The order of operations is that of `Reactor::deregister`, `bury`, `unless_driven`, `free_buried`
//! and `Driver::turn`.

use std::mem;
use std::sync::{Arc, TryLockError};

use loom::cell::UnsafeCell;

use crate::explore;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, Ordering};

/// The memory of a source.
struct Memory {
    /// loom sees to it that all use is before the end, and that this is ordered.
    used: UnsafeCell<()>,
    freed: AtomicBool,
}

// SAFETY: there is nothing in the cell, and loom looks after each access.
unsafe impl Sync for Memory {}

impl Memory {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            used: UnsafeCell::new(()),
            freed: AtomicBool::new(false),
        })
    }

    /// What `Source::handle_event` does with an address.
    fn tell(&self) {
        assert!(!self.freed.load(Ordering::Relaxed), "used after free");
        self.used.with(|_| ());
    }
}

/// A reactor's reference to it, the last one.
struct Registration(Arc<Memory>);

impl Drop for Registration {
    fn drop(&mut self) {
        self.0.used.with_mut(|_| ());
        let freed = self.0.freed.swap(true, Ordering::Relaxed);
        assert!(!freed, "freed twice");
    }
}

struct Reactor {
    /// The addresses that the kernel has: what it tells at each wait.
    kernel: Mutex<Option<Arc<Memory>>>,
    sources: Mutex<Vec<Registration>>,
    graveyard: Mutex<Vec<Registration>>,
    buried: AtomicBool,
    driving: Mutex<()>,
    /// Whether a thread that closes a socket looks if another one has events in hand.
    looks: bool,
}

impl Reactor {
    /// With one source, and its memory.
    fn new(looks: bool) -> (Arc<Self>, Arc<Memory>) {
        let memory = Memory::new();
        let reactor = Self {
            kernel: Mutex::new(Some(memory.clone())),
            sources: Mutex::new(vec![Registration(memory.clone())]),
            graveyard: Mutex::default(),
            buried: AtomicBool::new(false),
            driving: Mutex::default(),
            looks,
        };
        (Arc::new(reactor), memory)
    }

    fn wait(&self) -> Option<Arc<Memory>> {
        lock(&self.kernel).clone()
    }

    /// Of any worker: nothing, while another one takes events.
    fn turn(&self) {
        self.unless_driven(|| {
            self.free_buried();
            let event = self.wait();
            if let Some(source) = event {
                source.tell();
            }
        });
    }

    /// On any worker's thread, between its batches.
    fn deregister(&self) {
        lock(&self.kernel).take();
        let registration = lock(&self.sources).pop();
        let registration = registration.expect("it is registered");
        if !self.looks || self.unless_driven(|| ()).is_some() {
            drop(registration);
        } else {
            let mut graveyard = lock(&self.graveyard);
            graveyard.push(registration);
            self.buried.store(true, Ordering::Release);
        }
    }

    fn free_buried(&self) {
        if !self.buried.load(Ordering::Acquire) {
            return;
        }
        self.buried.store(false, Ordering::Relaxed);
        let buried = mem::take(&mut *lock(&self.graveyard));
        drop(buried);
    }

    fn unless_driven<T>(&self, does: impl FnOnce() -> T) -> Option<T> {
        match self.driving.try_lock() {
            Ok(_alone) => Some(does()),
            Err(TryLockError::Poisoned(_)) => unreachable!("nobody panics"),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

/// Two workers take events, and the source is closed on a third thread.
pub fn what_is_closed_is_freed_after_its_events(looks: bool) {
    explore(4, move || {
        let (reactor, memory) = Reactor::new(looks);
        let worker = spawn(&reactor, Reactor::turn);
        let closer = spawn(&reactor, Reactor::deregister);
        reactor.turn();
        worker.join().expect("turned");
        closer.join().expect("closed");
        reactor.turn();
        assert!(memory.freed.load(Ordering::Relaxed), "left buried");
    });
}

/// A worker closes the source between its own turns, while others take events.
pub fn what_a_worker_closes_is_freed_after_its_events(looks: bool) {
    explore(4, move || {
        let (reactor, memory) = Reactor::new(looks);
        let workers = [
            spawn(&reactor, Reactor::turn),
            spawn(&reactor, Reactor::turn),
        ];
        reactor.turn();
        reactor.deregister();
        reactor.turn();
        for worker in workers {
            worker.join().expect("turned");
        }
        reactor.turn();
        assert!(memory.freed.load(Ordering::Relaxed), "left buried");
    });
}

/// Two are closed on two threads, while a worker looks for what is buried.
pub fn nothing_stays_buried() {
    explore(4, || {
        let (reactor, memory) = Reactor::new(true);
        let other = Memory::new();
        lock(&reactor.sources).push(Registration(other.clone()));
        let close = || spawn(&reactor, Reactor::deregister);
        let closers = [close(), close()];
        reactor.turn();
        for closer in closers {
            closer.join().expect("closed");
        }
        reactor.turn();
        for memory in [memory, other] {
            assert!(memory.freed.load(Ordering::Relaxed), "left buried");
        }
    });
}

fn spawn(
    reactor: &Arc<Reactor>,
    does: impl FnOnce(&Reactor) + 'static,
) -> loom::thread::JoinHandle<()> {
    let reactor = reactor.clone();
    loom::thread::spawn(move || does(&reactor))
}

fn lock<T>(mutex: &Mutex<T>) -> crate::sync::MutexGuard<'_, T> {
    mutex.lock().expect("nobody panics")
}
