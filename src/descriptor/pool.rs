//! Files on the blocking pool: a thread waits where nobody tells of readiness.

use std::fs::File;
use std::io::{self, Write};
use std::mem;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::retry_on_intr;

use super::kind::{has_nothing_yet, is_end_of_terminal};
use crate::blocking::unblock;

/// Bytes that wait for the thread at most.
const ROOM: usize = 256 * 1024;

/// A file on a thread that may wait. It waits also where somebody has made the file non-blocking:
/// that is a property of the terminal or pipe, and whoever shares it with us may set it.
pub(super) struct BlockingFile {
    file: File,
}

impl BlockingFile {
    pub(super) fn new(file: File) -> Self {
        Self { file }
    }

    /// Calls `io` until there is something. A signal that this thread handles ends a wait early, and
    /// is no error.
    fn wait(
        &self,
        flags: PollFlags,
        mut io: impl FnMut(&File) -> io::Result<usize>,
    ) -> io::Result<usize> {
        loop {
            match io(&self.file) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let mut ready = [PollFd::new(&self.file, flags)];
                    retry_on_intr(|| poll(&mut ready, None))?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    pub(super) fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.wait(PollFlags::IN, |file| {
            checked(file.as_fd(), rustix::io::read(file, &mut *buf))
        })
    }

    fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.wait(PollFlags::OUT, |mut file| file.write(bytes)) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => bytes = &bytes[n..],
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// The result of a read, of a file or a terminal.
fn checked(fd: BorrowedFd<'_>, result: rustix::io::Result<usize>) -> io::Result<usize> {
    match result {
        Ok(0) if has_nothing_yet(fd) => Err(io::ErrorKind::WouldBlock.into()),
        Err(error) if is_end_of_terminal(fd, error) => Ok(0),
        result => Ok(result?),
    }
}

/// Writes to a file on a thread. What it has taken is written, also when it is dropped: the
/// thread goes on until there is nothing left. A process that exits ends its threads, though; so
/// of a regular file, which keeps nobody waiting for long, the drop itself sees to what is left.
pub(super) struct PoolWriter(Arc<Shared>);

struct Shared {
    file: BlockingFile,
    is_regular: bool,
    queue: Mutex<Queue>,
    /// Held by whoever writes out: one at a time, in order.
    writing: Mutex<()>,
}

#[derive(Default)]
struct Queue {
    bytes: Vec<u8>,
    /// A thread is at it, and will look again before it leaves.
    attended: bool,
    /// What came of it, for good: after what was not written, nothing may follow.
    failed: Option<Failure>,
    /// Who waits for room, or for the end.
    waker: Option<Waker>,
}

/// An error that can be told more than once.
#[derive(Clone, Copy)]
enum Failure {
    Code(i32),
    Kind(io::ErrorKind),
}

impl PoolWriter {
    pub(super) fn new(file: File) -> Self {
        Self(Arc::new(Shared {
            is_regular: file.metadata().is_ok_and(|file| file.is_file()),
            file: BlockingFile::new(file),
            queue: Mutex::default(),
            writing: Mutex::default(),
        }))
    }

    pub(super) fn poll_write(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let mut queue = self.0.lock();
        if let Some(failure) = queue.failed {
            return Poll::Ready(Err(failure.into()));
        }
        let n = buf.len().min(ROOM - queue.bytes.len());
        if n == 0 && !buf.is_empty() {
            return wait(queue, cx);
        }
        if n > 0 && !queue.attended {
            // Where there is no thread, nothing has been taken yet. The thread waits for the lock.
            self.0.start_writing()?;
            queue.attended = true;
        }
        queue.bytes.extend_from_slice(&buf[..n]);
        Poll::Ready(Ok(n))
    }

    /// Ready when all is written.
    pub(super) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let queue = self.0.lock();
        if queue.attended {
            return wait(queue, cx);
        }
        Poll::Ready(queue.failed.map_or(Ok(()), |failure| Err(failure.into())))
    }
}

impl Drop for PoolWriter {
    fn drop(&mut self) {
        let left = self.0.lock().attended;
        if left && self.0.is_regular {
            // Also where every thread of the pool is busy with something else.
            self.0.write_out();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes out the queue on a thread, which goes on when the writer is dropped.
    fn start_writing(self: &Arc<Self>) -> io::Result<()> {
        let shared = self.clone();
        let writing = unblock(move || {
            shared.write_out();
            Ok(())
        });
        writing.detach()
    }

    fn write_out(&self) {
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bytes = Vec::new();
        loop {
            let mut queue = self.lock();
            bytes.clear();
            mem::swap(&mut bytes, &mut queue.bytes);
            queue.attended = !bytes.is_empty();
            let woken = queue.waker.take();
            drop(queue);
            woken.into_iter().for_each(Waker::wake);
            if bytes.is_empty() {
                return;
            }
            if let Err(error) = self.file.write_all(&bytes) {
                let mut queue = self.lock();
                queue.failed = Some(error.into());
                queue.bytes = Vec::new();
            }
        }
    }
}

fn wait<T>(mut queue: MutexGuard<'_, Queue>, cx: &mut Context<'_>) -> Poll<T> {
    let before = queue.waker.replace(cx.waker().clone());
    drop(queue);
    drop(before);
    Poll::Pending
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        let code = error.raw_os_error();
        code.map_or(Self::Kind(error.kind()), Self::Code)
    }
}

impl From<Failure> for io::Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Code(code) => Self::from_raw_os_error(code),
            Failure::Kind(kind) => kind.into(),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::future::poll_fn;
    use std::io::Read;
    use std::os::fd::OwnedFd;
    use std::os::unix::fs::FileExt;
    use std::sync::mpsc;
    use std::thread;

    use futures_lite::future;

    use super::*;
    use crate::blocking::without_threads;
    use crate::descriptor::kind::set_nonblocking;

    fn pipe() -> (io::PipeReader, PoolWriter) {
        let (from, to) = io::pipe().expect("a pipe");
        (from, PoolWriter::new(File::from(OwnedFd::from(to))))
    }

    #[test]
    fn what_was_taken_is_written_also_when_the_writer_is_dropped() {
        let (mut from, to) = pipe();
        let taken = smol::block_on(async {
            let mut taken = 0;
            let chunk = [7; 10_000];
            // Nobody reads: the pipe, the thread and the queue fill up.
            let writing = async {
                loop {
                    let write = poll_fn(|cx| to.poll_write(cx, &chunk));
                    taken += write.await.expect("it is read later");
                }
            };
            let mut writing = Box::pin(writing);
            while !to.0.lock().is_full() {
                assert!(future::poll_once(&mut writing).await.is_none());
            }
            drop(writing);
            taken
        });
        assert!(taken >= ROOM, "{taken}");
        drop(to);
        let mut heard = Vec::new();
        from.read_to_end(&mut heard).expect("a pipe");
        assert_eq!(heard.len(), taken);
    }

    #[test]
    fn a_write_that_is_refused_a_thread_takes_nothing() {
        let file = tempfile::tempfile().expect("a file");
        let to = PoolWriter::new(file.try_clone().expect("a copy"));
        let write = |bytes| smol::block_on(poll_fn(|cx| to.poll_write(cx, bytes)));
        without_threads(|| {
            for _ in 0..2 {
                let error = write(b"lost").expect_err("refused");
                assert_eq!(error.kind(), io::ErrorKind::Other);
                assert!(error.to_string().starts_with("no thread"), "{error}");
            }
        });
        smol::block_on(poll_fn(|cx| to.poll_flush(cx))).expect("there is nothing to write");
        assert_eq!(write(b"kept").expect("a thread"), 4);
        drop(to);
        let mut written = [0; 8];
        let n = file.read_at(&mut written, 0).expect("read");
        assert_eq!(&written[..n], b"kept");
    }

    #[test]
    fn a_writer_that_waits_for_room_is_woken() {
        let (mut from, to) = pipe();
        let (sent, done) = mpsc::channel();
        thread::spawn(move || {
            smol::block_on(async {
                let mut rest = &vec![7; 3 * ROOM][..];
                while !rest.is_empty() {
                    let n = poll_fn(|cx| to.poll_write(cx, rest)).await.expect("read");
                    rest = &rest[n..];
                }
                poll_fn(|cx| to.poll_flush(cx)).await.expect("read");
            });
            sent.send(()).expect("the test waits");
        });
        let mut heard = vec![0; 3 * ROOM];
        from.read_exact(&mut heard).expect("a pipe");
        done.recv().expect("it was flushed");
    }

    /// The person's end of a terminal, and the program's.
    pub(in crate::descriptor) fn terminal() -> io::Result<(OwnedFd, OwnedFd)> {
        use rustix::fs::{Mode, OFlags, open};
        use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let person = openpt(flags)?;
        grantpt(&person)?;
        unlockpt(&person)?;
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let program = open(ptsname(&person, vec![])?, flags, Mode::empty())?;
        Ok((person, program))
    }

    /// Reads on a thread, and returns when that waits, or has not waited.
    #[cfg(target_os = "linux")]
    fn read_on_a_thread(file: OwnedFd) -> (u32, thread::JoinHandle<io::Result<Vec<u8>>>) {
        let (say, hear) = mpsc::channel();
        let reading = thread::spawn(move || {
            let id = rustix::thread::gettid().as_raw_nonzero().get();
            say.send(id.cast_unsigned()).expect("the test waits");
            let mut heard = vec![0; 8];
            let n = BlockingFile::new(File::from(file)).read(&mut heard)?;
            heard.truncate(n);
            Ok(heard)
        });
        let id = hear.recv().expect("it begins");
        wait_until_asleep(id, &reading);
        (id, reading)
    }

    #[cfg(target_os = "linux")]
    fn wait_until_asleep<T>(id: u32, thread: &thread::JoinHandle<T>) {
        let stat = format!("/proc/self/task/{id}/stat");
        let is_asleep = || std::fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") S "));
        while !thread.is_finished() && !is_asleep() {
            thread::yield_now();
        }
    }

    /// It ends poll(2) whatever its handler says.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_signal_that_is_handled_is_no_error() -> io::Result<()> {
        use std::os::unix::thread::JoinHandleExt;

        use async_signal::{Signal, Signals};
        use futures_lite::StreamExt;

        let mut signals = Signals::new([Signal::Winch])?;
        let (from, mut to) = io::pipe()?;
        set_nonblocking(&from)?;
        let (id, reading) = read_on_a_thread(from.into());
        for _ in 0..3 {
            if !reading.is_finished() {
                nix::sys::pthread::pthread_kill(
                    reading.as_pthread_t(),
                    nix::sys::signal::SIGWINCH,
                )?;
                smol::block_on(signals.next());
                wait_until_asleep(id, &reading);
            }
        }
        to.write_all(b"hello")?;
        assert_eq!(reading.join().expect("no panic")?, b"hello");
        Ok(())
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_terminal_whose_reads_do_not_wait_is_waited_for() -> io::Result<()> {
        use rustix::termios::{OptionalActions, SpecialCodeIndex, tcgetattr, tcsetattr};

        let (person, program) = terminal()?;
        let mut mode = tcgetattr(&program)?;
        mode.make_raw();
        mode.special_codes[SpecialCodeIndex::VMIN] = 0;
        tcsetattr(&program, OptionalActions::Now, &mode)?;
        let (_, reading) = read_on_a_thread(program.try_clone()?);
        rustix::io::write(&person, b"hello")?;
        assert_eq!(reading.join().expect("no panic")?, b"hello");
        let (_, reading) = read_on_a_thread(program);
        drop(person);
        assert_eq!(reading.join().expect("no panic")?, b"", "it is hung up");
        Ok(())
    }

    #[test]
    fn an_input_output_error_is_the_end_of_a_terminal_that_is_hung_up() -> io::Result<()> {
        let (person, program) = terminal()?;
        let read = || checked(program.as_fd(), Err(rustix::io::Errno::IO));
        assert!(read().is_err(), "it is still there");
        drop(person);
        assert_eq!(read()?, 0);
        Ok(())
    }

    impl Queue {
        fn is_full(&self) -> bool {
            self.bytes.len() == ROOM
        }
    }
}
