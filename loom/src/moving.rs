//! A socket moves to the reactor of the thread that polls it, as the thread of the other reactor
//! may be blocked. On a thread without a reactor, a task waits at the present reactor of the
//! socket, until no thread drives it.
//!
//! The state word and the waker slot are the files of the library. The order of their calls is that
//! of `Source::poll_ready`, `wait_or_move`, `attach` and `handle_event`, and of `Reactor::leave`.
//! In loom a sequentially consistent operation only acquires and releases, so there is a fence
//! where the library relies on more.

use std::mem;
use std::sync::Arc;
use std::task::Waker;

use loom::sync::Condvar;

use crate::state::{READ, REGISTERED, StateWord, WRITE};
use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use crate::sync::{Mutex, thread};
use crate::waker_slot::WakerSlot;
use crate::{Task, explore};

/// The home of a socket that is registered with no reactor.
const NONE: usize = 2;

/// The step that is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Without {
    Nothing,
    /// The socket moves to the reactor of the thread that polls it.
    Move,
    /// A task without a reactor checks for a driver before it waits.
    CheckDriven,
    /// A thread that leaves its reactor wakes the waiting tasks of threads without a reactor.
    WakeOutsiders,
}

/// A socket, two reactors, and the state of the kernel.
struct World {
    state: StateWord,
    reader: WakerSlot,
    /// The reactor that the socket is registered with. Changed under the lock.
    home: AtomicUsize,
    lock: Mutex<()>,
    reactors: [Reactor; 2],
    kernel: Mutex<Kernel>,
    events: Condvar,
    without: Without,
}

struct Reactor {
    driven: AtomicBool,
    outsiders: AtomicBool,
}

struct Kernel {
    data: bool,
    registered: usize,
    /// Events that a reactor has not taken yet.
    pending: [bool; 2],
    /// The eventfd of the second reactor, which a wake on another thread sets.
    notified: bool,
}

impl Reactor {
    fn new() -> Self {
        Self {
            driven: AtomicBool::new(true),
            outsiders: AtomicBool::new(false),
        }
    }
}

impl World {
    /// Makes a socket that is registered with the first reactor, after a read without data.
    fn new(without: Without) -> Arc<Self> {
        let state = StateWord::new();
        let seen = state.load();
        assert!(state.change(seen, READ, REGISTERED));
        Arc::new(Self {
            state,
            reader: WakerSlot::default(),
            home: AtomicUsize::new(0),
            lock: Mutex::new(()),
            reactors: [Reactor::new(), Reactor::new()],
            kernel: Mutex::new(Kernel {
                data: false,
                registered: 0,
                pending: [false; 2],
                notified: false,
            }),
            events: Condvar::new(),
            without,
        })
    }

    fn peer_writes(&self) {
        let mut kernel = self.kernel.lock().expect("no panic");
        kernel.data = true;
        let home = kernel.registered;
        if let Some(pending) = kernel.pending.get_mut(home) {
            *pending = true;
            self.events.notify_one();
        }
    }

    fn read(&self) -> bool {
        mem::take(&mut self.kernel.lock().expect("no panic").data)
    }

    /// One turn of a reactor, with an event or without.
    fn turn(&self, reactor: usize) {
        let pending = mem::take(&mut self.kernel.lock().expect("no panic").pending[reactor]);
        if pending {
            self.state.report(READ);
            self.reader.wake();
        }
        if reactor == 0 {
            self.kernel.lock().expect("no panic").notified = true;
            self.events.notify_one();
        }
    }

    fn wait(&self, reactor: usize) {
        let mut kernel = self.kernel.lock().expect("no panic");
        while !kernel.pending[reactor] && !mem::take(&mut kernel.notified) {
            kernel = self.events.wait(kernel).expect("no panic");
        }
        drop(kernel);
        self.turn(reactor);
    }

    /// The thread of a reactor leaves it, so that no thread drives it.
    fn leave(&self, reactor: usize) {
        let left = &self.reactors[reactor];
        left.driven.store(false, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        if self.without != Without::WakeOutsiders && left.outsiders.load(Ordering::SeqCst) {
            self.state.report(READ | WRITE);
            self.reader.wake();
        }
    }

    fn admit_outsider(&self, reactor: usize) -> bool {
        let admits = &self.reactors[reactor];
        admits.outsiders.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        self.without == Without::CheckDriven || admits.driven.load(Ordering::SeqCst)
    }

    /// Returns true if a task may wait for a socket that is registered elsewhere. `here` is the
    /// reactor of its thread, if there is one.
    fn waits_outside(&self, here: Option<usize>) -> bool {
        let _lock = self.lock.lock().expect("no panic");
        let home = self.home.load(Ordering::Relaxed);
        if home == NONE {
            return false;
        }
        let stays = here.is_none_or(|here| here == home);
        if stays && self.admit_outsider(home) {
            return true;
        }
        self.home.store(NONE, Ordering::Relaxed);
        self.deregister(home);
        if let Some(here) = here {
            self.admit_outsider(here);
            self.register(here);
            self.home.store(here, Ordering::Relaxed);
        }
        false
    }

    /// An event that the reactor has taken already is still reported.
    fn deregister(&self, home: usize) {
        let mut kernel = self.kernel.lock().expect("no panic");
        kernel.registered = NONE;
        kernel.pending[home] = false;
    }

    /// Data that is there already is an event again.
    fn register(&self, home: usize) {
        let mut kernel = self.kernel.lock().expect("no panic");
        kernel.registered = home;
        kernel.pending[home] = kernel.data;
        self.events.notify_one();
    }

    /// Polls for a read. Returns true if it is done, or if another runtime watches the socket.
    fn poll(&self, waker: &Waker, here: Option<usize>) -> bool {
        loop {
            let mut seen = self.state.load();
            if seen & READ == 0 {
                self.reader.register(waker);
                loop {
                    seen = self.state.load();
                    if seen & READ != 0 {
                        break;
                    }
                    let home = self.home.load(Ordering::Relaxed);
                    if here.is_none() && home == NONE {
                        return true;
                    }
                    if self.without == Without::Move || here == Some(home) {
                        return false;
                    }
                    if self.waits_outside(here) {
                        return false;
                    }
                }
            }
            if self.read() {
                return true;
            }
            self.state.change(seen, READ, 0);
        }
    }
}

/// The thread of the first reactor is blocked after one turn. A task on the second one reads.
pub fn a_task_reads_although_the_first_reactor_is_blocked(without: Without) {
    explore(3, move || {
        let world = World::new(without);
        let (first, second) = (world.clone(), world.clone());
        let first = thread::spawn(move || first.turn(0));
        let reads = thread::spawn(move || {
            let task = Task::new();
            let waker = task.waker();
            while !task.run(|| second.poll(&waker, Some(1))) {
                second.wait(1);
            }
        });
        world.peer_writes();
        first.join().expect("no panic");
        reads.join().expect("no panic");
    });
}

/// A task of a thread without a reactor waits, while the driver of the first reactor leaves.
pub fn a_task_without_a_reactor_continues_when_the_driver_leaves(without: Without) {
    explore(3, move || {
        let (world, task) = (World::new(without), Task::new());
        let leaves = {
            let world = world.clone();
            thread::spawn(move || world.leave(0))
        };
        let waker = task.waker();
        let mut poll = || world.poll(&waker, None);
        let settled = task.run(&mut poll);
        leaves.join().expect("no panic");
        assert!(settled || task.run(&mut poll), "the task is not woken");
    });
}
