//! A bounded queue of log lines, and the thread that writes them to standard error. Logging never
//! waits.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};

/// The capacity of the queue. The thread may hold the same amount again.
const MAX_QUEUED_BYTES: usize = 256 * 1024;
/// The time for which the thread gathers lines before it writes them. A wake and a write for each
/// line would take a quarter of the time of a server with many short connections.
const GATHER_TIME: Duration = Duration::from_millis(5);
/// The longest wait for the last lines at the end of the process.
const FLUSH_TIMEOUT: Duration = Duration::from_millis(250);

/// Lines that wait to be written. A line that does not fit is dropped and counted.
#[derive(Default)]
pub(super) struct LogQueue {
    pending: Mutex<Pending>,
    /// Notified when a first line is queued, and when a flush begins.
    filled: Condvar,
    written: Condvar,
}

#[derive(Default)]
struct Pending {
    lines: Vec<u8>,
    /// Lines dropped since the thread last took `lines`.
    dropped: u64,
    /// True while the thread writes lines that it has taken.
    busy: bool,
    /// True once a flush has begun: the thread gathers no longer.
    flushing: bool,
}

/// The side of the thread.
struct LogWriter<W, D> {
    to: W,
    /// Makes the line that reports a number of dropped lines.
    dropped_line: D,
    /// Lines that could not be written and are not reported yet.
    lost: u64,
    /// True if the last bytes written are an incomplete line.
    torn: bool,
}

/// Standard error. A write waits even if standard error is non-blocking: that flag belongs to the
/// terminal or pipe, and any process that shares it may set it.
pub(super) struct Stderr;

impl LogQueue {
    /// Starts the thread. It is never joined, because a write may be stalled for ever.
    pub(super) fn start<W, D>(to: W, dropped_line: D) -> io::Result<Arc<Self>>
    where
        W: Write + Send + 'static,
        D: Fn(u64) -> String + Send + 'static,
    {
        let queue = Arc::<Self>::default();
        let taken = queue.clone();
        let mut writer = LogWriter {
            to,
            dropped_line,
            lost: 0,
            torn: false,
        };
        thread::Builder::new()
            .name("halves-log".into())
            .spawn(move || {
                loop {
                    let (lines, dropped) = taken.take();
                    writer.write(&lines, dropped);
                }
            })?;
        Ok(queue)
    }

    /// Queues a line, which ends with a newline, or drops it.
    pub(super) fn push(&self, line: &str) {
        let mut pending = self.lock();
        let first = pending.is_empty();
        // After a dropped line all lines are dropped until the queue is taken, so the gap is in one
        // place.
        if pending.dropped > 0 || pending.lines.len() + line.len() > MAX_QUEUED_BYTES {
            pending.dropped += 1;
        } else {
            pending.lines.extend_from_slice(line.as_bytes());
        }
        drop(pending);
        if first {
            self.filled.notify_one();
        }
    }

    /// Waits until all lines are written, for [`FLUSH_TIMEOUT`] at most.
    pub(super) fn flush(&self) {
        let unwritten = |pending: &mut Pending| pending.busy || !pending.is_empty();
        let mut pending = self.lock();
        pending.flushing = true;
        self.filled.notify_one();
        drop(
            self.written
                .wait_timeout_while(pending, FLUSH_TIMEOUT, unwritten),
        );
    }

    /// Waits for lines, and returns them with the number of lines dropped after them.
    fn take(&self) -> (Vec<u8>, u64) {
        let mut pending = self.lock();
        pending.busy = false;
        self.written.notify_all();
        let mut pending = self
            .filled
            .wait_while(pending, |pending| pending.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        pending.busy = true;
        let gathering = |pending: &mut Pending| !pending.flushing;
        let (mut pending, _) = self
            .filled
            .wait_timeout_while(pending, GATHER_TIME, gathering)
            .unwrap_or_else(PoisonError::into_inner);
        let lines = std::mem::take(&mut pending.lines);
        (lines, std::mem::take(&mut pending.dropped))
    }

    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pending {
    fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.dropped == 0
    }
}

impl<W: Write, D: Fn(u64) -> String> LogWriter<W, D> {
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
        let line = (self.dropped_line)(dropped);
        if self.write_lines(line.as_bytes()) > 0 {
            self.lost += dropped;
        }
    }

    /// Writes lines, and returns the number of those that failed. No error is final: a full disk
    /// may have room again for the next lines.
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
                    // A whole text without a line end goes on later.
                    self.torn = n < rest.len() && rest[n - 1] != b'\n';
                    rest = &rest[n..];
                }
            }
        }
        rest.split(|&byte| byte == b'\n').skip(1).count() as u64
    }
}

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            let mut stderr = io::stderr();
            match stderr.write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    poll(&mut [PollFd::new(&stderr, PollFlags::OUT)], None)?;
                }
                result => return result,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// A writer that takes its results from the test: a number of bytes, or an error.
    struct Gated {
        allowed: Receiver<io::Result<usize>>,
        to: Sender<String>,
    }

    impl Write for Gated {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let max = self.allowed.recv().expect("the test waits")?;
            let n = max.min(bytes.len());
            let text = String::from_utf8_lossy(&bytes[..n]).into_owned();
            self.to.send(text).expect("the test waits");
            Ok(n)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn gated() -> (
        Arc<LogQueue>,
        Sender<io::Result<usize>>,
        impl Fn() -> String,
    ) {
        let (allow, allowed) = channel();
        let (to, written) = channel();
        let dropped_line = |n| format!("dropped={n}\n");
        let queue = LogQueue::start(Gated { allowed, to }, dropped_line).expect("a thread");
        let next = move || {
            let wait = Duration::from_secs(20);
            written.recv_timeout(wait).expect("a write")
        };
        (queue, allow, next)
    }

    /// Waits until the thread has written everything.
    fn settle(queue: &LogQueue) {
        let idle = |pending: &Pending| !pending.busy && pending.is_empty();
        while !idle(&queue.lock()) {
            thread::yield_now();
        }
    }

    fn full() -> io::Result<usize> {
        Err(io::ErrorKind::StorageFull.into())
    }

    #[test]
    fn lines_are_written_unchanged() {
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
    fn a_stalled_writer_drops_lines_and_counts_them() {
        let (queue, allow, next) = gated();
        let line = format!("{}\n", "x".repeat(1023));
        queue.push("first\n");
        // Once the thread has taken that line and stalls, every pushed line waits.
        let taken = |pending: &Pending| pending.busy && pending.is_empty();
        while !taken(&queue.lock()) {
            thread::yield_now();
        }
        for _ in 0..MAX_QUEUED_BYTES / line.len() + 5 {
            queue.push(&line);
        }
        queue.push("small enough, but after the gap began\n");
        queue.flush();
        for _ in 0..3 {
            allow.send(Ok(usize::MAX)).expect("open");
        }
        assert_eq!(next(), "first\n");
        assert_eq!(next().len(), MAX_QUEUED_BYTES);
        assert_eq!(next(), "dropped=6\n");
    }

    #[test]
    fn failed_lines_are_counted_until_a_write_succeeds() {
        let (queue, allow, next) = gated();
        allow.send(full()).expect("open");
        queue.push("one\n");
        settle(&queue);
        // Three bytes of the next line fit.
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
