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
pub(super) mod tests;
