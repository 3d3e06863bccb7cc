//! TCP: how its sockets are opened and connected.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{AddressFamily, sockopt};

use super::socket::{self, SocketListener};
use crate::connection::{Connection, Whose};

/// A socket that listens, with `SO_REUSEADDR`; `[::]` takes IPv4 as well.
pub(super) fn listen(address: SocketAddr) -> io::Result<SocketListener> {
    let socket = open(address)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, !address.ip().is_unspecified())?;
    }
    sockopt::set_socket_reuseaddr(&socket, true)?;
    rustix::net::bind(&socket, &address)?;
    SocketListener::open(socket, None)
}

/// Connects to the first of `addresses` that answers.
pub(super) async fn connect(addresses: &[SocketAddr]) -> io::Result<Connection> {
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
    let socket = open(address)?;
    match rustix::net::connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS) => {}
        Err(error) => return Err(error.into()),
    }
    // It is chosen when the connecting begins.
    let local = socket::local(&socket)?;
    let connection = Connection::of_socket(socket, address.into(), local, Whose::Ours);
    connection.established().await
}

/// What it accepts inherits its options.
fn open(address: SocketAddr) -> io::Result<OwnedFd> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let socket = socket::stream(family)?;
    sockopt::set_tcp_nodelay(&socket, true)?;
    Ok(socket)
}
