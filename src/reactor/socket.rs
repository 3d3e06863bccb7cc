//! A stream socket, or one that listens, whose readiness a reactor tells.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::task::{Context, Poll};

use rustix::io::Errno;
use rustix::net::{
    RecvFlags, SendAncillaryBuffer, SendFlags, SocketAddrAny, SocketFlags, acceptfrom_with,
};

use super::source::{Direction, Source};

/// A handle to a non-blocking socket, from any thread; the last one closes it. One task may read
/// while another writes, through clones or not; of two that do the same, the later one is woken.
#[derive(Debug)]
pub(crate) struct Socket(Arc<Source>);

impl Socket {
    /// Takes over a socket that is non-blocking already.
    pub(crate) fn new(socket: OwnedFd) -> Self {
        Self(Source::new(socket))
    }

    #[cfg(test)]
    pub(super) fn source(&self) -> &Arc<Source> {
        &self.0
    }

    /// Whether there are other handles to it.
    pub(crate) fn is_shared(&self) -> bool {
        self.0.is_shared()
    }

    /// Accepts a connection; the new socket is non-blocking, and closed on exec.
    pub(crate) fn poll_accept(
        &self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<(OwnedFd, Option<SocketAddrAny>)>> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let accept = |fd: BorrowedFd<'_>| acceptfrom_with(fd, flags);
        self.0.poll_io(cx, Direction::Read, accept, |_| false)
    }

    /// Begins to connect.
    pub(crate) fn connect(&self, address: SocketAddr) -> io::Result<()> {
        match rustix::net::connect(self, &address) {
            Ok(()) | Err(Errno::INPROGRESS) => Ok(()),
            Err(error) => Err(error.into()),
        }
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
        self.0.poll_io(cx, Direction::Write, connected, |()| false)
    }

    pub(crate) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let room = buf.len();
        let recv = |fd: BorrowedFd<'_>| {
            rustix::net::recv(fd, &mut *buf, RecvFlags::empty()).map(|(n, _)| n)
        };
        self.poll_transfer(cx, Direction::Read, room, recv)
    }

    pub(crate) fn poll_read_vectored(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        let room = bufs.iter().map(|buf| buf.len()).sum();
        let readv = |fd: BorrowedFd<'_>| rustix::io::readv(fd, bufs);
        self.poll_transfer(cx, Direction::Read, room, readv)
    }

    pub(crate) fn poll_write(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let send = |fd: BorrowedFd<'_>| rustix::net::send(fd, buf, SendFlags::NOSIGNAL);
        self.poll_transfer(cx, Direction::Write, buf.len(), send)
    }

    pub(crate) fn poll_write_vectored(
        &self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
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
        let how = match how {
            Shutdown::Read => rustix::net::Shutdown::Read,
            Shutdown::Write => rustix::net::Shutdown::Write,
            Shutdown::Both => rustix::net::Shutdown::Both,
        };
        Ok(rustix::net::shutdown(self, how)?)
    }

    /// Calls `io` until it gives something else than "would block"; see [`Source::poll_io`].
    pub(super) fn poll_io<T>(
        &self,
        cx: &mut Context<'_>,
        direction: Direction,
        io: impl FnMut(BorrowedFd<'_>) -> rustix::io::Result<T>,
        short: impl FnOnce(&T) -> bool,
    ) -> Poll<io::Result<T>> {
        self.0.poll_io(cx, direction, io, short)
    }

    /// What moves less than there is room for has found the socket drained, or full.
    pub(super) fn poll_transfer(
        &self,
        cx: &mut Context<'_>,
        direction: Direction,
        room: usize,
        transfer: impl FnMut(BorrowedFd<'_>) -> rustix::io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        let short = |&moved: &usize| moved > 0 && moved < room;
        self.0.poll_io(cx, direction, transfer, short)
    }
}

impl Clone for Socket {
    fn clone(&self) -> Self {
        self.0.join();
        Self(self.0.clone())
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.fd()
    }
}
