//! How a stream socket ends.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustix::net::{Shutdown, connect_unspec, shutdown};
use smol::Async;

use crate::connection::{Discard, Link};
use crate::reactor::Socket;

/// Whose a socket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    Ours,
    /// Others have it open as well, perhaps: its options are theirs, and that we close it says
    /// nothing to a peer.
    Shared,
}

/// The server's hold on a stream socket.
pub(super) struct SocketLink<S> {
    socket: S,
    whose: Whose,
    discard: Discard,
}

/// A handle to a stream socket, one of several.
pub(super) trait Handle: AsFd + Send + Sync {
    /// Whether there are other handles.
    fn is_shared(&self) -> bool;
    fn poll_read(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>>;
}

impl<S: Handle> SocketLink<S> {
    pub(super) fn new(socket: S, whose: Whose) -> Self {
        let discard = Discard::default();
        Self {
            socket,
            whose,
            discard,
        }
    }

    /// Whether the socket stays open when we drop our handle.
    fn stays_open(&self) -> bool {
        self.whose == Whose::Shared || self.socket.is_shared()
    }
}

impl<S: Handle> Link for SocketLink<S> {
    fn poll_linger(&self, cx: &mut Context<'_>, ended: bool) -> Poll<io::Result<()>> {
        if ended && !self.stays_open() {
            // The close says the end of input, and nothing unread makes it a reset.
            return Poll::Ready(Ok(()));
        }
        // Again, if the handler has done it: that is allowed, and does nothing.
        let shut = shutdown(&self.socket, Shutdown::Write);
        // Where a task of the handler's still has a half, what comes is that task's.
        if ended || shut.is_err() || self.socket.is_shared() {
            return Poll::Ready(Ok(()));
        }
        self.discard
            .poll(cx, |cx, buf| self.socket.poll_read(cx, buf))
            .map(Ok)
    }

    fn close(&self) {
        if self.stays_open() {
            // What the kernel has yet to send, it sends.
            let _ = shutdown(&self.socket, Shutdown::Both);
        }
    }

    fn abort(&self) {
        // Disconnecting sends the reset now, while the handler's halves are still open. Unix
        // sockets know neither.
        if connect_unspec(&self.socket).is_err() {
            let _ = shutdown(&self.socket, Shutdown::Both);
        }
    }

    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.socket.as_fd())
    }
}

impl Handle for Socket {
    fn is_shared(&self) -> bool {
        Socket::is_shared(self)
    }

    fn poll_read(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        Socket::poll_read(self, cx, buf)
    }
}

/// What streams of async-net are inside.
impl<T: AsFd + Send + Sync> Handle for Arc<Async<T>>
where
    for<'a> &'a T: Read,
{
    fn is_shared(&self) -> bool {
        Arc::strong_count(self) > 1
    }

    fn poll_read(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            match self.get_ref().read(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.poll_readable(cx))?;
                }
                result => return Poll::Ready(result),
            }
        }
    }
}
