//! A stream socket, or one that listens, whose readiness a reactor tells.

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustix::fs::{OFlags, fcntl_getfl};
use rustix::io::{Errno, ioctl_fionbio};
use rustix::net::{
    RecvAncillaryBuffer, RecvFlags, SendAncillaryBuffer, SendFlags, SocketAddrAny, SocketFlags,
    acceptfrom_with,
};

use super::{Direction, Source, SourceOwner, outbox, slices};

/// How everything is sent: a peer that is gone is an error, not a signal.
pub(super) const SEND: SendFlags = SendFlags::DONTWAIT.union(SendFlags::NOSIGNAL);

/// A handle to a socket, from any thread; the last one closes it. One task may read while another
/// writes, through clones or not; of two that do the same, the later one is woken.
///
/// No call waits, whether the socket is non-blocking or not, but to accept, which needs one that
/// is. `O_NONBLOCK` belongs to all who share a socket; only a shared listener's is set.
///
/// It is an `Arc` of what the socket's source lives in.
pub(crate) struct Socket<T: SourceOwner = Source>(Arc<T>);

/// Whose wait it is until all has left. Each has a place of its own, as one replaces who waits there.
#[derive(Clone, Copy, Debug)]
pub(super) enum Waits {
    Writer,
    End,
}

impl Socket {
    /// Takes over a socket, or what is watched as one is.
    pub(crate) fn new(socket: OwnedFd) -> Self {
        Self(Arc::new(Source::new(socket)))
    }

    /// The same, of a kind of which a short read leaves nothing: see [`Source::trusted`].
    pub(super) fn trusted(socket: OwnedFd) -> Self {
        Self(Arc::new(Source::trusted(socket)))
    }
}

impl<T: SourceOwner> Socket<T> {
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

    /// Has the next accept ask the kernel. Cached readiness lacks connections that were completed
    /// since the reactor last polled.
    pub(crate) fn look_again(&self) {
        self.0.source().retry_read();
    }

    /// Accepts a connection; the new socket is non-blocking, and closed on exec. Another owner of a
    /// `shared` socket may have cleared `O_NONBLOCK`, and the call would wait: it is set again.
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

    #[inline(always)]
    pub(crate) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.flush_before_reading();
        let room = buf.len();
        let recv = |fd: BorrowedFd<'_>| {
            rustix::net::recv(fd, &mut *buf, RecvFlags::DONTWAIT).map(|(n, _)| n)
        };
        let read = self.poll_transfer(cx, Direction::Read, room, recv);
        self.noting_end(read, room)
    }

    pub(crate) fn poll_read_vectored(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        self.flush_before_reading();
        let (bufs, room) = slices::to_read(bufs);
        let recvmsg = |fd: BorrowedFd<'_>| {
            let mut nothing = RecvAncillaryBuffer::default();
            let received = rustix::net::recvmsg(fd, bufs, &mut nothing, RecvFlags::DONTWAIT)?;
            Ok(received.bytes)
        };
        let read = self.poll_transfer(cx, Direction::Read, room, recvmsg);
        self.noting_end(read, room)
    }

    /// Notes the peer's end, where the read has found it.
    #[inline(always)]
    fn noting_end(&self, read: Poll<io::Result<usize>>, room: usize) -> Poll<io::Result<usize>> {
        match read {
            Poll::Ready(Ok(0)) if room > 0 => Poll::Ready(self.ended()),
            read => read,
        }
    }

    /// The kernel tells of a reset once, and says after that that the peer has ended: where it
    /// has told us of it when the outbox was sent, the reader is told by us.
    #[cold]
    fn ended(&self) -> io::Result<usize> {
        let source = self.0.source();
        source.end_read();
        let failed = source.is_corked().then(|| outbox::failure(source));
        failed.flatten().map_or(Ok(0), |error| Err(error.into()))
    }

    /// Whether a read has found the peer's end, so that nothing is left unread.
    pub(crate) fn is_read_ended(&self) -> bool {
        self.0.source().is_read_ended()
    }

    /// The peer may wait for it, before it sends more.
    fn flush_before_reading(&self) {
        if self.0.source().is_corked() {
            outbox::send_now(&self.0);
        }
    }

    /// What was written earlier goes first, and nothing goes after the end.
    #[inline(always)]
    fn poll_before_writing(&self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        let source = self.0.source();
        if source.is_ending() {
            return Poll::Ready(Err(Errno::PIPE.into()));
        }
        if source.is_corked() {
            ready!(self.poll_flush(cx))?;
        }
        Poll::Ready(Ok(()))
    }

    /// Ready when all that was written is with the kernel.
    pub(crate) fn poll_flush(&self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        outbox::poll_empty(&self.0, cx, Waits::Writer)
    }

    /// The same, for one who ends the stream: whoever writes may wait beside.
    pub(crate) fn poll_flush_at_end(&self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        outbox::poll_empty(&self.0, cx, Waits::End)
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
        match bufs {
            [buf] => self.poll_write(cx, buf),
            _ => self.poll_write_vectored(cx, bufs),
        }
    }

    #[inline(always)]
    pub(crate) fn poll_write(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_before_writing(cx))?;
        let send = |fd: BorrowedFd<'_>| rustix::net::send(fd, buf, SEND);
        self.poll_transfer(cx, Direction::Write, buf.len(), send)
    }

    pub(crate) fn poll_write_vectored(
        &self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_before_writing(cx))?;
        let (bufs, room) = slices::to_write(bufs);
        // Not writev: that would raise SIGPIPE where a program has not ignored it.
        let sendmsg = |fd: BorrowedFd<'_>| {
            let mut nothing = SendAncillaryBuffer::default();
            rustix::net::sendmsg(fd, bufs, &mut nothing, SEND)
        };
        self.poll_transfer(cx, Direction::Write, room, sendmsg)
    }

    /// Ends the output, at the end of the thread's turn at the latest.
    pub(crate) fn poll_end(&self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_flush(cx))?;
        if outbox::end(&self.0) {
            return Poll::Ready(Ok(()));
        }
        Poll::Ready(self.shutdown(Shutdown::Write))
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

    /// Calls `io` until it gives something else than "would block"; see [`Source::poll_io`].
    pub(super) fn poll_io<V>(
        &self,
        cx: &mut Context<'_>,
        direction: Direction,
        io: impl FnMut(BorrowedFd<'_>) -> rustix::io::Result<V>,
        short: impl FnOnce(&V) -> bool,
    ) -> Poll<io::Result<V>> {
        Source::poll_io(&self.0, cx, direction, io, short)
    }

    /// Moves bytes, and knows what is [short](Source::poll_io) by how much room there is. Without
    /// room it does not wait.
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
        self.0.source().leave();
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

/// Resets a stream socket now, while others still have it open.
pub(crate) fn reset(socket: BorrowedFd<'_>) {
    // Disconnecting sends the reset; Unix sockets know neither, and only end.
    if rustix::net::connect_unspec(socket).is_err() {
        let _ = rustix::net::shutdown(socket, rustix::net::Shutdown::Both);
    }
}
