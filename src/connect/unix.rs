//! Connections to Unix sockets.

use std::future;
use std::io;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrAny, SocketAddrUnix};

use crate::connection::{Connection, Endpoint, Ownership};
use crate::listener::retry_while;
use crate::listener::socket::{local_endpoint, stream};

/// Connects to a server. Waits while the server's backlog is full.
pub(super) async fn connect(to: SocketAddrUnix) -> io::Result<Connection> {
    let socket = stream(AddressFamily::UNIX)?;
    // The kernel does not report when the backlog has room. A blocking connect would occupy a
    // thread.
    let attempt = || future::ready(rustix::net::connect(&socket, &to).map_err(Into::into));
    retry_while(Errno::AGAIN, attempt).await?;
    let local = local_endpoint(&socket)?;
    let remote = Endpoint::of(SocketAddrAny::from(to));
    Ok(Connection::of_socket(
        socket,
        remote,
        local,
        Ownership::Ours,
    ))
}
