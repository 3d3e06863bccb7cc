//! Stream sockets of any family, and what accepts on them.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustix::net::{AddressFamily, SocketFlags, SocketType, getsockname, sockopt};

use super::several::Accept;
use super::unix::SocketFile;
use crate::connection::{Connection, Endpoint, Whose};
use crate::reactor::Socket;

/// Connections that the kernel completes and keeps until we accept them. Past 128, std's number,
/// each further client of TCP waits a second for its next try.
const BACKLOG: i32 = 4096;

/// A socket that listens.
pub(super) struct SocketListener {
    socket: Socket,
    /// Shared with what is accepted.
    local: Arc<Endpoint>,
    whose: Whose,
    /// Goes with it.
    file: Option<SocketFile>,
}

impl SocketListener {
    /// Begins to listen on a socket of ours that is bound.
    pub(super) fn open(socket: OwnedFd, file: Option<SocketFile>) -> io::Result<Self> {
        rustix::net::listen(&socket, BACKLOG)?;
        Self::new(socket, Whose::Ours, file)
    }

    /// Takes over one that listens, and is non-blocking.
    pub(super) fn shared(socket: OwnedFd) -> io::Result<Self> {
        Self::new(socket, Whose::Shared, None)
    }

    fn new(socket: OwnedFd, whose: Whose, file: Option<SocketFile>) -> io::Result<Self> {
        Ok(Self {
            local: local(&socket)?,
            socket: Socket::new(socket),
            whose,
            file,
        })
    }
}

impl Drop for SocketListener {
    fn drop(&mut self) {
        // Before the socket: as long as somebody listens, nobody takes it for one left behind.
        drop(self.file.take());
    }
}

impl Accept for SocketListener {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Connection>>> {
        let (socket, peer) = ready!(self.socket.poll_accept(cx))?;
        if self.whose == Whose::Shared {
            send_without_delay(&socket);
        }
        // When the client is gone already, nothing else knows its address.
        let peer = peer.map_or(Endpoint::Unknown, Endpoint::of);
        let local = self.local.clone();
        let connection = Connection::of_socket(socket, peer, local, Whose::Ours);
        Poll::Ready(Ok(Some(connection)))
    }

    fn local(&self) -> Endpoint {
        Endpoint::clone(&self.local)
    }
}

/// A non-blocking stream socket.
pub(super) fn stream(family: AddressFamily) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    Ok(socket)
}

/// What the system calls our end of a socket.
pub(super) fn local(socket: impl AsFd) -> io::Result<Arc<Endpoint>> {
    Ok(Arc::new(Endpoint::of(getsockname(socket)?)))
}

/// Has TCP send what is there at once. Other sockets do so, and refuse to be asked.
pub(super) fn send_without_delay(socket: impl AsFd) {
    let _ = sockopt::set_tcp_nodelay(socket, true);
}
