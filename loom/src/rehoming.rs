//! A socket moves to the reactor of the thread that polls it, as the other may be held.
//!
//! The state word and the waker's place are the library's own. The order in which they are used is
//! that of `Source::poll_io`, `poll_ready`, `rehome` and `tell`.

use std::mem;
use std::sync::Arc;

use loom::sync::Condvar;

use crate::state::{READ, REGISTERED, State};
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Mutex, thread};
use crate::waiting::Waiting;
use crate::{Task, explore};

/// A socket, the two reactors, and what the kernel knows of them.
struct World {
    state: State,
    reader: Waiting,
    /// The reactor that the socket is registered with.
    home: AtomicUsize,
    lock: Mutex<()>,
    kernel: Mutex<Kernel>,
    events: Condvar,
    moves: bool,
}

#[derive(Default)]
struct Kernel {
    data: bool,
    registered: usize,
    /// Events that a reactor has not taken in yet.
    told: [bool; 2],
    /// The bell of the second reactor, which a wake on another thread rings.
    rung: bool,
}

impl World {
    /// Registered with the first reactor, after a read that found nothing.
    fn new(moves: bool) -> Arc<Self> {
        let state = State::new();
        let seen = state.load();
        assert!(state.change(seen, READ, REGISTERED));
        Arc::new(Self {
            state,
            reader: Waiting::default(),
            home: AtomicUsize::new(0),
            lock: Mutex::new(()),
            kernel: Mutex::default(),
            events: Condvar::new(),
            moves,
        })
    }

    fn peer_writes(&self) {
        let mut kernel = self.kernel.lock().expect("no panic");
        kernel.data = true;
        let home = kernel.registered;
        kernel.told[home] = true;
        self.events.notify_one();
    }

    fn read(&self) -> bool {
        mem::take(&mut self.kernel.lock().expect("no panic").data)
    }

    /// One turn of a reactor that finds nothing, or tells what there is.
    fn turn(&self, reactor: usize) {
        let told = mem::take(&mut self.kernel.lock().expect("no panic").told[reactor]);
        if told {
            self.state.tell(READ);
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

    fn rehome(&self, reactor: usize) {
        let _lock = self.lock.lock().expect("no panic");
        if self.home.swap(reactor, Ordering::Relaxed) == reactor {
            return;
        }
        let mut kernel = self.kernel.lock().expect("no panic");
        // What is there already is told anew when the socket is added.
        kernel.registered = reactor;
        kernel.told[reactor] |= kernel.data;
    }

    /// Polls for a read, on the thread of a reactor.
    fn poll(&self, task: &Arc<Task>, reactor: usize) -> bool {
        loop {
            let mut seen = self.state.load();
            if seen & READ == 0 {
                self.reader.register(&task.waker());
                loop {
                    seen = self.state.load();
                    if seen & READ != 0 {
                        break;
                    }
                    if !self.moves || self.home.load(Ordering::Relaxed) == reactor {
                        return false;
                    }
                    self.rehome(reactor);
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
pub fn a_task_reads_though_the_first_reactor_is_held(moves: bool) {
    explore(3, move || {
        let world = World::new(moves);
        let (first, second) = (world.clone(), world.clone());
        let first = thread::spawn(move || first.turn(0));
        let reads = thread::spawn(move || {
            let task = Task::new();
            while !task.run(|| second.poll(&task, 1)) {
                second.wait(1);
            }
        });
        world.peer_writes();
        first.join().expect("turned");
        reads.join().expect("read");
    });
}
