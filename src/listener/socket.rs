//! Stream sockets of any family: what accepts on them, and how one becomes a connection.

use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustix::net::addr::SocketAddrArg;
use rustix::net::{AddressFamily, SocketFlags, SocketType, getsockname, sockopt};

use super::link::{SocketLink, Whose};
use super::several::Accept;
use super::unix::SocketFile;
use crate::connection::{AnyRead, AnyWrite, Connection, Endpoint, Peer};
use crate::reactor::Socket;

/// Connections that the kernel completes and keeps until we accept them. Past 128, std's number,
/// each further client of TCP waits a second for its next try.
const BACKLOG: i32 = 4096;

/// A socket that listens.
pub(super) struct SocketListener {
    socket: Socket,
    local: Endpoint,
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
            local: Endpoint::of(getsockname(&socket)?),
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
        let peer = Peer::new(peer, self.local.clone());
        Poll::Ready(Ok(Some(connection(Socket::new(socket), peer, Whose::Ours))))
    }

    fn local(&self) -> Endpoint {
        self.local.clone()
    }
}

/// A non-blocking stream socket.
pub(super) fn stream(family: AddressFamily) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    Ok(socket)
}

/// Connects a non-blocking socket.
pub(super) async fn connect(socket: OwnedFd, to: &impl SocketAddrArg) -> io::Result<Socket> {
    let socket = Socket::new(socket);
    socket.connect(to)?;
    poll_fn(|cx| socket.poll_connected(cx)).await?;
    Ok(socket)
}

/// The connection of a socket that is connected.
pub(super) fn connection(socket: Socket, peer: Peer, whose: Whose) -> Connection {
    let link = SocketLink::new(socket.clone(), whose);
    let peer = peer.identified(&socket).with_link(Arc::new(link));
    let (reader, writer) = (AnyRead::socket(socket.clone()), AnyWrite::socket(socket));
    Connection::from_parts(reader, writer, peer)
}

/// Has TCP send what is there at once. Other sockets do so, and refuse to be asked.
pub(super) fn send_without_delay(socket: impl AsFd) {
    let _ = sockopt::set_tcp_nodelay(socket, true);
}
