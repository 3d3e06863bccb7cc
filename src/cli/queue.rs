//! A bounded queue of lines, and the thread that writes them: whoever logs never waits.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Lines that wait to be written, in bytes; as much again is being written.
const CAPACITY: usize = 256 * 1024;
/// How long the thread gathers lines before it writes them: a wake and a write for each line would
/// cost a server of many short connections a quarter of its time.
const GATHER: Duration = Duration::from_millis(5);
/// How long the end of the process waits for the last lines.
const PATIENCE: Duration = Duration::from_millis(250);

/// The lines that wait. Those for which there is no room are dropped and counted.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// There is a first line, or the last lines are wanted.
    filled: Condvar,
    written: Condvar,
}

#[derive(Default)]
struct State {
    lines: Vec<u8>,
    /// Since the thread last took `lines`.
    dropped: u64,
    /// The thread has taken lines, and not written all of them yet.
    busy: bool,
    /// Somebody waits for everything to be written: nothing is gathered any more.
    flushing: bool,
}

/// The thread's side.
struct Drain<W, D> {
    to: W,
    /// The line that says how many were dropped.
    say_dropped: D,
    /// Lines that could not be written, and of which nothing was said yet.
    lost: u64,
    /// What was written last is only the beginning of a line.
    torn: bool,
}

impl Queue {
    /// Starts the thread. It is never joined: it may be stalled for ever.
    pub(super) fn start<W, D>(to: W, say_dropped: D) -> io::Result<Arc<Self>>
    where
        W: Write + Send + 'static,
        D: Fn(u64) -> String + Send + 'static,
    {
        let queue = Arc::<Self>::default();
        let taken = queue.clone();
        let mut drain = Drain {
            to,
            say_dropped,
            lost: 0,
            torn: false,
        };
        thread::Builder::new()
            .name("halves-log".into())
            .spawn(move || {
                loop {
                    let (lines, dropped) = taken.take();
                    drain.write(&lines, dropped);
                }
            })?;
        Ok(queue)
    }

    /// Adds a line, which has its end, or drops it.
    pub(super) fn push(&self, line: &str) {
        let mut state = self.lock();
        let first = state.is_empty();
        // Once one is dropped all are, until there is room: so the gap is in one place.
        if state.dropped > 0 || state.lines.len() + line.len() > CAPACITY {
            state.dropped += 1;
        } else {
            state.lines.extend_from_slice(line.as_bytes());
        }
        drop(state);
        if first {
            self.filled.notify_one();
        }
    }

    /// Waits until everything is written, but not for long.
    pub(super) fn flush(&self) {
        let unwritten = |state: &mut State| state.busy || !state.is_empty();
        let mut state = self.lock();
        state.flushing = true;
        self.filled.notify_one();
        drop(self.written.wait_timeout_while(state, PATIENCE, unwritten));
    }

    /// Waits for lines; says how many were dropped after them.
    fn take(&self) -> (Vec<u8>, u64) {
        let mut state = self.lock();
        state.busy = false;
        self.written.notify_all();
        let mut state = self
            .filled
            .wait_while(state, |state| state.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        state.busy = true;
        let gathering = |state: &mut State| !state.flushing;
        let (mut state, _) = self
            .filled
            .wait_timeout_while(state, GATHER, gathering)
            .unwrap_or_else(PoisonError::into_inner);
        let lines = std::mem::take(&mut state.lines);
        (lines, std::mem::take(&mut state.dropped))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.dropped == 0
    }
}

impl<W: Write, D: Fn(u64) -> String> Drain<W, D> {
    fn write(&mut self, lines: &[u8], dropped: u64) {
        if self.lost > 0 {
            let lost = std::mem::take(&mut self.lost);
            self.write_dropped(lost);
        }
        self.lost += self.write_lines(lines);
        if dropped > 0 {
            self.write_dropped(dropped);
        }
    }

    fn write_dropped(&mut self, dropped: u64) {
        let line = (self.say_dropped)(dropped);
        if self.write_lines(line.as_bytes()) > 0 {
            self.lost += dropped;
        }
    }

    /// Says how many lines could not be written, for whatever reason: a disk may have room again
    /// later, so the next ones are tried anew.
    fn write_lines(&mut self, lines: &[u8]) -> u64 {
        if self.torn {
            self.torn = self.to.write_all(b"\n").is_err();
        }
        let mut rest = lines;
        while !rest.is_empty() {
            match self.to.write(rest) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => break,
                Ok(n) => {
                    self.torn = rest[n - 1] != b'\n';
                    rest = &rest[n..];
                }
            }
        }
        rest.split(|&byte| byte == b'\n').skip(1).count() as u64
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// Writes what the test allows: a number of bytes, or an error.
    struct Gated {
        allowed: Receiver<io::Result<usize>>,
        to: Sender<String>,
    }

    impl Write for Gated {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let most = self.allowed.recv().expect("the test waits")?;
            let n = most.min(bytes.len());
            let text = String::from_utf8_lossy(&bytes[..n]).into_owned();
            self.to.send(text).expect("the test waits");
            Ok(n)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn gated() -> (Arc<Queue>, Sender<io::Result<usize>>, impl Fn() -> String) {
        let (allow, allowed) = channel();
        let (to, written) = channel();
        let say = |n| format!("dropped={n}\n");
        let queue = Queue::start(Gated { allowed, to }, say).expect("a thread");
        let next = move || {
            let wait = Duration::from_secs(20);
            written.recv_timeout(wait).expect("a write")
        };
        (queue, allow, next)
    }

    /// Waits, however long it takes, until the thread has nothing more to do.
    fn settle(queue: &Queue) {
        let idle = |state: &State| !state.busy && state.is_empty();
        while !idle(&queue.lock()) {
            thread::yield_now();
        }
    }

    fn full() -> io::Result<usize> {
        Err(io::ErrorKind::StorageFull.into())
    }

    #[test]
    fn lines_come_out_as_they_went_in() {
        let (queue, allow, next) = gated();
        allow.send(Ok(100)).expect("open");
        queue.push("one\n");
        assert_eq!(next(), "one\n");
        allow.send(Ok(100)).expect("open");
        queue.push("two\n");
        assert_eq!(next(), "two\n");
        queue.flush();
    }

    #[test]
    fn a_stalled_writer_costs_lines_which_are_counted() {
        let (queue, allow, next) = gated();
        let line = format!("{}\n", "x".repeat(1023));
        queue.push("first\n");
        // The thread has it, and stalls: then everything that is pushed waits.
        let taken = |state: &State| state.busy && state.is_empty();
        while !taken(&queue.lock()) {
            thread::yield_now();
        }
        for _ in 0..CAPACITY / line.len() + 5 {
            queue.push(&line);
        }
        queue.push("small enough, but after the gap began\n");
        queue.flush();
        for _ in 0..3 {
            allow.send(Ok(usize::MAX)).expect("open");
        }
        assert_eq!(next(), "first\n");
        assert_eq!(next().len(), CAPACITY);
        assert_eq!(next(), "dropped=6\n");
    }

    #[test]
    fn lines_that_cannot_be_written_are_counted_until_they_can() {
        let (queue, allow, next) = gated();
        allow.send(full()).expect("open");
        queue.push("one\n");
        settle(&queue);
        // Three of the next line's bytes fit.
        for allowed in [full(), Ok(3), full()] {
            allow.send(allowed).expect("open");
        }
        queue.push("two\n");
        assert_eq!(next(), "two");
        settle(&queue);
        for allowed in [Ok(1), Ok(100), Ok(100)] {
            allow.send(allowed).expect("open");
        }
        queue.push("three\n");
        assert_eq!(next(), "\n");
        assert_eq!(next(), "dropped=2\n");
        assert_eq!(next(), "three\n");
    }
}
