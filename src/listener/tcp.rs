//! TCP: listening sockets, and how a TCP stream becomes a connection.

use std::io::{self, Read};
use std::net::{self, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use async_net::TcpStream;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use smol::Async;

use super::Listener;
use super::several::Accept;
use crate::connection::{Connection, Discard, Endpoint, Link, Peer};

/// Connections that the kernel completes and keeps until we accept them. Past 128, std's number,
/// each further client waits a second for its next try.
const BACKLOG: i32 = 4096;

/// A listening socket with the options that a server wants.
pub(super) struct TcpListener {
    io: Async<net::TcpListener>,
    local: SocketAddr,
}

impl TcpListener {
    /// Listens with a backlog of 4,096 and `SO_REUSEADDR`; `[::]` takes IPv4 as well.
    pub(super) fn open(address: SocketAddr) -> io::Result<Self> {
        let family = match address {
            SocketAddr::V4(_) => AddressFamily::INET,
            SocketAddr::V6(_) => AddressFamily::INET6,
        };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
        if address.is_ipv6() {
            sockopt::set_ipv6_v6only(&socket, !address.ip().is_unspecified())?;
        }
        sockopt::set_socket_reuseaddr(&socket, true)?;
        rustix::net::bind(&socket, &address)?;
        rustix::net::listen(&socket, BACKLOG)?;
        let io = Async::new_nonblocking(net::TcpListener::from(socket))?;
        let local = io.get_ref().local_addr()?;
        Ok(Self { io, local })
    }
}

impl Accept for TcpListener {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Connection>>> {
        loop {
            match self.io.get_ref().accept() {
                Ok((stream, peer)) => {
                    let connection = connection(Async::new(stream)?, peer, self.local);
                    return Poll::Ready(Ok(Some(connection.erase())));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.io.poll_readable(cx))?;
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    fn local(&self) -> Endpoint {
        self.local.into()
    }
}

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

/// Connects to the first of `addresses` that answers.
pub(super) async fn connect(addresses: &[SocketAddr]) -> io::Result<Connection> {
    let stream = TcpStream::connect(addresses).await?;
    let (peer, local) = (stream.peer_addr()?, stream.local_addr()?);
    Ok(connection(stream, peer, local).erase())
}

/// The peer's address is the one that accept returned: when the client is gone already, nothing
/// else knows it.
fn connection(
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
