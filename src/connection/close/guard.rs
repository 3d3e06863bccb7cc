//! Connections whose halves are a socket of our own, which lives in the record.

use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker, ready};

use rustix::net::{RecvFlags, Shutdown, shutdown};

use super::linger::MAX_DISCARD_BYTES;
use super::{DiscardBudget, Linger, Link};
use crate::catch::catch_panic;
use crate::connection::peer::CompactEndpoint;
use crate::connection::{AnyRead, AnyWrite, Connection, Credentials, Endpoint, Flag, Peer, Record};
use crate::reactor::{Socket, Source, SourceOwner, reset};

/// A use of a connection's stream: by a half, or by the server that ends it. The last one closes
/// the socket, if there is one. As a link it ends first what has a link of its own, such as a layer
/// above the socket, and then the socket.
pub(crate) type SocketGuard = Socket<Record>;

/// Whose a socket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ownership {
    Ours,
    /// Others have it open as well, perhaps: its options are theirs, and that we close it says
    /// nothing to a peer.
    Shared,
}

impl Connection {
    /// Of a stream socket: one that is connected, or, but for those of Unix, about to be.
    pub(crate) fn of_socket(
        socket: OwnedFd,
        remote: Endpoint,
        local: Arc<Endpoint>,
        ownership: Ownership,
    ) -> Self {
        let credentials = match *local {
            Endpoint::Unix(_) => Credentials::of(socket.as_fd()),
            _ => None,
        };
        let remote = CompactEndpoint::new(remote, credentials);
        let source = match *local {
            Endpoint::Inet(_) => Source::trusted(socket),
            _ => Source::new(socket),
        };
        let record = Record::of_socket(source, remote, local);
        if ownership == Ownership::Shared {
            record.flags.set(Flag::SharedSocket);
        }
        let guard = SocketGuard::first(Arc::new(record));
        let peer = Peer::of(guard.host());
        let (reader, writer) = (AnyRead::of(guard.clone()), AnyWrite::of(guard));
        Self::from_parts(reader, writer, peer)
    }

    /// Waits until the socket has connected, or has not.
    pub(crate) async fn established(self) -> io::Result<Self> {
        let guard = SocketGuard::of(self.peer.record());
        poll_fn(|cx| guard.poll_connected(cx)).await?;
        Ok(self)
    }
}

impl SocketGuard {
    /// Ends the output, at the end of the thread's turn at the latest.
    pub(crate) fn poll_close(&self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        if !self.host().flags.has(Flag::SharedSocket) {
            return self.poll_end(cx);
        }
        // At the end of the turn it may be closed, which says nothing where others have it.
        ready!(self.poll_flush(cx))?;
        Poll::Ready(Ok(shutdown(self, Shutdown::Write)?))
    }

    /// Ends the stream at once, and in order, after both halves are dropped: the peer reads the
    /// end, also if it has sent something.
    pub(crate) fn refuse(&self) {
        if !self.shut_down() {
            let mut cx = Context::from_waker(Waker::noop());
            let _ = catch_panic(|| self.poll_linger(&mut cx, false));
        }
        self.close();
    }

    /// Ends a socket at once, so that its close is no reset. False: the stream has none.
    pub(crate) fn shut_down(&self) -> bool {
        self.host().with_fd(shut_down_and_discard).is_some()
    }
}

/// Ends a socket, and discards what has come, so that the close is no reset. The end is sent before
/// a reset that later input brings about; a Unix socket gets no later input.
fn shut_down_and_discard(socket: BorrowedFd<'_>) {
    let _ = shutdown(socket, Shutdown::Both);
    let mut buf = [0; 4096];
    for _ in 0..MAX_DISCARD_BYTES / buf.len() {
        match rustix::net::recv(socket, &mut buf[..], RecvFlags::DONTWAIT) {
            Ok((n, _)) if n > 0 => {}
            _ => break,
        }
    }
}

impl Linger for SocketGuard {
    fn fd(&self) -> BorrowedFd<'_> {
        AsFd::as_fd(self)
    }

    fn is_shared(&self) -> bool {
        Socket::is_shared(self)
    }

    fn stays_open(&self) -> bool {
        Socket::is_shared(self) || self.host().flags.has(Flag::SharedSocket)
    }

    fn is_read_ended(&self) -> bool {
        Socket::is_read_ended(self)
    }

    fn poll_read(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        Socket::poll_read(self, cx, buf)
    }

    fn discard(&self) -> &DiscardBudget {
        &self.host().cold().discard
    }
}

impl Link for SocketGuard {
    fn poll_linger(&self, cx: &mut Context<'_>, ended: bool) -> Poll<io::Result<()>> {
        let record = self.host();
        if let Some(link) = record.link().filter(|_| !record.flags.has(Flag::LinkEnded)) {
            ready!(link.poll_linger(cx, ended))?;
            record.flags.set(Flag::LinkEnded);
        }
        if !record.is_socket() {
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_flush_at_end(cx))?;
        self.linger(cx)
    }

    fn is_flushed(&self) -> bool {
        self.host().is_flushed()
    }

    fn unsent(&self) -> Option<usize> {
        self.host().unsent()
    }

    fn close(&self) {
        self.host().drop_link();
        if self.host().is_socket() {
            self.shut_down_if_open();
        }
    }

    fn abort(&self) {
        self.host().reset_stream();
    }

    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        self.host().is_socket().then(|| AsFd::as_fd(self))
    }
}

impl Record {
    /// Whether its halves are a socket of our own.
    pub(crate) fn is_socket(&self) -> bool {
        self.source().is_some()
    }

    /// What ends all of it, as the link of another record. A socket's hold ends what is above the
    /// socket, too.
    pub(in crate::connection) fn as_link(self: &Arc<Self>) -> Option<Arc<dyn Link>> {
        if self.is_socket() {
            return Some(Arc::new(SocketGuard::of(self)));
        }
        self.link()
    }

    /// Whether something that was written is not with the kernel yet.
    pub(in crate::connection) fn is_corked(&self) -> bool {
        self.source().is_corked()
    }

    /// Whether a write is to wait for more of its kind: if it is not the task's first since it was
    /// woken, or something waits already.
    pub(in crate::connection) fn gathers(&self) -> bool {
        !self.writing.is_unused() || self.is_corked()
    }

    /// Bytes that were written, and that the peer has not acknowledged, where that is known. What a
    /// layer above the socket keeps is not counted.
    pub(crate) fn unsent(&self) -> Option<usize> {
        if self.is_socket() {
            return self.source().unsent();
        }
        self.link().and_then(|link| link.unsent())
    }

    /// Whether the peer has taken something since this was asked before.
    pub(crate) fn send_progressed(&self) -> bool {
        let Some(left) = self.unsent() else {
            return false;
        };
        self.cold().unsent.swap(left, Ordering::Relaxed) > left
    }

    /// Resets the socket, if that is what the stream is, and it is still open.
    pub(in crate::connection) fn reset_socket(&self) {
        self.source().visit(reset);
    }
}
