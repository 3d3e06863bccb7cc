//! Listeners of async-net, which are served as they are.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::sync::Arc;

use async_net::TcpStream;
use async_net::unix::UnixStream;
use smol::Async;

use super::Listener;
use super::link::{SocketLink, Whose};
use crate::connection::{Connection, Peer};

/// Any listener of async-net can be served as it is. Its backlog is the 128 of `std`;
/// [`bind`](crate::bind) does better.
impl Listener for async_net::TcpListener {
    type Reader = TcpStream;
    type Writer = TcpStream;

    async fn accept(&mut self) -> io::Result<Option<Connection<TcpStream, TcpStream>>> {
        // When the client is gone already, nothing else knows its address.
        let (stream, peer) = async_net::TcpListener::accept(self).await?;
        // Refused only when the client is gone, which the handler will notice.
        let _ = stream.set_nodelay(true);
        let peer = Peer::new(peer.into(), self.local_addr()?.into());
        Ok(Some(connection(stream, peer)))
    }
}

/// As it is, too. [`bind`](crate::bind) also replaces the file of a server that is gone, and
/// removes its own.
impl Listener for async_net::unix::UnixListener {
    type Reader = UnixStream;
    type Writer = UnixStream;

    async fn accept(&mut self) -> io::Result<Option<Connection<UnixStream, UnixStream>>> {
        let (stream, peer) = async_net::unix::UnixListener::accept(self).await?;
        let peer = Peer::new(peer.into(), self.local_addr()?.into()).identified(&stream);
        Ok(Some(connection(stream, peer)))
    }
}

fn connection<T, S>(stream: T, peer: Peer) -> Connection<T, T>
where
    T: Clone + Into<Arc<Async<S>>>,
    S: AsFd + Send + Sync + 'static,
    for<'a> &'a S: Read,
{
    let link = SocketLink::new(stream.clone().into(), Whose::Ours);
    let peer = peer.with_link(Arc::new(link));
    // Clones, as each has wakers of its own.
    Connection::from_parts(stream.clone(), stream, peer)
}
