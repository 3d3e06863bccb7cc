//! The handle to the socket that is stored in the record of a connection.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker, ready};

use rustix::net::{RecvFlags, Shutdown as ShutdownHow, shutdown};

use super::{Flag, Record};
use crate::catch::catch_panic;
use crate::connection::close::{DiscardBudget, Linger, Link, MAX_DISCARD_BYTES};
use crate::reactor::{Socket, SourceOwner, reset};

/// A reference to a connection's stream, held by each half and by the server. Dropping the last one
/// closes the socket, if the stream is a socket.
///
/// As a [`Link`] it first ends the link stored in the record, such as that of a layer above the
/// socket, and then the socket.
pub(crate) type SocketGuard = Socket<Record>;

impl SocketGuard {
    /// Ends the output, at the end of the thread's turn at the latest.
    pub(crate) fn poll_close(&self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        if !self.owner().flags.has(Flag::SharedSocket) {
            return self.poll_end(cx);
        }
        // `poll_end` may close the socket at the end of the turn, which does not end the stream
        // while others have it open.
        ready!(self.poll_flush(cx))?;
        Poll::Ready(Ok(shutdown(self, ShutdownHow::Write)?))
    }

    /// Ends the stream at once and in order, after both halves are dropped. The peer reads the end
    /// of the stream, even if it has sent input.
    pub(crate) fn refuse(&self) {
        if !self.shut_down() {
            let mut cx = Context::from_waker(Waker::noop());
            let _ = catch_panic(|| self.poll_linger(&mut cx, false));
        }
        self.close();
    }

    /// Ends the socket at once, so that its close is not a reset. Returns false if the stream is not
    /// a socket.
    pub(crate) fn shut_down(&self) -> bool {
        self.owner().with_fd(shut_down_and_discard).is_some()
    }
}

/// Ends a socket and discards its received input, so that the close is not a reset. Later input
/// causes a reset, but only after the end is sent. A Unix socket receives no later input.
fn shut_down_and_discard(socket: BorrowedFd<'_>) {
    let _ = shutdown(socket, ShutdownHow::Both);
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
        Socket::is_shared(self) || self.owner().flags.has(Flag::SharedSocket)
    }

    fn is_read_ended(&self) -> bool {
        Socket::is_read_ended(self)
    }

    fn poll_read(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        Socket::poll_read(self, cx, buf)
    }

    fn discard(&self) -> &DiscardBudget {
        &self.owner().cold().discard
    }
}

impl Link for SocketGuard {
    fn poll_linger(&self, cx: &mut Context<'_>, ended: bool) -> Poll<io::Result<()>> {
        let record = self.owner();
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
        self.owner().is_flushed()
    }

    fn unsent(&self) -> Option<usize> {
        self.owner().unsent()
    }

    fn close(&self) {
        self.owner().drop_link();
        if self.owner().is_socket() {
            self.shut_down_if_open();
        }
    }

    fn abort(&self) {
        self.owner().reset_stream();
    }

    fn ask_to_end(&self) -> bool {
        self.owner().ask_to_end()
    }

    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        self.owner().is_socket().then(|| AsFd::as_fd(self))
    }
}

impl Record {
    /// Returns true if the halves are a socket stored in this record.
    pub(crate) fn is_socket(&self) -> bool {
        self.source().is_some()
    }

    /// Returns a link that ends the whole stream, for use by another record. The guard of a socket
    /// also ends the layers above the socket.
    pub(in crate::connection) fn as_link(self: &Arc<Self>) -> Option<Arc<dyn Link>> {
        if self.is_socket() {
            return Some(Arc::new(SocketGuard::of(self)));
        }
        self.link()
    }

    /// Returns true while written bytes wait in this process to be sent.
    pub(in crate::connection) fn is_corked(&self) -> bool {
        self.source().is_corked()
    }

    /// Returns true if a write is to be combined with later ones: it is not the first since the task
    /// was woken, or other bytes wait already.
    pub(in crate::connection) fn gathers(&self) -> bool {
        !self.writing.is_unused() || self.is_corked()
    }

    /// Bytes written but not yet acknowledged by the peer, if that is known. Bytes buffered in a
    /// layer above the socket are not counted.
    pub(crate) fn unsent(&self) -> Option<usize> {
        if self.is_socket() {
            return self.source().unsent();
        }
        self.link().and_then(|link| link.unsent())
    }

    /// Returns true if the peer has acknowledged bytes since the last call.
    pub(crate) fn send_progressed(&self) -> bool {
        let Some(left) = self.unsent() else {
            return false;
        };
        self.cold().unsent.swap(left, Ordering::Relaxed) > left
    }

    /// Resets the socket, if the stream is a socket that is still open.
    pub(in crate::connection) fn reset_socket(&self) {
        self.source().with_fd(reset);
    }
}
