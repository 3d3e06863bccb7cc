//! `Listener` for the listeners of tokio.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net;
use std::sync::Arc;

use tokio::net::{TcpListener, UnixListener};

use super::Listener;
use crate::address::ListenOptions;
use crate::connection::{AnyRead, AnyWrite, Connection, Endpoint, Ownership};

/// With the feature `tokio`, listeners of tokio can be served directly, in the runtime that they
/// were created in. Their connections are the same as those of [`bind`](crate::bind), which needs
/// two system calls less for each.
impl Listener for TcpListener {
    type Reader = AnyRead;
    type Writer = AnyWrite;

    async fn accept(&mut self) -> io::Result<Option<Connection>> {
        // Accept returns the address even if the client has disconnected; getpeername would fail.
        let (stream, remote) = TcpListener::accept(self).await?;
        let socket = OwnedFd::from(stream.into_std()?);
        // Fails only if the client has disconnected; the handler sees that.
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

/// With the feature `tokio`, listeners of tokio can be served directly. [`bind`](crate::bind) also
/// replaces stale files and removes its own.
impl Listener for UnixListener {
    type Reader = AnyRead;
    type Writer = AnyWrite;

    async fn accept(&mut self) -> io::Result<Option<Connection>> {
        let (stream, remote) = UnixListener::accept(self).await?;
        let socket = OwnedFd::from(stream.into_std()?);
        let remote = net::SocketAddr::from(remote);
        let local = local_endpoint(self)?;
        Ok(Some(connection(socket, remote.into(), local)))
    }

    fn local_addrs(&self) -> Vec<Endpoint> {
        local_endpoint(self).into_iter().collect()
    }
}

fn local_endpoint(listener: &UnixListener) -> io::Result<Endpoint> {
    let local = net::SocketAddr::from(listener.local_addr()?);
    Ok(local.into())
}

fn connection(socket: OwnedFd, remote: Endpoint, local: Endpoint) -> Connection {
    Connection::of_socket(socket, remote, Arc::new(local), Ownership::Ours)
}
