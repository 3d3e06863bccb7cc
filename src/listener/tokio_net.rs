//! Listeners of tokio, which are served as they are.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net;
use std::sync::Arc;

use tokio::net::{TcpListener, UnixListener};

use super::Listener;
use crate::address::ListenOptions;
use crate::connection::{AnyRead, AnyWrite, Connection, Endpoint, Ownership};

/// With the feature `tokio`, any listener of tokio can be served as it is, in the runtime that it
/// was made in. What it accepts is as what [`bind`](crate::bind) accepts, which spares each
/// connection two system calls.
impl Listener for TcpListener {
    type Reader = AnyRead;
    type Writer = AnyWrite;

    async fn accept(&mut self) -> io::Result<Option<Connection>> {
        // When the client is gone already, nothing else knows its address.
        let (stream, remote) = TcpListener::accept(self).await?;
        let socket = OwnedFd::from(stream.into_std()?);
        // Refused only when the client is gone, which the handler will notice.
        let _ = ListenOptions::default().apply(&socket);
        Ok(Some(connection(
            socket,
            remote.into(),
            self.local_addr()?.into(),
        )))
    }

    fn local_addrs(&self) -> Vec<Endpoint> {
        self.local_addr().map(Endpoint::from).into_iter().collect()
    }
}

/// As it is, too. [`bind`](crate::bind) also replaces the file of a server that is gone, and
/// removes its own.
impl Listener for UnixListener {
    type Reader = AnyRead;
    type Writer = AnyWrite;

    async fn accept(&mut self) -> io::Result<Option<Connection>> {
        let (stream, remote) = UnixListener::accept(self).await?;
        let socket = OwnedFd::from(stream.into_std()?);
        let remote = net::SocketAddr::from(remote);
        Ok(Some(connection(socket, remote.into(), local(self)?)))
    }

    fn local_addrs(&self) -> Vec<Endpoint> {
        local(self).into_iter().collect()
    }
}

fn local(listener: &UnixListener) -> io::Result<Endpoint> {
    let local = net::SocketAddr::from(listener.local_addr()?);
    Ok(local.into())
}

fn connection(socket: OwnedFd, remote: Endpoint, local: Endpoint) -> Connection {
    Connection::of_socket(socket, remote, Arc::new(local), Ownership::Ours)
}
