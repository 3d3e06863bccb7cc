//! `FdReader`: the reading half over a descriptor.

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
use super::pool::{BlockingFile, PoolReader};
use crate::reactor::{WatchedFd, slices_to_read};

/// Reads from any descriptor: a pipe, a terminal, a device, a socket or a file.
///
/// If the system reports readiness, a read occupies no thread. Files, `/dev/null` and similar
/// devices are read by a thread of the blocking pool, which has at most 500. The first end of such
/// a file is final, even if the file grows. A read fails if the system has no thread left; the next
/// read tries again. A terminal in raw mode has no end of input until it is hung up, even with a
/// `VMIN` of 0.
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
/// let mut received = String::new();
/// smol::block_on(FdReader::new(from)?.read_to_string(&mut received))?;
/// assert_eq!(received, "hello");
/// # std::io::Result::Ok(())
/// ```
pub struct FdReader(ReadSource);

enum ReadSource {
    Watched(WatchedReader),
    Pool(PoolReader),
}

struct WatchedReader {
    fd: WatchedFd,
    kind: FdKind,
    /// Set for a FIFO that may not have had a writer yet.
    awaits_writer: bool,
}

impl FdReader {
    /// Takes over a descriptor. If it can be watched, it becomes non-blocking, also for other
    /// processes that share it. So do not pass a duplicate of a descriptor that is in use
    /// elsewhere, and use [`stdio`](crate::listener::stdio) for the standard streams.
    ///
    /// # Errors
    ///
    /// The error of the system if the kind of the descriptor cannot be determined or its flags
    /// cannot be set.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::descriptor::FdReader;
    ///
    /// let reader = FdReader::new(std::fs::File::open("/dev/null")?)?;
    /// # drop(reader);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn new(fd: impl Into<OwnedFd>) -> io::Result<Self> {
        Self::open(fd.into(), false)
    }

    /// Takes over a descriptor of a file that was opened by its path. A FIFO without a first writer
    /// reports the end of input; this reader waits for a writer instead.
    pub(crate) fn named(fd: OwnedFd) -> io::Result<Self> {
        Self::open(fd, true)
    }

    /// Reads from a descriptor that other processes share, and leaves it in blocking mode.
    pub(crate) fn shared(fd: BorrowedFd<'_>) -> io::Result<Self> {
        match open_again(fd, OFlags::RDONLY) {
            Some(own) => Self::open(own, false),
            None => Ok(Self::pool(fd.try_clone_to_owned()?)),
        }
    }

    fn open(fd: OwnedFd, awaits_writer: bool) -> io::Result<Self> {
        let kind = FdKind::of(fd.as_fd())?;
        if kind == FdKind::File {
            return Ok(Self::pool(fd));
        }
        set_nonblocking(&fd)?;
        Ok(Self(ReadSource::Watched(WatchedReader {
            fd: WatchedFd::new(fd),
            kind,
            awaits_writer: awaits_writer && kind == FdKind::Pipe,
        })))
    }

    fn pool(fd: OwnedFd) -> Self {
        let file = BlockingFile::new(File::from(fd));
        Self(ReadSource::Pool(PoolReader::new(file)))
    }

    /// Returns another handle to the descriptor, if it is watched.
    pub(crate) fn watched(&self) -> Option<WatchedFd> {
        match &self.0 {
            ReadSource::Watched(reader) => Some(reader.fd.clone()),
            ReadSource::Pool(_) => None,
        }
    }
}

impl WatchedReader {
    /// Polls `read`, which reads at most `len` bytes from the descriptor.
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        len: usize,
        mut read: impl FnMut(BorrowedFd<'_>) -> rustix::io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        let (kind, awaits_writer) = (self.kind, &mut self.awaits_writer);
        self.fd.poll_read(cx, len, |fd| {
            let result = read(fd);
            check_read(fd, result, kind, awaits_writer)
        })
    }
}

impl AsyncRead for FdReader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let len = buf.len();
        match &mut self.0 {
            ReadSource::Watched(reader) => {
                reader.poll_read(cx, len, |fd| rustix::io::read(fd, &mut *buf))
            }
            ReadSource::Pool(file) => file.poll_read(cx, buf),
        }
    }

    fn poll_read_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        let (bufs, len) = slices_to_read(bufs);
        match &mut self.0 {
            ReadSource::Watched(reader) => {
                reader.poll_read(cx, len, |fd| rustix::io::readv(fd, &mut *bufs))
            }
            ReadSource::Pool(file) => {
                let first = bufs.iter_mut().find(|buf| !buf.is_empty());
                file.poll_read(cx, first.map_or(&mut [], |buf| buf))
            }
        }
    }
}

/// Interprets the result of a read from a descriptor of this kind.
fn check_read(
    fd: BorrowedFd<'_>,
    result: rustix::io::Result<usize>,
    kind: FdKind,
    awaits_writer: &mut bool,
) -> rustix::io::Result<usize> {
    match result {
        Ok(0) if *awaits_writer && !is_hung_up(fd) => Err(Errno::AGAIN),
        Ok(0) if kind == FdKind::Terminal && has_nothing_yet(fd) => Err(Errno::AGAIN),
        // The terminal end of the pseudo-terminal is closed.
        Err(Errno::IO) if kind == FdKind::PtyMaster => Ok(0),
        Err(error) if is_end_of_terminal(fd, error) => Ok(0),
        Ok(n) => {
            *awaits_writer &= n == 0;
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
    use crate::descriptor::pool::tests::open_pty;

    /// Linux returns `EIO` for a moment while the other end closes.
    #[test]
    fn an_input_output_error_is_the_end_of_a_terminal_that_is_hung_up() -> io::Result<()> {
        let (master, terminal) = open_pty()?;
        let read = || {
            check_read(
                terminal.as_fd(),
                Err(Errno::IO),
                FdKind::Terminal,
                &mut false,
            )
        };
        assert_eq!(read(), Err(Errno::IO), "it is still there");
        drop(master);
        assert_eq!(read(), Ok(0));
        Ok(())
    }
}
