//! A stream socket, a listening one or another descriptor, watched by a reactor.

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustix::fs::{OFlags, fcntl_getfl};
use rustix::io::{Errno, ioctl_fionbio};
use rustix::net::{
    RecvAncillaryBuffer, RecvFlags, SendAncillaryBuffer, SocketAddrAny, SocketFlags,
    acceptfrom_with,
};

use super::flush::{self, FlushWaiter};
use super::state::{Direction, FOREIGN, READ};
use super::sys::{SEND_FLAGS, slices_to_read, slices_to_write};
use super::{Source, SourceOwner};

/// A handle to a socket, usable on any thread; the last handle closes the socket. One task may read
/// while another writes, by the same handle or by two. If two tasks do the same, the later one is
/// woken.
///
/// No call blocks, even if the socket is in blocking mode, except that to accept: it needs a
/// non-blocking socket. `O_NONBLOCK` is shared by all processes that have the socket open, so it is
/// set on a shared listener only.
///
/// A handle is an `Arc` of the owner of the socket's source.
pub(crate) struct Socket<T: SourceOwner = Source>(Arc<T>);

/// A handle to a non-blocking descriptor that is watched as a socket is, and read and written by
/// other calls: a pipe, terminal, device or process. The last handle closes it. One task may read
/// while another writes, as with a [`Socket`].
#[derive(Clone, Debug)]
pub(crate) struct WatchedFd(Socket);

impl Socket {
    /// Takes over a socket, or another descriptor that is watched as a socket is.
    pub(crate) fn new(socket: OwnedFd) -> Self {
        Self(Arc::new(Source::new(socket)))
    }

    /// Takes over a socket that has no more bytes after a short read: see [`Source::trusted`].
    pub(super) fn trusted(socket: OwnedFd) -> Self {
        Self(Arc::new(Source::trusted(socket)))
    }
}

impl<T: SourceOwner> Socket<T> {
    /// Makes the first handle to a new source.
    pub(crate) fn first(owner: Arc<T>) -> Self {
        Self(owner)
    }

    /// Makes one more handle. The caller has one, or the source has no socket.
    pub(crate) fn of(owner: &Arc<T>) -> Self {
        owner.source().add_handle();
        Self(owner.clone())
    }

    pub(crate) fn owner(&self) -> &Arc<T> {
        &self.0
    }

    /// Returns true if there are other handles.
    pub(crate) fn is_shared(&self) -> bool {
        self.0.source().is_shared()
    }

    /// Makes the next accept call the kernel. The state word lacks connections that were completed
    /// since the reactor last polled.
    pub(crate) fn assume_readable(&self) {
        self.0.source().assume_readable();
    }

    /// Accepts a connection. The new socket is non-blocking and closed on exec. Another process
    /// that has a `shared` socket open may have cleared `O_NONBLOCK`, which would make the call
    /// block: it is set again.
    pub(crate) fn poll_accept(
        &self,
        cx: &mut Context<'_>,
        shared: bool,
    ) -> Poll<io::Result<(OwnedFd, Option<SocketAddrAny>)>> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let accept = |fd: BorrowedFd<'_>| {
            if shared && !fcntl_getfl(fd)?.contains(OFlags::NONBLOCK) {
                ioctl_fionbio(fd, true)?;
            }
            acceptfrom_with(fd, flags)
        };
        Source::poll_io(&self.0, cx, Direction::Read, accept, |_| false)
    }

    /// Waits until the socket is connected, or fails with the error of the connect.
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

    /// Returns true if the socket is not readable, and the task is woken when it is. Returns false if
    /// a read has to find out.
    #[inline(always)]
    pub(crate) fn is_unreadable(&self, cx: &mut Context<'_>) -> bool {
        Source::is_unreadable(&self.0, cx)
    }

    /// Returns true if the socket is not readable. A later event wakes the task that is registered.
    #[inline(always)]
    pub(crate) fn is_not_readable(&self) -> bool {
        self.0.source().state.load() & (READ | FOREIGN) == 0
    }

    #[inline(always)]
    pub(crate) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.flush_before_read();
        let room = buf.len();
        let recv = |fd: BorrowedFd<'_>| {
            rustix::net::recv(fd, &mut *buf, RecvFlags::DONTWAIT).map(|(n, _)| n)
        };
        let read = self.poll_transfer(cx, Direction::Read, room, recv);
        self.record_end(read, room)
    }

    pub(crate) fn poll_read_vectored(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        self.flush_before_read();
        let (bufs, room) = slices_to_read(bufs);
        let recvmsg = |fd: BorrowedFd<'_>| {
            let mut nothing = RecvAncillaryBuffer::default();
            let received = rustix::net::recvmsg(fd, bufs, &mut nothing, RecvFlags::DONTWAIT)?;
            Ok(received.bytes)
        };
        let read = self.poll_transfer(cx, Direction::Read, room, recvmsg);
        self.record_end(read, room)
    }

    /// Records the peer's end if the read has found it.
    #[inline(always)]
    pub(super) fn record_end(
        &self,
        read: Poll<io::Result<usize>>,
        room: usize,
    ) -> Poll<io::Result<usize>> {
        match read {
            Poll::Ready(Ok(0)) if room > 0 => Poll::Ready(self.read_end()),
            read => read,
        }
    }

    /// Returns the result of a read at the peer's end. The kernel reports a reset once, and an
    /// orderly end after that. If it has reported the reset when the outbox was sent, the read
    /// fails with that error.
    #[cold]
    fn read_end(&self) -> io::Result<usize> {
        let source = self.0.source();
        source.set_read_ended();
        let error = source.is_corked().then(|| flush::take_read_error(source));
        error.flatten().map_or(Ok(0), |error| Err(error.into()))
    }

    /// Returns true if a read has found the peer's end. Nothing is left unread then.
    pub(crate) fn is_read_ended(&self) -> bool {
        self.0.source().is_read_ended()
    }

    /// Sends what is in the outbox: the peer may wait for it before it sends more.
    pub(super) fn flush_before_read(&self) {
        if self.0.source().is_corked() {
            flush::flush(&self.0);
        }
    }

    /// Sends earlier bytes first, and fails after the end of output.
    #[inline(always)]
    pub(super) fn poll_before_write(&self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        let source = self.0.source();
        if source.is_shutdown_due() {
            return Poll::Ready(Err(Errno::PIPE.into()));
        }
        if source.is_corked() {
            ready!(self.poll_flush(cx))?;
        }
        Poll::Ready(Ok(()))
    }

    /// Waits until the kernel has all written bytes.
    pub(crate) fn poll_flush(&self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        flush::poll_flushed(&self.0, cx, FlushWaiter::Writer)
    }

    /// As [`poll_flush`](Self::poll_flush), for the task that ends the stream. A writing task may
    /// wait at the same time.
    pub(crate) fn poll_flush_at_end(&self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        flush::poll_flushed(&self.0, cx, FlushWaiter::End)
    }

    /// As [`poll_write_vectored`](Self::poll_write_vectored), but a small write is sent together
    /// with others, at the end of the thread's turn at the latest. The next write or flush returns
    /// its error.
    pub(crate) fn poll_write_gathered(
        &self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let Some(size) = flush::gather(&self.0, bufs) {
            return Poll::Ready(Ok(size));
        }
        match bufs {
            [buf] => self.poll_write(cx, buf),
            _ => self.poll_write_vectored(cx, bufs),
        }
    }

    #[inline(always)]
    pub(crate) fn poll_write(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_before_write(cx))?;
        let send = |fd: BorrowedFd<'_>| rustix::net::send(fd, buf, SEND_FLAGS);
        self.poll_transfer(cx, Direction::Write, buf.len(), send)
    }

    pub(crate) fn poll_write_vectored(
        &self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_before_write(cx))?;
        let (bufs, room) = slices_to_write(bufs);
        // Not writev: it raises SIGPIPE in a program that does not ignore that signal.
        let sendmsg = |fd: BorrowedFd<'_>| {
            let mut nothing = SendAncillaryBuffer::default();
            rustix::net::sendmsg(fd, bufs, &mut nothing, SEND_FLAGS)
        };
        self.poll_transfer(cx, Direction::Write, room, sendmsg)
    }

    /// Flushes, then ends the output at the end of the thread's turn at the latest.
    pub(crate) fn poll_end(&self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_flush(cx))?;
        if flush::end_output(&self.0) {
            return Poll::Ready(Ok(()));
        }
        Poll::Ready(self.shutdown(Shutdown::Write))
    }

    /// Ends one direction or both, now.
    pub(crate) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        if how != Shutdown::Read {
            self.0.source().set_write_shut();
        }
        let how = match how {
            Shutdown::Read => rustix::net::Shutdown::Read,
            Shutdown::Write => rustix::net::Shutdown::Write,
            Shutdown::Both => rustix::net::Shutdown::Both,
        };
        Ok(rustix::net::shutdown(self, how)?)
    }

    /// Calls `io` until it returns anything but "would block"; see [`Source::poll_io`].
    pub(super) fn poll_io<V>(
        &self,
        cx: &mut Context<'_>,
        direction: Direction,
        io: impl FnMut(BorrowedFd<'_>) -> rustix::io::Result<V>,
        short: impl FnOnce(&V) -> bool,
    ) -> Poll<io::Result<V>> {
        Source::poll_io(&self.0, cx, direction, io, short)
    }

    /// Calls `transfer`, which moves bytes. A result of fewer bytes than `room` is
    /// [short](Source::poll_io). Without room this returns 0 at once.
    #[inline(always)]
    pub(super) fn poll_transfer(
        &self,
        cx: &mut Context<'_>,
        direction: Direction,
        room: usize,
        transfer: impl FnMut(BorrowedFd<'_>) -> rustix::io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        if room == 0 {
            return Poll::Ready(Ok(0));
        }
        let short = |&moved: &usize| moved > 0 && moved < room;
        Source::poll_io(&self.0, cx, direction, transfer, short)
    }
}

impl<T: SourceOwner> Clone for Socket<T> {
    fn clone(&self) -> Self {
        Self::of(&self.0)
    }
}

impl<T: SourceOwner> Drop for Socket<T> {
    fn drop(&mut self) {
        self.0.source().drop_handle();
    }
}

impl<T: SourceOwner> AsFd for Socket<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.source().fd()
    }
}

impl<T: SourceOwner> fmt::Debug for Socket<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Socket").field(self.0.source()).finish()
    }
}

impl WatchedFd {
    /// Takes over a non-blocking descriptor. A short read may leave something: a terminal returns
    /// one line at a time, and a pipe one packet if its writer has set `O_DIRECT`.
    pub(crate) fn new(fd: OwnedFd) -> Self {
        Self(Socket::new(fd))
    }

    /// Takes over the non-blocking writing side of a pipe, which has no room after a short write.
    pub(crate) fn pipe_writer(fd: OwnedFd) -> Self {
        Self(Socket::trusted(fd))
    }

    /// Returns true if there are other handles.
    pub(crate) fn is_shared(&self) -> bool {
        self.0.is_shared()
    }

    /// Reads at most `room` bytes by a call that returns how many it has read.
    pub(crate) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        room: usize,
        read: impl FnMut(BorrowedFd<'_>) -> rustix::io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        self.0.poll_transfer(cx, Direction::Read, room, read)
    }

    /// Writes at most `length` bytes by a call that returns how many it has written.
    pub(crate) fn poll_write(
        &self,
        cx: &mut Context<'_>,
        length: usize,
        write: impl FnMut(BorrowedFd<'_>) -> rustix::io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        self.0.poll_transfer(cx, Direction::Write, length, write)
    }

    /// Waits until the descriptor is readable and the call returns anything but "would block".
    pub(crate) fn poll_event<T>(
        &self,
        cx: &mut Context<'_>,
        call: impl FnMut(BorrowedFd<'_>) -> rustix::io::Result<T>,
    ) -> Poll<io::Result<T>> {
        self.0.poll_io(cx, Direction::Read, call, |_| false)
    }
}

impl AsFd for WatchedFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
