//! Connections whose halves are a socket of our own, which lives in the record.

use std::future::poll_fn;
use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use super::{AnyRead, AnyWrite, Connection, Endpoint, Link, Peer, Record};
use crate::reactor::{Host, Socket, Source};

/// A use of a connection's stream: by a half, or by the server that ends it. The last one closes
/// the socket, if there is one.
pub(crate) type Hold = Socket<Record>;

impl Connection {
    /// Of a connected stream socket, which is non-blocking already.
    pub(crate) fn of_socket(socket: OwnedFd, remote: Endpoint, local: Arc<Endpoint>) -> Self {
        let record = Record::of_socket(Source::new(socket), remote, local);
        let hold = Hold::first(Arc::new(record));
        let peer = Peer::of(hold.host());
        let (reader, writer) = (AnyRead::of(hold.clone()), AnyWrite::of(hold));
        Self::from_parts(reader, writer, peer)
    }

    /// Waits until the socket has connected, or has not.
    pub(crate) async fn established(self) -> io::Result<Self> {
        let hold = Hold::of(self.peer.record());
        poll_fn(|cx| hold.poll_connected(cx)).await?;
        Ok(self)
    }
}

impl Link for Hold {
    fn poll_linger(&self, cx: &mut Context<'_>, ended: bool) -> Poll<io::Result<()>> {
        if !self.host().is_socket() {
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_flush(cx))?;
        if ended && !self.is_shared() {
            // The close says the end of input, and nothing unread makes it a reset.
            return Poll::Ready(Ok(()));
        }
        // Again, if the handler has done it: that is allowed, and does nothing.
        let shut = self.shutdown(Shutdown::Write);
        // Where a task of the handler's still has a half, what comes is that task's.
        if ended || shut.is_err() || self.is_shared() {
            return Poll::Ready(Ok(()));
        }
        let discard = &self.host().seldom().discard;
        discard.poll(cx, |cx, buf| self.poll_read(cx, buf)).map(Ok)
    }

    fn is_flushed(&self) -> bool {
        !self.host().is_corked()
    }

    fn close(&self) {
        if self.is_shared() {
            // What the kernel has yet to send, it sends.
            let _ = self.shutdown(Shutdown::Both);
        }
    }

    fn abort(&self) {
        self.host().disconnect();
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

    /// Whether something that was written is not with the kernel yet.
    pub(super) fn is_corked(&self) -> bool {
        self.source().is_corked()
    }

    /// Whether a write is to wait for more of its kind: if it is not the task's first since it was
    /// woken, or something waits already.
    pub(super) fn gathers(&self) -> bool {
        !self.writing.is_whole() || self.is_corked()
    }

    /// Whether the peer has taken something since this was asked before.
    pub(crate) fn is_taken(&self) -> bool {
        let Some(left) = self.source().unsent() else {
            return false;
        };
        self.seldom().unsent.swap(left, Ordering::Relaxed) > left
    }

    /// Resets the socket, if that is what the stream is, and it is still open.
    pub(super) fn disconnect(&self) {
        self.source().disconnect();
    }
}
