//! A socket moves to the reactor of the thread that polls it, as the thread of the other may be held.
//! A task of a thread without a reactor waits where the socket is, until no thread drives that reactor.
//!
//! The state word and the waker's place are the library's own. The order in which they are used is
//! that of `Source::poll_ready`, `wait_or_move`, `attach` and `handle_event`, and of `Reactor::leave`. For
//! loom an operation that is sequentially consistent only acquires and releases, so there is a fence
//! where the library relies on more.

use std::mem;
use std::sync::Arc;
use std::task::Waker;

use loom::sync::Condvar;

use crate::state::{READ, REGISTERED, State, WRITE};
use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use crate::sync::{Mutex, thread};
use crate::waker_slot::WakerSlot;
use crate::{Task, explore};

/// The home of a socket that is registered with no reactor of ours.
const NONE: usize = 2;

/// A step that is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Without {
    Nothing,
    /// The socket moves to the reactor of the thread that polls it.
    Move,
    /// A task that is to wait outside looks whether a thread drives that reactor.
    LookAtDriven,
    /// A thread that leaves its reactor wakes the tasks that wait outside.
    Orphan,
}

/// A socket, the two reactors, and what the kernel knows of them.
struct World {
    state: State,
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
    /// Events that a reactor has not taken in yet.
    told: [bool; 2],
    /// The eventfd of the second reactor, which a wake on another thread sets.
    rung: bool,
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
    /// Registered with the first reactor, after a read that found nothing.
    fn new(without: Without) -> Arc<Self> {
        let state = State::new();
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
                told: [false; 2],
                rung: false,
            }),
            events: Condvar::new(),
            without,
        })
    }

    fn peer_writes(&self) {
        let mut kernel = self.kernel.lock().expect("no panic");
        kernel.data = true;
        let home = kernel.registered;
        if let Some(told) = kernel.told.get_mut(home) {
            *told = true;
            self.events.notify_one();
        }
    }

    fn read(&self) -> bool {
        mem::take(&mut self.kernel.lock().expect("no panic").data)
    }

    /// One turn of a reactor that finds nothing, or tells what there is.
    fn turn(&self, reactor: usize) {
        let told = mem::take(&mut self.kernel.lock().expect("no panic").told[reactor]);
        if told {
            self.state.report(READ);
            self.reader.wake();
        }
        if reactor == 0 {
            self.kernel.lock().expect("no panic").rung = true;
            self.events.notify_one();
        }
    }

    fn wait(&self, reactor: usize) {
        let mut kernel = self.kernel.lock().expect("no panic");
        while !kernel.told[reactor] && !mem::take(&mut kernel.rung) {
            kernel = self.events.wait(kernel).expect("no panic");
        }
        drop(kernel);
        self.turn(reactor);
    }

    /// The thread of a reactor leaves it: no thread drives it any more.
    fn leave(&self, reactor: usize) {
        let left = &self.reactors[reactor];
        left.driven.store(false, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        if self.without != Without::Orphan && left.outsiders.load(Ordering::SeqCst) {
            self.state.report(READ | WRITE);
            self.reader.wake();
        }
    }

    fn admit_outsider(&self, reactor: usize) -> bool {
        let admits = &self.reactors[reactor];
        admits.outsiders.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        self.without == Without::LookAtDriven || admits.driven.load(Ordering::SeqCst)
    }

    /// Whether a task may wait for a socket that is registered elsewhere. `here` is the reactor of
    /// its thread, if it has one.
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

    /// An event that the reactor has taken in is told all the same.
    fn deregister(&self, home: usize) {
        let mut kernel = self.kernel.lock().expect("no panic");
        kernel.registered = NONE;
        kernel.told[home] = false;
    }

    /// What is there already is told anew.
    fn register(&self, home: usize) {
        let mut kernel = self.kernel.lock().expect("no panic");
        kernel.registered = home;
        kernel.told[home] = kernel.data;
        self.events.notify_one();
    }

    /// Polls for a read. Returns whether it is done, or another runtime is to watch the socket.
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

/// The first reactor's thread turns once and is held after that; a task on the second one reads.
pub fn a_task_reads_though_the_first_reactor_is_held(without: Without) {
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
        first.join().expect("turned");
        reads.join().expect("read");
    });
}

/// A task of a thread without a reactor waits, while the thread of the first one leaves it.
pub fn a_task_outside_goes_on_when_the_reactor_is_left(without: Without) {
    explore(3, move || {
        let (world, task) = (World::new(without), Task::new());
        let leaves = {
            let world = world.clone();
            thread::spawn(move || world.leave(0))
        };
        let waker = task.waker();
        let mut poll = || world.poll(&waker, None);
        let settled = task.run(&mut poll);
        leaves.join().expect("left");
        assert!(settled || task.run(&mut poll), "the task is never woken");
    });
}
