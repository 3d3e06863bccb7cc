//! Moves bytes between sockets through a pipe, without copying them into this process: splice(2).

#![allow(
    clippy::vec_box,
    reason = "a pipe is a pointer to its ends, which moves as such"
)]

use std::io;
use std::mem;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, ready};

use async_signal::Signal;
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use rustix::process::{Resource, getrlimit};

use super::state::Direction;
use super::{Socket, SourceOwner};
use crate::signals;

/// The capacity of a pipe. Unprivileged users may have about 64 of this size.
const PIPE_BYTES: usize = 1024 * 1024;
/// The most pipes of this process.
const MAX_PIPES: usize = 32;
/// The open files of which one pipe takes two: the reserve of a server is an eighth.
const FILES_PER_PIPE: u64 = 64;
/// The most empty pipes that are kept open.
const MAX_IDLE_PIPES: usize = 4;
/// After a pipe cannot be had, so many calls do not try again.
const SKIPPED_TRIES: usize = 256;

const FLAGS: SpliceFlags = SpliceFlags::NONBLOCK.union(SpliceFlags::MOVE);

static POOL: Mutex<Pool> = Mutex::new(Pool {
    idle: Vec::new(),
    open: 0,
    skip: 0,
    process: 0,
});

/// A pipe from the pool, while bytes are in it. It returns there when it is dropped, or is closed if
/// it still has bytes.
// One pointer, because each direction of a relay has one.
#[derive(Debug, Default)]
pub(crate) struct Pipe(Option<Box<Ends>>);

#[derive(Debug)]
struct Ends {
    reader: OwnedFd,
    writer: OwnedFd,
    /// The number of bytes in the pipe.
    length: usize,
}

struct Pool {
    /// Empty pipes.
    idle: Vec<Box<Ends>>,
    /// The number of all pipes.
    open: usize,
    /// The calls to come that do not try to make a pipe.
    skip: usize,
    /// The process that has opened the pipes. A child of a fork shares them with its parent.
    process: u32,
}

impl Pipe {
    /// Takes an empty pipe from the pool. Returns `None` if all are in use, or none can be made.
    pub(crate) fn take() -> Option<Self> {
        if !is_sigpipe_ignored() {
            return None;
        }
        let mut pool = Pool::lock();
        let inherited = pool.begin();
        let taken = pool.take();
        drop(pool);
        drop(inherited);
        taken.map(|ends| Self(Some(ends)))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.as_ref().is_none_or(|ends| ends.length == 0)
    }

    /// Reads bytes back from the pipe, for a socket that does not take them by splice.
    pub(crate) fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let Some(ends) = &mut self.0 else {
            return Ok(0);
        };
        let read = rustix::io::read(&ends.reader, buf)?;
        ends.length = ends.length.saturating_sub(read);
        Ok(read)
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        if let Some(ends) = self.0.take() {
            let mut pool = Pool::lock();
            let inherited = pool.begin();
            let closed = pool.give_back(ends);
            drop(pool);
            drop((inherited, closed));
        }
    }
}

impl Pool {
    fn lock() -> MutexGuard<'static, Self> {
        POOL.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the pipes of the parent, in the child of a fork.
    fn begin(&mut self) -> Vec<Box<Ends>> {
        let process = process::id();
        if self.process == process {
            return Vec::new();
        }
        self.process = process;
        self.open = 0;
        mem::take(&mut self.idle)
    }

    fn take(&mut self) -> Option<Box<Ends>> {
        if let Some(ends) = self.idle.pop() {
            return Some(ends);
        }
        if self.open >= MAX_PIPES || self.open >= pipes_within(getrlimit(Resource::Nofile).current)
        {
            return None;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return None;
        }
        let Ok(ends) = Ends::open() else {
            self.skip = SKIPPED_TRIES;
            return None;
        };
        self.open += 1;
        Some(Box::new(ends))
    }

    /// Takes back a pipe, or returns it to be closed.
    fn give_back(&mut self, ends: Box<Ends>) -> Option<Box<Ends>> {
        if ends.length == 0 && self.idle.len() < MAX_IDLE_PIPES {
            self.idle.push(ends);
            return None;
        }
        self.open = self.open.saturating_sub(1);
        Some(ends)
    }
}

impl Ends {
    fn open() -> rustix::io::Result<Self> {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // A small pipe would save nothing.
        fcntl_setpipe_size(&writer, PIPE_BYTES)?;
        Ok(Self {
            reader,
            writer,
            length: 0,
        })
    }
}

/// Returns the number of pipes within this limit of open files, so that connections find some.
fn pipes_within(files: Option<u64>) -> usize {
    files.map_or(MAX_PIPES, |files| {
        usize::try_from(files / FILES_PER_PIPE).unwrap_or(MAX_PIPES)
    })
}

/// Returns true if the program ignores SIGPIPE, as programs in Rust do by default. A splice to a
/// socket of which the peer is gone raises this signal.
fn is_sigpipe_ignored() -> bool {
    static IGNORED: OnceLock<bool> = OnceLock::new();
    *IGNORED.get_or_init(|| signals::is_ignored(Signal::Pipe))
}

impl<T: SourceOwner> Socket<T> {
    /// Reads into an empty pipe, and returns the number of bytes.
    pub(crate) fn poll_splice_in(
        &self,
        cx: &mut Context<'_>,
        pipe: &mut Pipe,
    ) -> Poll<io::Result<usize>> {
        let Some(ends) = &mut pipe.0 else {
            return Poll::Ready(Err(Errno::INVAL.into()));
        };
        self.flush_before_read();
        let read =
            |socket: BorrowedFd<'_>| splice(socket, None, &ends.writer, None, PIPE_BYTES, FLAGS);
        // The pages of the pipe may be used up before its bytes, so a short read says nothing.
        let read = self.poll_io(cx, Direction::Read, read, |_| false);
        if let Poll::Ready(Ok(read)) = read {
            ends.length = read;
        }
        self.record_end(read, PIPE_BYTES)
    }

    /// Writes from the pipe, and returns the number of bytes. 0 means that the pipe is empty.
    pub(crate) fn poll_splice_out(
        &self,
        cx: &mut Context<'_>,
        pipe: &mut Pipe,
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_before_write(cx))?;
        let Some(ends) = pipe.0.as_mut().filter(|ends| ends.length > 0) else {
            return Poll::Ready(Ok(0));
        };
        let (reader, length) = (ends.reader.as_fd(), ends.length);
        let write = |socket: BorrowedFd<'_>| splice(reader, None, socket, None, length, FLAGS);
        let written = ready!(self.poll_io(cx, Direction::Write, write, |_| false))?;
        ends.length -= written;
        Poll::Ready(Ok(written))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pipes_take_a_small_part_of_the_open_files() {
        for (files, pipes) in [
            (Some(40), 0),
            (Some(256), 4),
            (Some(1024), 16),
            (None, MAX_PIPES),
        ] {
            assert_eq!(pipes_within(files), pipes);
        }
    }
}
