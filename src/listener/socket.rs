//! Stream sockets of any family, and what accepts on them.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustix::net::{AddressFamily, SocketFlags, SocketType, getsockname};

use super::several::Accept;
use super::unix::SocketFile;
use crate::address::ListenOptions;
use crate::connection::{Connection, Endpoint, Whose};
use crate::reactor::Socket;

/// A socket that listens.
pub(super) struct SocketListener {
    socket: Socket,
    /// Shared with what is accepted.
    local: Arc<Endpoint>,
    /// Set on each connection that a listener of others accepts; those of ours inherit them.
    options: Option<ListenOptions>,
    /// Goes with it.
    file: Option<SocketFile>,
}

impl SocketListener {
    /// Begins to listen on a socket of ours that is bound.
    pub(super) fn open(
        socket: OwnedFd,
        backlog: u32,
        file: Option<SocketFile>,
    ) -> io::Result<Self> {
        rustix::net::listen(&socket, i32::try_from(backlog).unwrap_or(i32::MAX))?;
        Ok(Self {
            local: local(&socket)?,
            socket: Socket::new(socket),
            options: None,
            file,
        })
    }

    /// Takes over one that listens at `local`, and is non-blocking.
    pub(super) fn shared(socket: OwnedFd, local: Arc<Endpoint>, options: ListenOptions) -> Self {
        Self {
            local,
            socket: Socket::new(socket),
            options: Some(options),
            file: None,
        }
    }

    /// The port of TCP; 0 for any other socket.
    pub(super) fn port(&self) -> u16 {
        self.local.socket_addr().map_or(0, |local| local.port())
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
        if let Some(options) = &self.options {
            // Refused only by what is not TCP, and where the client has gone.
            let _ = options.apply(&socket);
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
pub(super) fn stream(family: AddressFamily) -> rustix::io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    rustix::net::socket_with(family, SocketType::STREAM, flags, None)
}

/// What the system calls our end of a socket.
pub(super) fn local(socket: impl AsFd) -> io::Result<Arc<Endpoint>> {
    Ok(Arc::new(Endpoint::of(getsockname(socket)?)))
}
