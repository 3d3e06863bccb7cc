//! A stream socket, or one that listens, whose readiness a reactor tells.

use std::ffi::c_int;
use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustix::io::Errno;
use rustix::ioctl::{Getter, Opcode, opcode};
use rustix::net::{
    RecvFlags, SendAncillaryBuffer, SendFlags, SocketAddrAny, SocketFlags, acceptfrom_with,
};

use super::outbox;
use super::source::{Direction, Host, Source};

/// A handle to a non-blocking socket, from any thread; the last one closes it. One task may read
/// while another writes, through clones or not; of two that do the same, the later one is woken.
///
/// It is an `Arc` of what the socket's source lives in.
pub(crate) struct Socket<T: Host = Source>(Arc<T>);

impl Socket {
    /// Takes over a socket that is non-blocking already.
    pub(crate) fn new(socket: OwnedFd) -> Self {
        Self(Arc::new(Source::new(socket)))
    }
}

impl<T: Host> Socket<T> {
    /// The first handle to a new source.
    pub(crate) fn first(host: Arc<T>) -> Self {
        Self(host)
    }

    /// One more, for a caller who has one; or to what has no socket.
    pub(crate) fn of(host: &Arc<T>) -> Self {
        host.source().join();
        Self(host.clone())
    }

    pub(crate) fn host(&self) -> &Arc<T> {
        &self.0
    }

    /// Whether there are other handles to it.
    pub(crate) fn is_shared(&self) -> bool {
        self.0.source().is_shared()
    }

    /// Accepts a connection; the new socket is non-blocking, and closed on exec.
    pub(crate) fn poll_accept(
        &self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<(OwnedFd, Option<SocketAddrAny>)>> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let accept = |fd: BorrowedFd<'_>| acceptfrom_with(fd, flags);
        Source::poll_io(&self.0, cx, Direction::Read, accept, |_| false)
    }

    /// Ready when the connection has come about, or has not.
    pub(crate) fn poll_connected(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let connected = |fd: BorrowedFd<'_>| match rustix::net::getpeername(fd) {
            Ok(_) => Ok(()),
            Err(Errno::NOTCONN) => match rustix::net::sockopt::socket_error(fd)? {
                Ok(()) => Err(Errno::AGAIN),
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        };
        Source::poll_io(&self.0, cx, Direction::Write, connected, |()| false)
    }

    pub(crate) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.flush_before_reading();
        let room = buf.len();
        let recv = |fd: BorrowedFd<'_>| {
            rustix::net::recv(fd, &mut *buf, RecvFlags::empty()).map(|(n, _)| n)
        };
        let read = self.poll_transfer(cx, Direction::Read, room, recv);
        self.unless_failed(read, room)
    }

    pub(crate) fn poll_read_vectored(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        self.flush_before_reading();
        let room = bufs.iter().map(|buf| buf.len()).sum();
        let readv = |fd: BorrowedFd<'_>| rustix::io::readv(fd, bufs);
        let read = self.poll_transfer(cx, Direction::Read, room, readv);
        self.unless_failed(read, room)
    }

    /// The kernel tells of a reset once, and says after that that the peer has ended: where it
    /// has told us of it when the outbox was sent, the reader is told by us.
    fn unless_failed(
        &self,
        read: Poll<io::Result<usize>>,
        room: usize,
    ) -> Poll<io::Result<usize>> {
        let source = self.0.source();
        match read {
            Poll::Ready(Ok(0)) if room > 0 && source.is_corked() => {
                let failure = outbox::failure(source);
                Poll::Ready(failure.map_or(Ok(0), |error| Err(error.into())))
            }
            read => read,
        }
    }

    /// The peer may wait for it, before it sends more.
    fn flush_before_reading(&self) {
        if self.0.source().is_corked() {
            outbox::flush(&self.0.clone().share());
        }
    }

    /// Ready when all that was written is with the kernel.
    pub(crate) fn poll_flush(&self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        outbox::poll_empty(&self.0, cx)
    }

    /// As [`poll_write_vectored`](Self::poll_write_vectored), but what is small leaves together
    /// with more of its kind, at the end of the thread's turn at the latest. Errors of that are
    /// told by the next write or flush.
    pub(crate) fn poll_write_gathered(
        &self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let Some(size) = outbox::put(&self.0, bufs) {
            return Poll::Ready(Ok(size));
        }
        self.poll_write_vectored(cx, bufs)
    }

    pub(crate) fn poll_write(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.0.source().is_corked() {
            ready!(self.poll_flush(cx))?;
        }
        let send = |fd: BorrowedFd<'_>| rustix::net::send(fd, buf, SendFlags::NOSIGNAL);
        self.poll_transfer(cx, Direction::Write, buf.len(), send)
    }

    pub(crate) fn poll_write_vectored(
        &self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.0.source().is_corked() {
            ready!(self.poll_flush(cx))?;
        }
        let room = bufs.iter().map(|buf| buf.len()).sum();
        // Not writev: that would raise SIGPIPE where a program has not ignored it.
        let sendmsg = |fd: BorrowedFd<'_>| {
            let mut nothing = SendAncillaryBuffer::default();
            rustix::net::sendmsg(fd, bufs, &mut nothing, SendFlags::NOSIGNAL)
        };
        self.poll_transfer(cx, Direction::Write, room, sendmsg)
    }

    /// Ends one direction, or both.
    pub(crate) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        if how != Shutdown::Read {
            self.0.source().shut();
        }
        let how = match how {
            Shutdown::Read => rustix::net::Shutdown::Read,
            Shutdown::Write => rustix::net::Shutdown::Write,
            Shutdown::Both => rustix::net::Shutdown::Both,
        };
        Ok(rustix::net::shutdown(self, how)?)
    }

    /// What moves less than there is room for has found the socket drained, or full.
    fn poll_transfer(
        &self,
        cx: &mut Context<'_>,
        direction: Direction,
        room: usize,
        transfer: impl FnMut(BorrowedFd<'_>) -> rustix::io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        let short = |&moved: &usize| moved > 0 && moved < room;
        Source::poll_io(&self.0, cx, direction, transfer, short)
    }
}

impl<T: Host> Clone for Socket<T> {
    fn clone(&self) -> Self {
        Self::of(&self.0)
    }
}

impl<T: Host> Drop for Socket<T> {
    fn drop(&mut self) {
        self.0.source().leave();
    }
}

impl<T: Host> AsFd for Socket<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.source().fd()
    }
}

impl<T: Host> fmt::Debug for Socket<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Socket").field(self.0.source()).finish()
    }
}

/// Where they differ, systems have it from those on which they began.
const SIOCOUTQ: Opcode = if cfg!(any(target_arch = "mips", target_arch = "mips64")) {
    0x7472
} else if cfg!(any(
    target_arch = "powerpc",
    target_arch = "powerpc64",
    target_arch = "sparc64"
)) {
    opcode::read::<c_int>(b't', 115)
} else {
    0x5411
};

/// Bytes that the kernel has, and the peer has not acknowledged: `SIOCOUTQ` of tcp(7).
pub(super) fn unsent(socket: BorrowedFd<'_>) -> io::Result<usize> {
    // SAFETY: this number is that request on Linux, and it writes one `int`.
    let request = unsafe { Getter::<SIOCOUTQ, c_int>::new() };
    // SAFETY: a socket knows it, and any other descriptor refuses it.
    let left = unsafe { rustix::ioctl::ioctl(socket, request)? };
    Ok(usize::try_from(left).unwrap_or(0))
}
