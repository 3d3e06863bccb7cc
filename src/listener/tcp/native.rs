//! Listening and connecting on sockets of our own reactor.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustix::io::Errno;
use rustix::net::{getsockname, sockopt};

use crate::connection::{Connection, Endpoint};
use crate::listener::several::Accept;
use crate::reactor::Socket;

/// A listening socket with the options that a server wants.
pub(in crate::listener) struct TcpListener {
    socket: Socket,
    /// Shared with what is accepted.
    local: Arc<Endpoint>,
}

impl TcpListener {
    pub(in crate::listener) fn open(address: SocketAddr) -> io::Result<Self> {
        let socket = super::listen(address)?;
        // What it accepts inherits this.
        sockopt::set_tcp_nodelay(&socket, true)?;
        let local = Arc::new(local(&socket)?);
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
        let connection = Connection::of_socket(socket, peer, self.local.clone());
        Poll::Ready(Ok(Some(connection)))
    }

    fn local(&self) -> Endpoint {
        Endpoint::clone(&self.local)
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
    let socket = super::socket(address)?;
    sockopt::set_tcp_nodelay(&socket, true)?;
    match rustix::net::connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS) => {}
        Err(error) => return Err(error.into()),
    }
    // It is chosen when the connecting begins.
    let local = local(&socket)?;
    let connection = Connection::of_socket(socket, address.into(), Arc::new(local));
    connection.established().await
}

fn local(socket: &OwnedFd) -> io::Result<Endpoint> {
    let name = SocketAddr::try_from(getsockname(socket)?)?;
    Ok(name.into())
}
