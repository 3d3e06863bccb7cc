//! The first wait of a writer makes its waker slot, while the reactor reports that the socket is
//! writable.

use std::sync::Arc;
use std::task::Waker;

use crate::state::{REGISTERED, StateWord, WRITE};
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::waker_slot::WakerSlot;
use crate::{Lazy, Task, explore, fence_if};

/// A registered socket. The buffer of its peer is full.
struct Socket {
    fences: bool,
    room: AtomicUsize,
    state: StateWord,
    writer: Lazy<WakerSlot>,
}

impl Socket {
    fn new(fences: bool) -> Arc<Self> {
        let state = StateWord::new();
        state.set(REGISTERED, true);
        state.set(WRITE, false);
        Arc::new(Self {
            fences,
            room: AtomicUsize::new(0),
            state,
            writer: Lazy::default(),
        })
    }

    /// The peer reads, then the reactor reports it as in `Source::handle_event` and `wake_writer`.
    fn make_room(&self) {
        self.room.fetch_add(1, Ordering::Relaxed);
        if self.state.report(WRITE) & WRITE == 0 {
            fence_if(self.fences);
            if let Some(writer) = self.writer.get() {
                writer.wake();
            }
        }
    }

    /// A poll as in `Source::poll_io`. Returns true if there was room.
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

/// A task that waits for the first time is woken. Without fences it may not be.
pub fn the_first_wait_to_write_ends(fences: bool) {
    explore(3, move || {
        let (socket, task) = (Socket::new(fences), Task::new());
        let report = {
            let socket = socket.clone();
            loom::thread::spawn(move || socket.make_room())
        };
        let waker = task.waker();
        let mut poll = || socket.poll_write(&waker);
        let written = task.run(&mut poll);
        report.join().expect("no panic");
        assert!(
            written || task.run(&mut poll),
            "the writing task is not woken"
        );
    });
}
