//! TCP: listening sockets, and how a TCP stream becomes a connection.

#[cfg(all(target_os = "linux", not(halves_portable)))]
mod native;
#[cfg(not(all(target_os = "linux", not(halves_portable))))]
mod portable;
mod stream;

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

#[cfg(all(target_os = "linux", not(halves_portable)))]
pub(super) use native::{TcpListener, connect};
#[cfg(not(all(target_os = "linux", not(halves_portable))))]
pub(super) use portable::{TcpListener, connect};

/// Connections that the kernel completes and keeps until we accept them. Past 128, std's number,
/// each further client waits a second for its next try.
const BACKLOG: i32 = 4096;

/// A socket that listens with a backlog of 4,096 and `SO_REUSEADDR`; `[::]` takes IPv4 as well.
fn listen(address: SocketAddr) -> io::Result<OwnedFd> {
    let socket = socket(address)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, !address.ip().is_unspecified())?;
    }
    sockopt::set_socket_reuseaddr(&socket, true)?;
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket)
}

fn socket(address: SocketAddr) -> io::Result<OwnedFd> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(rustix::net::socket_with(
        family,
        SocketType::STREAM,
        flags,
        None,
    )?)
}
