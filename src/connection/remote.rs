//! The peer's end, as small as it can be kept.

use std::net::{Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use super::Endpoint;

/// An [`Endpoint`] in 24 bytes. Of an IPv6 address, the flow label is not kept.
#[derive(Debug)]
pub(crate) enum Remote {
    V4(SocketAddrV4),
    V6 { ip: Ipv6Addr, port: u16, scope: u32 },
    Other(Box<Endpoint>),
    Unknown,
}

impl From<Endpoint> for Remote {
    fn from(endpoint: Endpoint) -> Self {
        match endpoint {
            Endpoint::Inet(SocketAddr::V4(v4)) => Self::V4(v4),
            Endpoint::Inet(SocketAddr::V6(v6)) => Self::V6 {
                ip: *v6.ip(),
                port: v6.port(),
                scope: v6.scope_id(),
            },
            Endpoint::Unknown => Self::Unknown,
            other => Self::Other(Box::new(other)),
        }
    }
}

impl From<&Remote> for Endpoint {
    fn from(remote: &Remote) -> Self {
        match *remote {
            Remote::V4(v4) => Self::Inet(v4.into()),
            Remote::V6 { ip, port, scope } => {
                Self::Inet(SocketAddrV6::new(ip, port, 0, scope).into())
            }
            Remote::Other(ref endpoint) => Self::clone(endpoint),
            Remote::Unknown => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_what_was_given() {
        assert!(size_of::<Remote>() <= 24);
        let addresses = ["192.0.2.1:5", "[2001:db8::1]:65535", "[fe80::1%7]:1"];
        let inet = addresses.map(|address| Endpoint::Inet(address.parse().expect("an address")));
        let others = [
            Endpoint::Memory,
            Endpoint::Stdio,
            Endpoint::Files,
            Endpoint::Unknown,
        ];
        for endpoint in inet.into_iter().chain(others) {
            assert_eq!(Endpoint::from(&Remote::from(endpoint.clone())), endpoint);
        }
    }
}
