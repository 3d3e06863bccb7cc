//! The writer's place is made when somebody waits to write, while a reactor tells that it may.

use std::sync::Arc;
use std::task::Waker;

use crate::state::{REGISTERED, State, WRITE};
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::waker_slot::WakerSlot;
use crate::{Seldom, Task, explore, fence_if};

/// A socket that is registered, whose peer has taken nothing for long.
struct Socket {
    fences: bool,
    room: AtomicUsize,
    state: State,
    writer: Seldom<WakerSlot>,
}

impl Socket {
    fn new(fences: bool) -> Arc<Self> {
        let state = State::new();
        state.set(REGISTERED, true);
        state.set(WRITE, false);
        Arc::new(Self {
            fences,
            room: AtomicUsize::new(0),
            state,
            writer: Seldom::default(),
        })
    }

    /// The peer takes something, and then the reactor hears of it: `Source::handle_event`, `wake_writer`.
    fn make_room(&self) {
        self.room.fetch_add(1, Ordering::Relaxed);
        if self.state.report(WRITE) & WRITE == 0 {
            fence_if(self.fences);
            if let Some(writer) = self.writer.get() {
                writer.wake();
            }
        }
    }

    /// As `Source::poll_io` does it. Says whether there was room.
    fn poll_write(&self, waker: &Waker) -> bool {
        loop {
            let mut seen = self.state.load();
            if seen & WRITE == 0 {
                self.writer.get_or_init().register(waker);
                fence_if(self.fences);
                seen = self.state.load();
                if seen & WRITE == 0 {
                    return false;
                }
            }
            if self.room.swap(0, Ordering::Relaxed) > 0 {
                return true;
            }
            self.state.change(seen, WRITE, 0);
        }
    }
}

/// Whether with fences or without: who waits for the first time is woken.
pub fn the_first_wait_to_write_ends(fences: bool) {
    explore(3, move || {
        let (socket, task) = (Socket::new(fences), Task::new());
        let tell = {
            let socket = socket.clone();
            loom::thread::spawn(move || socket.make_room())
        };
        let waker = task.waker();
        let mut poll = || socket.poll_write(&waker);
        let written = task.run(&mut poll);
        tell.join().expect("told");
        assert!(written || task.run(&mut poll), "nobody wakes who writes");
    });
}
