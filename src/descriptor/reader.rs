//! The reading half.

use std::fmt;
use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_lite::AsyncRead;
use rustix::fs::OFlags;
use rustix::io::Errno;

use super::kind::{
    FdKind, has_nothing_yet, is_end_of_terminal, is_hung_up, open_again, set_nonblocking,
};
use super::pool::BlockingFile;
use super::pool_reader::PoolReader;
use crate::reactor::{Watched, slices};

/// Reads from any descriptor: a pipe, a terminal, a device, a socket, a file, or whatever the
/// system may add.
///
/// Where the system tells of readiness, nothing waits but the task. Files, `/dev/null` and their
/// like are read by a thread of the blocking pool, which has 500 at most; their end is one for good,
/// also where a file grows. Where the system gives no thread, a read fails, and the next read tries
/// again. A terminal in raw mode has no end of input before it is hung up, also where its reads do not wait
/// (`VMIN` is 0).
///
/// # Examples
///
/// ```
/// use futures_lite::AsyncReadExt;
/// use halves::descriptor::FdReader;
/// use std::io::Write;
///
/// let (from, mut to) = std::io::pipe()?;
/// to.write_all(b"hello")?;
/// drop(to);
/// let mut heard = String::new();
/// smol::block_on(FdReader::new(from)?.read_to_string(&mut heard))?;
/// assert_eq!(heard, "hello");
/// # std::io::Result::Ok(())
/// ```
pub struct FdReader(Source);

enum Source {
    Watched {
        fd: Watched,
        kind: FdKind,
        /// It is a FIFO that nobody may have opened for writing yet.
        waits: bool,
    },
    Pool(PoolReader),
}

impl FdReader {
    /// Takes over a descriptor. What it stands for is made non-blocking where it can be watched,
    /// also for others who share it: so not for a copy of one that somebody else uses, and never
    /// for the standard streams, for which there is [`stdio`](crate::listener::stdio).
    ///
    /// # Errors
    ///
    /// What the system says when it cannot be asked what it is, or not be watched.
    ///
    /// # Examples
    ///
    /// See [`FdReader`].
    pub fn new(fd: impl Into<OwnedFd>) -> io::Result<Self> {
        Self::open(fd.into(), false)
    }

    /// The same, of what was opened by a name. A FIFO that nobody has written to yet says end of
    /// input at once, if one asks it: this one waits for the first writer.
    pub(crate) fn named(fd: OwnedFd) -> io::Result<Self> {
        Self::open(fd, true)
    }

    /// Reads from a descriptor that others use, too, and leaves it blocking for them.
    pub(crate) fn shared(fd: BorrowedFd<'_>) -> io::Result<Self> {
        match open_again(fd, OFlags::RDONLY) {
            Some(own) => Self::open(own, false),
            None => Ok(Self::pool(fd.try_clone_to_owned()?)),
        }
    }

    fn open(fd: OwnedFd, waits: bool) -> io::Result<Self> {
        let kind = FdKind::of(fd.as_fd())?;
        if kind == FdKind::File {
            return Ok(Self::pool(fd));
        }
        set_nonblocking(&fd)?;
        Ok(Self(Source::Watched {
            fd: Watched::new(fd),
            kind,
            waits: waits && kind == FdKind::Pipe,
        }))
    }

    fn pool(fd: OwnedFd) -> Self {
        let file = BlockingFile::new(File::from(fd));
        Self(Source::Pool(PoolReader::new(file)))
    }

    /// Another handle to it, where it is watched.
    pub(crate) fn watched(&self) -> Option<Watched> {
        match &self.0 {
            Source::Watched { fd, .. } => Some(fd.clone()),
            Source::Pool(_) => None,
        }
    }
}

impl AsyncRead for FdReader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let room = buf.len();
        match &mut self.0 {
            Source::Watched { fd, kind, waits } => fd.poll_read(cx, room, |fd| {
                let result = rustix::io::read(fd, &mut *buf);
                checked(fd, result, *kind, waits)
            }),
            Source::Pool(file) => file.poll_read(cx, buf),
        }
    }

    fn poll_read_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        let (bufs, room) = slices::to_read(bufs);
        match &mut self.0 {
            Source::Watched { fd, kind, waits } => fd.poll_read(cx, room, |fd| {
                let result = rustix::io::readv(fd, &mut *bufs);
                checked(fd, result, *kind, waits)
            }),
            Source::Pool(file) => {
                let first = bufs.iter_mut().find(|buf| !buf.is_empty());
                file.poll_read(cx, first.map_or(&mut [], |buf| buf))
            }
        }
    }
}

/// What a read means, of this kind of thing.
fn checked(
    fd: BorrowedFd<'_>,
    result: rustix::io::Result<usize>,
    kind: FdKind,
    waits: &mut bool,
) -> rustix::io::Result<usize> {
    match result {
        Ok(0) if *waits && !is_hung_up(fd) => Err(Errno::AGAIN),
        Ok(0) if kind == FdKind::Terminal && has_nothing_yet(fd) => Err(Errno::AGAIN),
        // Whoever had the terminal has closed it.
        Err(Errno::IO) if kind == FdKind::Master => Ok(0),
        Err(error) if is_end_of_terminal(fd, error) => Ok(0),
        Ok(n) => {
            *waits &= n == 0;
            Ok(n)
        }
        Err(error) => Err(error),
    }
}

impl fmt::Debug for FdReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FdReader").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::descriptor::pool::tests::terminal;

    /// The kernel returns it for a moment while the other end closes.
    #[test]
    fn an_input_output_error_is_the_end_of_a_terminal_that_is_hung_up() -> io::Result<()> {
        let (person, program) = terminal()?;
        let read = || {
            checked(
                program.as_fd(),
                Err(Errno::IO),
                FdKind::Terminal,
                &mut false,
            )
        };
        assert_eq!(read(), Err(Errno::IO), "it is still there");
        drop(person);
        assert_eq!(read(), Ok(0));
        Ok(())
    }
}
