//! An attempt to connect to one TCP address.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

#[cfg(target_os = "linux")]
use nix::{
    libc,
    sys::socket::{SetSockOpt, sockopt::SetStruct},
};
use rustix::io::Errno;
use rustix::net::sockopt;

use crate::address::ListenOptions;
use crate::connection::{Connection, Endpoint, Ownership};
use crate::listener::socket::local_endpoint;
use crate::listener::tcp::open;

/// Returns the addresses that have the family of the source.
pub(super) fn of_family(
    mut addresses: Vec<SocketAddr>,
    source: Option<SocketAddr>,
) -> io::Result<Vec<SocketAddr>> {
    let Some(source) = source else {
        return Ok(addresses);
    };
    addresses.retain(|address| address.is_ipv4() == source.is_ipv4());
    if addresses.is_empty() {
        let family = if source.is_ipv4() { "IPv4" } else { "IPv6" };
        let message = format!(
            "it has no {family} address, which the source {} needs",
            source.ip()
        );
        return Err(io::Error::new(ErrorKind::AddrNotAvailable, message));
    }
    Ok(addresses)
}

/// Connects to one address.
pub(super) async fn attempt(
    address: SocketAddr,
    source: Option<SocketAddr>,
) -> io::Result<Connection> {
    let socket = open(address)?;
    ListenOptions::default().apply(&socket)?;
    if let Some(source) = source {
        bind(&socket, source).map_err(|error| {
            let error = io::Error::from(error);
            io::Error::new(error.kind(), format!("source {source}: {error}"))
        })?;
    }
    connect(socket, address).await
}

fn bind(socket: &OwnedFd, source: SocketAddr) -> rustix::io::Result<()> {
    if source.port() == 0 {
        choose_port_late(socket);
    } else {
        // The port of an earlier connection may wait for late packets.
        sockopt::set_socket_reuseaddr(socket, true)?;
    }
    rustix::net::bind(socket, &source)
}

/// Makes the kernel choose a port when it knows the other end: one port serves connections to
/// several addresses then.
#[cfg(target_os = "linux")]
fn choose_port_late(socket: &OwnedFd) {
    // Without it, the ports are used up earlier.
    let _ = BindAddressNoPort.set(socket, &1);
}

#[cfg(not(target_os = "linux"))]
fn choose_port_late(_: &OwnedFd) {}

/// Socket option: a bind to port 0 takes no port yet.
#[cfg(target_os = "linux")]
#[derive(Clone, Copy)]
struct BindAddressNoPort;

#[cfg(target_os = "linux")]
nix::setsockopt_impl!(
    BindAddressNoPort,
    libc::IPPROTO_IP,
    libc::IP_BIND_ADDRESS_NO_PORT,
    i32,
    SetStruct<'_, i32>
);

async fn connect(socket: OwnedFd, address: SocketAddr) -> io::Result<Connection> {
    match rustix::net::connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS) => {}
        Err(error) => return Err(error.into()),
    }
    // The kernel chooses it at the start of the handshake.
    let local = local_endpoint(&socket)?;
    if is_same(&local, address) {
        return Err(Errno::CONNREFUSED.into());
    }
    let connection = Connection::of_socket(socket, address.into(), local, Ownership::Ours);
    connection.established().await
}

/// Returns true if a socket connects to itself. If nothing listens on a local port, the kernel may
/// choose that same port for the connecting socket.
fn is_same(local: &Endpoint, remote: SocketAddr) -> bool {
    let local = local.socket_addr();
    local.is_some_and(|local| (local.ip(), local.port()) == (remote.ip(), remote.port()))
}

#[cfg(test)]
mod tests {
    use smol::block_on;

    use super::*;

    #[test]
    fn a_connection_of_a_socket_to_itself_is_refused() -> io::Result<()> {
        for any in ["127.0.0.1:0", "[::1]:0"] {
            let any = any.parse().expect("an address");
            let socket = open(any)?;
            if rustix::net::bind(&socket, &any).is_err() {
                // This machine has no IPv6.
                continue;
            }
            let own = rustix::net::getsockname(&socket)?;
            let own = own.try_into().expect("a TCP address");
            let refused = block_on(connect(socket, own)).expect_err("nothing listens");
            assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        }
        Ok(())
    }

    #[test]
    fn a_connected_socket_has_nodelay() -> io::Result<()> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        let connection = block_on(attempt(listener.local_addr()?, None))?;
        let record = connection.peer.record();
        assert_eq!(
            record.with_fd(|fd| sockopt::tcp_nodelay(fd)),
            Some(Ok(true))
        );
        Ok(())
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_source_without_a_port_takes_no_port_before_the_connect() -> io::Result<()> {
        for source in ["127.0.0.1:0", "[::1]:0"] {
            let source = source.parse().expect("an address");
            let socket = open(source)?;
            if bind(&socket, source).is_err() {
                // This machine has no IPv6.
                continue;
            }
            let bound = rustix::net::getsockname(&socket)?;
            assert_eq!(SocketAddr::try_from(bound), Ok(source));
        }
        Ok(())
    }

    #[test]
    fn addresses_of_the_other_family_are_left_out() -> io::Result<()> {
        let [v4, v6] = ["192.0.2.1:7", "[2001:db8::1]:7"].map(|text| text.parse().expect("valid"));
        let any: SocketAddr = "0.0.0.0:0".parse().expect("valid");
        assert_eq!(of_family(vec![v6, v4], None)?, [v6, v4]);
        assert_eq!(of_family(vec![v6, v4], Some(any))?, [v4]);
        let error = of_family(vec![v6], Some(any)).expect_err("none is left");
        assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
        assert_eq!(
            error.to_string(),
            "it has no IPv4 address, which the source 0.0.0.0 needs"
        );
        Ok(())
    }
}
