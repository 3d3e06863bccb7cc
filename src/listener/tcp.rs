//! TCP: how its sockets are opened and connected.

mod each;
mod problem;
mod resolve;

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{AddressFamily, sockopt};

use super::Listeners;
use super::socket::{self, SocketListener};
use crate::address::ListenOptions;
use crate::connection::{Connection, Ownership};

/// Listens at a port of each address of a host, or of every interface where there is no host.
pub(super) async fn listen(
    host: &str,
    port: u16,
    options: &ListenOptions,
) -> io::Result<Listeners> {
    if host.is_empty() {
        return everywhere(port, options).map(Listeners::of);
    }
    let addresses = resolve::resolve(host, port).await?;
    let listen = |address| {
        let listener = listen_at(address, options)?;
        let port = listener.port();
        Ok((listener, port))
    };
    let mut listeners = Listeners::default();
    for listener in each::at_each(&addresses, has_v6, listen)? {
        listeners.push(listener);
    }
    Ok(listeners)
}

/// Connects to the first address of a host that answers.
pub(super) async fn connect(host: &str, port: u16) -> io::Result<Connection> {
    // Connecting to no host in particular means this machine.
    let host = if host.is_empty() { "localhost" } else { host };
    let mut failed = io::Error::from(io::ErrorKind::InvalidInput);
    for address in resolve::resolve(host, port).await? {
        match connect_to(address).await {
            Ok(connection) => return Ok(connection),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

async fn connect_to(address: SocketAddr) -> io::Result<Connection> {
    let socket = open(address)?;
    ListenOptions::default().apply(&socket)?;
    connect_socket(socket, address).await
}

async fn connect_socket(socket: OwnedFd, address: SocketAddr) -> io::Result<Connection> {
    match rustix::net::connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS) => {}
        Err(error) => return Err(error.into()),
    }
    // It is chosen when the connecting begins.
    let local = socket::local(&socket)?;
    let connection = Connection::of_socket(socket, address.into(), local, Ownership::Ours);
    let connection = connection.established().await?;
    if is_to_itself(&connection) {
        return Err(Errno::CONNREFUSED.into());
    }
    Ok(connection)
}

/// Whether a socket has connected to itself: the kernel may choose the very port for it that it
/// connects to, if no other socket has that. Nothing listens there then.
fn is_to_itself(connection: &Connection) -> bool {
    let asked = connection.peer.record().with_fd(|fd| {
        // Neither is known where the peer is gone already.
        let far = rustix::net::getpeername(fd).ok().flatten();
        far.is_some() && far == rustix::net::getsockname(fd).ok()
    });
    asked.unwrap_or(false)
}

/// IPv6 and, by it, IPv4; IPv4 alone where the system has no IPv6.
fn everywhere(port: u16, options: &ListenOptions) -> io::Result<SocketListener> {
    let v6 = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    let v4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    match listen_at(v6, options) {
        Err(error) if each::lacks_family(&error) && !options.v6_only => listen_at(v4, options),
        listener => listener,
    }
    .map_err(|error| problem::explain(v6, error))
}

/// A socket that listens, with `SO_REUSEADDR`; `[::]` takes IPv4 as well, unless told otherwise.
fn listen_at(address: SocketAddr, options: &ListenOptions) -> io::Result<SocketListener> {
    let takes_v4 = address.is_ipv6() && address.ip().is_unspecified() && !options.v6_only;
    let socket = match bound(address, takes_v4, options) {
        Err(Errno::ADDRINUSE) if takes_v4 && bound(address, false, options).is_ok() => {
            return Err(problem::taken_by_v4(address.port()));
        }
        socket => socket?,
    };
    SocketListener::open(socket, options.backlog, None)
}

fn bound(
    address: SocketAddr,
    takes_v4: bool,
    options: &ListenOptions,
) -> rustix::io::Result<OwnedFd> {
    let socket = open(address)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, !takes_v4)?;
    }
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if options.reuse_port {
        sockopt::set_socket_reuseport(&socket, true)?;
    }
    // What it accepts inherits them.
    options.apply(&socket)?;
    rustix::net::bind(&socket, &address)?;
    Ok(socket)
}

fn open(address: SocketAddr) -> rustix::io::Result<OwnedFd> {
    socket::stream(match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    })
}

/// Whether this machine has any address of IPv6.
fn has_v6() -> bool {
    let loopback = SocketAddr::from((Ipv6Addr::LOCALHOST, 0));
    bound(loopback, false, &ListenOptions::default()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_of_a_socket_to_itself_is_refused() -> io::Result<()> {
        for any in ["127.0.0.1:0", "[::1]:0"] {
            let any = any.parse().expect("an address");
            let socket = open(any)?;
            if rustix::net::bind(&socket, &any).is_err() {
                // There is no IPv6.
                continue;
            }
            let own = rustix::net::getsockname(&socket)?;
            let own = own.try_into().expect("an address of TCP");
            let refused = smol::block_on(connect_socket(socket, own)).expect_err("nothing listens");
            assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        }
        Ok(())
    }
}
