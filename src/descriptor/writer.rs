//! `FdWriter`: the writing half over a descriptor.

use std::fmt;
use std::fs::File;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_lite::AsyncWrite;
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendFlags, Shutdown as ShutdownHow};

use super::kind::{FdKind, open_again, set_nonblocking};
use super::pool::PoolWriter;
use crate::reactor::{WatchedFd, slices_to_write};

/// Writes to any descriptor: a pipe, a terminal, a device, a socket or a file.
///
/// If the system reports readiness, a write occupies no thread and passes its bytes to the system.
/// Files, `/dev/null` and similar devices are written by a thread of the blocking pool, which has
/// at most 500, and which queues up to 256 KiB. A flush or a close waits until these are written.
/// Dropping the writer does not discard them: for a regular file the drop blocks until they are
/// written; for a device they are lost only if the process exits first. A write fails and accepts
/// no bytes if the system has no thread left.
///
/// Closing a pipe, a FIFO or a terminal closes the descriptor; closing a socket shuts down its
/// writing side. Dropping the writer closes the descriptor. A write to a pipe without a reader is
/// an error, as Rust programs ignore `SIGPIPE`; it ends a program that does not.
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
/// let mut received = String::new();
/// from.read_to_string(&mut received)?;
/// assert_eq!(received, "hello");
/// # std::io::Result::Ok(())
/// ```
pub struct FdWriter(WriteSink);

enum WriteSink {
    Watched(WatchedFd),
    Socket(WatchedFd),
    Pool(PoolWriter),
    Closed,
}

impl FdWriter {
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
    /// use halves::descriptor::FdWriter;
    ///
    /// let writer = FdWriter::new(std::fs::File::create("/dev/null")?)?;
    /// # drop(writer);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn new(fd: impl Into<OwnedFd>) -> io::Result<Self> {
        let fd = fd.into();
        let kind = FdKind::of(fd.as_fd())?;
        if kind == FdKind::File {
            return Ok(Self::pool(fd));
        }
        set_nonblocking(&fd)?;
        Ok(Self(match kind {
            FdKind::Socket => WriteSink::Socket(WatchedFd::new(fd)),
            FdKind::Pipe => WriteSink::Watched(WatchedFd::pipe_writer(fd)),
            _ => WriteSink::Watched(WatchedFd::new(fd)),
        }))
    }

    /// Writes to a descriptor that other processes share, and leaves it in blocking mode.
    pub(crate) fn shared(fd: BorrowedFd<'_>) -> io::Result<Self> {
        match open_again(fd, OFlags::WRONLY) {
            Some(own) => Self::new(own),
            None => Ok(Self::pool(fd.try_clone_to_owned()?)),
        }
    }

    fn pool(fd: OwnedFd) -> Self {
        Self(WriteSink::Pool(PoolWriter::new(File::from(fd))))
    }
}

impl AsyncWrite for FdWriter {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &self.0 {
            WriteSink::Watched(fd) => fd.poll_write(cx, buf.len(), |fd| rustix::io::write(fd, buf)),
            WriteSink::Socket(fd) => fd.poll_write(cx, buf.len(), |fd| {
                rustix::net::send(fd, buf, SendFlags::NOSIGNAL)
            }),
            WriteSink::Pool(file) => file.poll_write(cx, buf),
            WriteSink::Closed => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let (bufs, length) = slices_to_write(bufs);
        match &self.0 {
            WriteSink::Watched(fd) => fd.poll_write(cx, length, |fd| rustix::io::writev(fd, bufs)),
            WriteSink::Socket(fd) => fd.poll_write(cx, length, |fd| {
                let mut nothing = SendAncillaryBuffer::default();
                rustix::net::sendmsg(fd, bufs, &mut nothing, SendFlags::NOSIGNAL)
            }),
            WriteSink::Pool(_) | WriteSink::Closed => {
                self.poll_write(cx, bufs.first().map_or(&[], |buf| buf))
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.0 {
            WriteSink::Pool(file) => file.poll_flush(cx),
            _ => Poll::Ready(Ok(())),
        }
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = ready!(self.as_mut().poll_flush(cx));
        if let WriteSink::Socket(fd) = &self.0 {
            return Poll::Ready(match rustix::net::shutdown(fd, ShutdownHow::Write) {
                // The peer has disconnected already.
                Err(Errno::NOTCONN) => Ok(()),
                shut => Ok(shut?),
            });
        }
        self.0 = WriteSink::Closed;
        Poll::Ready(flushed)
    }
}

impl fmt::Debug for FdWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FdWriter").finish_non_exhaustive()
    }
}
