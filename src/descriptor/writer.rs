//! The writing half.

use std::fmt;
use std::fs::File;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_lite::AsyncWrite;
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendFlags, Shutdown};

use super::kind::{FdKind, open_again, set_nonblocking};
use super::pool::PoolWriter;
use crate::reactor::{Watched, slices};

/// Writes to any descriptor: a pipe, a terminal, a device, a socket, a file, or whatever the
/// system may add.
///
/// Where the system tells of readiness, nothing waits but the task, and what was taken is with the
/// system. Files, `/dev/null` and their like are written by a thread of the blocking pool, which
/// has 500 at most: up to 256 KiB are then on their way. They are also written when the writer is
/// dropped: those of a regular file before the drop returns, which waits for that; those of a device
/// are lost if the process exits before. Flushed or closed, they are written. Where
/// the system gives no thread, a write fails and takes nothing.
///
/// Closing a pipe, a FIFO or a terminal closes the descriptor, closing a socket shuts down its
/// writing side. Dropping the writer closes the descriptor. To write to a pipe that nobody reads is an
/// error, as Rust programs ignore `SIGPIPE`; one that does not is ended by it.
///
/// # Examples
///
/// ```
/// use futures_lite::AsyncWriteExt;
/// use halves::descriptor::FdWriter;
/// use std::io::Read;
///
/// let (mut from, to) = std::io::pipe()?;
/// smol::block_on(async {
///     let mut writer = FdWriter::new(to)?;
///     writer.write_all(b"hello").await?;
///     writer.close().await
/// })?;
/// let mut heard = String::new();
/// from.read_to_string(&mut heard)?;
/// assert_eq!(heard, "hello");
/// # std::io::Result::Ok(())
/// ```
pub struct FdWriter(Sink);

enum Sink {
    Watched(Watched),
    Socket(Watched),
    Pool(PoolWriter),
    Closed,
}

impl FdWriter {
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
    /// See [`FdWriter`].
    pub fn new(fd: impl Into<OwnedFd>) -> io::Result<Self> {
        let fd = fd.into();
        let kind = FdKind::of(fd.as_fd())?;
        if kind == FdKind::File {
            return Ok(Self::pool(fd));
        }
        set_nonblocking(&fd)?;
        Ok(Self(match kind {
            FdKind::Socket => Sink::Socket(Watched::new(fd)),
            FdKind::Pipe => Sink::Watched(Watched::pipe_writer(fd)),
            _ => Sink::Watched(Watched::new(fd)),
        }))
    }

    /// Writes to a descriptor that others use, too, and leaves it blocking for them.
    pub(crate) fn shared(fd: BorrowedFd<'_>) -> io::Result<Self> {
        match open_again(fd, OFlags::WRONLY) {
            Some(own) => Self::new(own),
            None => Ok(Self::pool(fd.try_clone_to_owned()?)),
        }
    }

    fn pool(fd: OwnedFd) -> Self {
        Self(Sink::Pool(PoolWriter::new(File::from(fd))))
    }
}

impl AsyncWrite for FdWriter {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &self.0 {
            Sink::Watched(fd) => fd.poll_write(cx, buf.len(), |fd| rustix::io::write(fd, buf)),
            Sink::Socket(fd) => fd.poll_write(cx, buf.len(), |fd| {
                rustix::net::send(fd, buf, SendFlags::NOSIGNAL)
            }),
            Sink::Pool(file) => file.poll_write(cx, buf),
            Sink::Closed => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let (bufs, length) = slices::to_write(bufs);
        match &self.0 {
            Sink::Watched(fd) => fd.poll_write(cx, length, |fd| rustix::io::writev(fd, bufs)),
            Sink::Socket(fd) => fd.poll_write(cx, length, |fd| {
                let mut nothing = SendAncillaryBuffer::default();
                rustix::net::sendmsg(fd, bufs, &mut nothing, SendFlags::NOSIGNAL)
            }),
            Sink::Pool(_) | Sink::Closed => {
                self.poll_write(cx, bufs.first().map_or(&[], |buf| buf))
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.0 {
            Sink::Pool(file) => file.poll_flush(cx),
            _ => Poll::Ready(Ok(())),
        }
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = ready!(self.as_mut().poll_flush(cx));
        if let Sink::Socket(fd) = &self.0 {
            return Poll::Ready(match rustix::net::shutdown(fd, Shutdown::Write) {
                // The peer is gone: there is nobody left to say it to.
                Err(Errno::NOTCONN) => Ok(()),
                shut => Ok(shut?),
            });
        }
        self.0 = Sink::Closed;
        Poll::Ready(flushed)
    }
}

impl fmt::Debug for FdWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FdWriter").finish_non_exhaustive()
    }
}
