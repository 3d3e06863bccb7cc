//! Listening and connecting on sockets of our own reactor.

use std::future::poll_fn;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustix::net::{getsockname, sockopt};

use crate::connection::{AnyRead, AnyWrite, Connection, Discard, Endpoint, Link, Peer};
use crate::listener::several::Accept;
use crate::reactor::Socket;

/// A listening socket with the options that a server wants.
pub(in crate::listener) struct TcpListener {
    socket: Socket,
    local: SocketAddr,
}

impl TcpListener {
    pub(in crate::listener) fn open(address: SocketAddr) -> io::Result<Self> {
        let socket = super::listen(address)?;
        // What it accepts inherits this.
        sockopt::set_tcp_nodelay(&socket, true)?;
        let local = getsockname(&socket)?.try_into()?;
        let socket = Socket::new(socket);
        Ok(Self { socket, local })
    }
}

impl Accept for TcpListener {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Connection>>> {
        let (socket, peer) = ready!(self.socket.poll_accept(cx))?;
        // When the client is gone already, nothing else knows its address.
        let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
        let peer = peer.map_or(Endpoint::Unknown, Endpoint::from);
        let socket = Socket::new(socket);
        Poll::Ready(Ok(Some(connection(socket, peer, self.local))))
    }

    fn local(&self) -> Endpoint {
        self.local.into()
    }
}

/// Connects to the first of `addresses` that answers.
pub(in crate::listener) async fn connect(addresses: &[SocketAddr]) -> io::Result<Connection> {
    let mut failed = io::Error::from(io::ErrorKind::InvalidInput);
    for &address in addresses {
        match connect_to(address).await {
            Ok(connection) => return Ok(connection),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

async fn connect_to(address: SocketAddr) -> io::Result<Connection> {
    let fd = super::socket(address)?;
    sockopt::set_tcp_nodelay(&fd, true)?;
    let socket = Socket::new(fd);
    socket.connect(address)?;
    poll_fn(|cx| socket.poll_connected(cx)).await?;
    let local = getsockname(&socket)?.try_into()?;
    Ok(connection(socket, address.into(), local))
}

fn connection(socket: Socket, peer: Endpoint, local: SocketAddr) -> Connection {
    let link = SocketLink {
        socket: socket.clone(),
        discard: Discard::default(),
    };
    let peer = Peer::new(peer, local.into()).with_link(Arc::new(link));
    let (reader, writer) = (AnyRead::socket(socket.clone()), AnyWrite::socket(socket));
    Connection::from_parts(reader, writer, peer)
}

struct SocketLink {
    socket: Socket,
    discard: Discard,
}

impl Link for SocketLink {
    fn poll_linger(&self, cx: &mut Context<'_>, ended: bool) -> Poll<io::Result<()>> {
        if ended && !self.socket.is_shared() {
            // The close says the end of input, and nothing unread makes it a reset.
            return Poll::Ready(Ok(()));
        }
        // Again, if the handler has done it: that is allowed, and does nothing.
        let shut = self.socket.shutdown(Shutdown::Write);
        // Where a task of the handler's still has a half, what comes is that task's.
        if ended || shut.is_err() || self.socket.is_shared() {
            return Poll::Ready(Ok(()));
        }
        self.discard
            .poll(cx, |cx, buf| self.socket.poll_read(cx, buf))
            .map(Ok)
    }

    fn close(&self) {
        if self.socket.is_shared() {
            // What the kernel has yet to send, it sends.
            let _ = self.socket.shutdown(Shutdown::Both);
        }
    }

    fn abort(&self) {
        // Disconnecting sends the reset now, while the handler's halves are still open.
        if rustix::net::connect_unspec(&self.socket).is_err() {
            let _ = self.socket.shutdown(Shutdown::Both);
        }
    }

    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.socket.as_fd())
    }
}
