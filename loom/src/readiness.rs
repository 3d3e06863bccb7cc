//! Every reported byte is read, although other threads change the state word meanwhile.

use std::sync::Arc;
use std::task::Waker;

use crate::state::{READ, REGISTERED, StateWord, WRITE};
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::waker_slot::WakerSlot;
use crate::{Task, explore};

/// A registered socket with the number of bytes that the kernel has queued.
struct Socket {
    queued: AtomicUsize,
    state: StateWord,
    reader: WakerSlot,
}

impl Socket {
    fn new() -> Arc<Self> {
        let state = StateWord::new();
        state.set(REGISTERED, true);
        Arc::new(Self {
            queued: AtomicUsize::new(0),
            state,
            reader: WakerSlot::default(),
        })
    }

    /// A byte arrives, then the reactor reports it.
    fn deliver(&self) {
        self.queued.fetch_add(1, Ordering::Relaxed);
        self.state.report(READ);
        self.reader.wake();
    }

    /// A poll as in `Source::poll_io`. Each read takes all bytes, and so is short.
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

/// The other half, or an outbox, changes the state word while two bytes arrive.
pub fn every_reported_byte_is_read() {
    explore(3, || {
        let (socket, task) = (Socket::new(), Task::new());
        let deliver = {
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
        deliver.join().expect("no panic");
        write.join().expect("no panic");
        task.run(&mut poll);
        assert_eq!(read, 2, "the reading task is not woken");
    });
}
