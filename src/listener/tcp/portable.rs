//! Listening and connecting where there is no reactor of ours: over async-io.

use std::io;
use std::net::{self, SocketAddr};
use std::task::{Context, Poll, ready};

use async_net::TcpStream;
use smol::Async;

use super::stream::connection;
use crate::connection::{Connection, Endpoint};
use crate::listener::several::Accept;

/// A listening socket with the options that a server wants.
pub(in crate::listener) struct TcpListener {
    io: Async<net::TcpListener>,
    local: SocketAddr,
}

impl TcpListener {
    pub(in crate::listener) fn open(address: SocketAddr) -> io::Result<Self> {
        let listener = net::TcpListener::from(super::listen(address)?);
        let io = Async::new_nonblocking(listener)?;
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

/// Connects to the first of `addresses` that answers.
pub(in crate::listener) async fn connect(addresses: &[SocketAddr]) -> io::Result<Connection> {
    let stream = TcpStream::connect(addresses).await?;
    let (peer, local) = (stream.peer_addr()?, stream.local_addr()?);
    Ok(connection(stream, peer, local).erase())
}
