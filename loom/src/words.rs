//! The state word, and who reads: what is told is read, whatever is done to the word meanwhile.

use std::sync::Arc;
use std::task::Waker;

use crate::state::{READ, REGISTERED, State, WRITE};
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::waker_slot::WakerSlot;
use crate::{Task, explore};

/// A socket that is registered, with the kernel's queue of bytes.
struct Socket {
    queued: AtomicUsize,
    state: State,
    reader: WakerSlot,
}

impl Socket {
    fn new() -> Arc<Self> {
        let state = State::new();
        state.set(REGISTERED, true);
        Arc::new(Self {
            queued: AtomicUsize::new(0),
            state,
            reader: WakerSlot::default(),
        })
    }

    /// A byte comes, and then the reactor hears of it.
    fn deliver(&self) {
        self.queued.fetch_add(1, Ordering::Relaxed);
        self.state.report(READ);
        self.reader.wake();
    }

    /// As `Source::poll_io` does it; each read takes all there is, and so is short.
    fn poll_read(&self, waker: &Waker) -> Option<usize> {
        loop {
            let mut seen = self.state.load();
            if seen & READ == 0 {
                self.reader.register(waker);
                seen = self.state.load();
                if seen & READ == 0 {
                    return None;
                }
            }
            let read = self.queued.swap(0, Ordering::Relaxed);
            self.state.change(seen, READ, 0);
            if read > 0 {
                return Some(read);
            }
        }
    }
}

/// The other half, or an outbox, changes the same word while bytes come, one told late.
pub fn what_is_told_is_read() {
    explore(3, || {
        let (socket, task) = (Socket::new(), Task::new());
        let tell = {
            let socket = socket.clone();
            loom::thread::spawn(move || {
                socket.deliver();
                socket.deliver();
            })
        };
        let write = {
            let socket = socket.clone();
            loom::thread::spawn(move || {
                let seen = socket.state.load();
                socket.state.change(seen, WRITE, 0);
            })
        };
        let waker = task.waker();
        let mut read = 0;
        let mut poll = || {
            while let Some(more) = socket.poll_read(&waker) {
                read += more;
            }
            false
        };
        task.run(&mut poll);
        tell.join().expect("told");
        write.join().expect("written");
        task.run(&mut poll);
        assert_eq!(read, 2, "nobody wakes who reads");
    });
}
