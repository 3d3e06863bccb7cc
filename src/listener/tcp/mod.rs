//! TCP sockets: listening, and the options of sockets.

mod listen;
mod lookups;
mod resolve;

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{AddressFamily, sockopt};

use super::Listeners;
use super::socket::{self, SocketListener};
use crate::address::ListenOptions;

pub(crate) use resolve::resolve;

/// The number of unanswered keepalive probes after which the kernel ends the connection.
#[cfg(not(any(target_os = "haiku", target_os = "nto", target_os = "openbsd")))]
const KEEPALIVE_PROBES: u32 = 3;

/// Listens on a port of every address of a host; without a host, of every interface.
pub(super) async fn listen(
    host: &str,
    port: u16,
    options: &ListenOptions,
) -> io::Result<Listeners> {
    if host.is_empty() {
        return every_interface(port, options).map(Listeners::of);
    }
    let addresses = resolve(host, port).await?;
    let listen = |address| {
        let listener = listen_at(address, options)?;
        let port = listener.port();
        Ok((listener, port))
    };
    let mut listeners = Listeners::default();
    for listener in listen::on_every_address(&addresses, has_v6, listen)? {
        listeners.push(listener);
    }
    Ok(listeners)
}

/// Listens on every interface: over IPv6 and IPv4 by one socket, or over IPv4 if there is no IPv6.
fn every_interface(port: u16, options: &ListenOptions) -> io::Result<SocketListener> {
    let v6 = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    let v4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    match listen_at(v6, options) {
        Err(error) if listen::lacks_family(&error) && !options.v6_only => listen_at(v4, options),
        listener => listener,
    }
    .map_err(|error| listen::explain(v6, error))
}

/// Listens on one address, with `SO_REUSEADDR`. `[::]` takes IPv4 as well, unless `v6_only` is set.
fn listen_at(address: SocketAddr, options: &ListenOptions) -> io::Result<SocketListener> {
    let takes_v4 = address.is_ipv6() && address.ip().is_unspecified() && !options.v6_only;
    let socket = match bound(address, takes_v4, options) {
        Err(Errno::ADDRINUSE) if takes_v4 && bound(address, false, options).is_ok() => {
            return Err(listen::taken_over_v4(address.port()));
        }
        socket => socket?,
    };
    SocketListener::open(socket, options.backlog)
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
    // Accepted connections inherit these.
    options.apply(&socket)?;
    rustix::net::bind(&socket, &address)?;
    Ok(socket)
}

/// Opens a non-blocking socket for the family of an address.
pub(crate) fn open(address: SocketAddr) -> rustix::io::Result<OwnedFd> {
    socket::stream(match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    })
}

/// Returns true if this machine has an IPv6 address.
fn has_v6() -> bool {
    let loopback = SocketAddr::from((Ipv6Addr::LOCALHOST, 0));
    bound(loopback, false, &ListenOptions::default()).is_ok()
}

impl ListenOptions {
    /// Sets the options of connections on a connection, or on a socket before it listens; accepted
    /// connections inherit them. Fails if the socket is not TCP or its peer has disconnected.
    pub(crate) fn apply(&self, socket: impl AsFd) -> rustix::io::Result<()> {
        sockopt::set_tcp_nodelay(&socket, !self.nagle)?;
        if self.keepalive > 0 {
            sockopt::set_socket_keepalive(&socket, true)?;
            set_keepalive(&socket, Duration::from_secs(self.keepalive.into()))?;
        }
        Ok(())
    }

    /// As [`apply`](Self::apply), for a socket that may have other options: keepalive that is not
    /// wanted is turned off.
    pub(super) fn replace(&self, socket: impl AsFd) -> rustix::io::Result<()> {
        sockopt::set_socket_keepalive(&socket, false)?;
        self.apply(socket)
    }
}

#[cfg(not(any(target_os = "haiku", target_os = "nto", target_os = "openbsd")))]
fn set_keepalive(socket: impl AsFd, idle: Duration) -> rustix::io::Result<()> {
    sockopt::set_tcp_keepidle(&socket, idle)?;
    sockopt::set_tcp_keepintvl(&socket, idle)?;
    sockopt::set_tcp_keepcnt(&socket, KEEPALIVE_PROBES)
}

/// These systems have one keepalive time for all sockets.
#[cfg(any(target_os = "haiku", target_os = "nto", target_os = "openbsd"))]
#[allow(clippy::unnecessary_wraps, reason = "as on other systems")]
fn set_keepalive(_: impl AsFd, _: Duration) -> rustix::io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests;
