//! How a stream of async-net becomes a connection, and how it ends.

use std::io::{self, Read};
use std::net::{self, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use async_net::TcpStream;
use smol::Async;

use crate::connection::{Connection, Discard, Link, Peer};
use crate::listener::Listener;

/// Any listener of async-net can be served as it is. Its backlog is the 128 of `std`;
/// [`bind`](crate::bind) does better.
impl Listener for async_net::TcpListener {
    type Reader = TcpStream;
    type Writer = TcpStream;

    async fn accept(&mut self) -> io::Result<Option<Connection<TcpStream, TcpStream>>> {
        let (stream, peer) = async_net::TcpListener::accept(self).await?;
        let local = self.local_addr()?;
        Ok(Some(connection(stream, peer, local)))
    }
}

/// The peer's address is the one that accept returned: when the client is gone already, nothing
/// else knows it.
pub(super) fn connection(
    stream: impl Into<TcpStream>,
    peer: SocketAddr,
    local: SocketAddr,
) -> Connection<TcpStream, TcpStream> {
    let stream = stream.into();
    // Refused only when the client is gone, which the handler will notice.
    let _ = stream.set_nodelay(true);
    let link = TcpLink {
        io: stream.clone().into(),
        discard: Discard::default(),
    };
    let peer = Peer::new(peer.into(), local.into()).with_link(Arc::new(link));
    // Clones, as each has wakers of its own.
    Connection::from_parts(stream.clone(), stream, peer)
}

struct TcpLink {
    io: Arc<Async<net::TcpStream>>,
    discard: Discard,
}

impl Link for TcpLink {
    fn poll_linger(&self, cx: &mut Context<'_>, ended: bool) -> Poll<io::Result<()>> {
        if ended && !self.is_shared() {
            // The close says the end of input, and nothing unread makes it a reset.
            return Poll::Ready(Ok(()));
        }
        // Again, if the handler has done it: that is allowed, and does nothing.
        let shut = self.io.get_ref().shutdown(net::Shutdown::Write);
        // Where a task of the handler's still has a half, what comes is that task's.
        if ended || shut.is_err() || self.is_shared() {
            return Poll::Ready(Ok(()));
        }
        let lingered = self.discard.poll(cx, |cx, buf| {
            loop {
                match self.io.get_ref().read(buf) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        ready!(self.io.poll_readable(cx))?;
                    }
                    result => return Poll::Ready(result),
                }
            }
        });
        lingered.map(Ok)
    }

    fn close(&self) {
        if self.is_shared() {
            // What the kernel has yet to send, it sends.
            let _ = self.io.get_ref().shutdown(net::Shutdown::Both);
        }
    }

    fn abort(&self) {
        // Disconnecting sends the reset now, while the handler's clones are still open.
        if rustix::net::connect_unspec(self.as_socket()).is_err() {
            let _ = self.io.get_ref().shutdown(net::Shutdown::Both);
        }
    }

    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.as_socket())
    }
}

impl TcpLink {
    /// Whether a half is still held by somebody.
    fn is_shared(&self) -> bool {
        Arc::strong_count(&self.io) > 1
    }

    fn as_socket(&self) -> BorrowedFd<'_> {
        self.io.get_ref().as_fd()
    }
}
