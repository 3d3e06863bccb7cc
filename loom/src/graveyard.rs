//! What a batch of events may still name is not freed: the graveyard, and the lock of the helpers.
//!
//! The order of operations is that of `Reactor::deregister`, `bury`, `unless_helped`, `take_few`,
//! `Driver::turn` and `free_buried`.

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

    /// What `Source::tell` does with an address.
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
    batch: Mutex<()>,
}

impl Reactor {
    /// With one source, and its memory.
    fn new() -> (Arc<Self>, Arc<Memory>) {
        let memory = Memory::new();
        let reactor = Self {
            kernel: Mutex::new(Some(memory.clone())),
            sources: Mutex::new(vec![Registration(memory.clone())]),
            graveyard: Mutex::default(),
            buried: AtomicBool::new(false),
            batch: Mutex::default(),
        };
        (Arc::new(reactor), memory)
    }

    fn wait(&self) -> Option<Arc<Memory>> {
        lock(&self.kernel).clone()
    }

    fn turn(&self) {
        let event = self.wait();
        if let Some(source) = event {
            source.tell();
        }
        self.free_buried();
    }

    fn help(&self) {
        self.unless_helped(|| {
            let event = self.wait();
            if let Some(source) = event {
                source.tell();
            }
        });
    }

    /// For the thread that drives it, `own`, between its batches, or another.
    fn deregister(&self, own: bool) {
        lock(&self.kernel).take();
        let registration = lock(&self.sources).pop();
        let registration = registration.expect("it is registered");
        if own && self.unless_helped(|| ()).is_some() {
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
        let buried = self.unless_helped(|| {
            self.buried.store(false, Ordering::Relaxed);
            mem::take(&mut *lock(&self.graveyard))
        });
        drop(buried);
    }

    fn unless_helped<T>(&self, does: impl FnOnce() -> T) -> Option<T> {
        match self.batch.try_lock() {
            Ok(_alone) => Some(does()),
            Err(TryLockError::Poisoned(_)) => unreachable!("nobody panics"),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

/// A helper has events in hand, the driver turns, and the source is closed on a third thread.
pub fn what_is_closed_elsewhere_is_freed_after_its_events() {
    explore(4, || {
        let (reactor, memory) = Reactor::new();
        let helper = spawn(&reactor, Reactor::help);
        let closer = spawn(&reactor, |reactor| reactor.deregister(false));
        reactor.turn();
        helper.join().expect("helped");
        closer.join().expect("closed");
        reactor.turn();
        assert!(memory.freed.load(Ordering::Relaxed), "left buried");
    });
}

/// The same, closed on the driver's own thread between its turns.
pub fn what_is_closed_at_home_is_freed_after_its_events() {
    explore(4, || {
        let (reactor, memory) = Reactor::new();
        let helpers = [
            spawn(&reactor, Reactor::help),
            spawn(&reactor, Reactor::help),
        ];
        reactor.turn();
        reactor.deregister(true);
        reactor.turn();
        for helper in helpers {
            helper.join().expect("helped");
        }
        reactor.turn();
        assert!(memory.freed.load(Ordering::Relaxed), "left buried");
    });
}

/// Two are closed on two threads, while the driver looks for what is buried.
pub fn nothing_stays_buried() {
    explore(4, || {
        let (reactor, memory) = Reactor::new();
        let other = Memory::new();
        lock(&reactor.sources).push(Registration(other.clone()));
        let close = || spawn(&reactor, |reactor| reactor.deregister(false));
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
