//! Stream sockets of any family: what accepts on them, how one becomes a connection, how it ends.

use std::future::poll_fn;
use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustix::net::addr::SocketAddrArg;
use rustix::net::{AddressFamily, SocketFlags, SocketType, getsockname, sockopt};

use super::several::Accept;
use super::unix::SocketFile;
use crate::connection::{AnyRead, AnyWrite, Connection, Credentials};
use crate::connection::{Discard, Endpoint, Link, Peer};
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

/// Whose a socket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    Ours,
    /// Others have it open as well, perhaps: its options are theirs, and that we close it says
    /// nothing to a peer.
    Shared,
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
pub(super) fn connection(socket: Socket, mut peer: Peer, whose: Whose) -> Connection {
    if peer.record().local.is_unix()
        && let Some(credentials) = Credentials::of(socket.as_fd())
    {
        peer = peer.with_credentials(credentials);
    }
    let link = SocketLink {
        socket: socket.clone(),
        whose,
        discard: Discard::default(),
    };
    let peer = peer.with_link(Arc::new(link));
    let (reader, writer) = (AnyRead::socket(socket.clone()), AnyWrite::socket(socket));
    Connection::from_parts(reader, writer, peer)
}

/// Has TCP send what is there at once. Other sockets do so, and refuse to be asked.
pub(super) fn send_without_delay(socket: impl AsFd) {
    let _ = sockopt::set_tcp_nodelay(socket, true);
}

struct SocketLink {
    socket: Socket,
    whose: Whose,
    discard: Discard,
}

impl SocketLink {
    /// Whether the socket stays open when we drop our handle.
    fn stays_open(&self) -> bool {
        self.whose == Whose::Shared || self.socket.is_shared()
    }
}

impl Link for SocketLink {
    fn poll_linger(&self, cx: &mut Context<'_>, ended: bool) -> Poll<io::Result<()>> {
        if ended && !self.stays_open() {
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
        if self.stays_open() {
            // What the kernel has yet to send, it sends.
            let _ = self.socket.shutdown(Shutdown::Both);
        }
    }

    fn abort(&self) {
        // Disconnecting sends the reset now, while the handler's halves are still open. Unix
        // sockets know neither.
        if rustix::net::connect_unspec(&self.socket).is_err() {
            let _ = self.socket.shutdown(Shutdown::Both);
        }
    }

    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.socket.as_fd())
    }
}
