//! A small representation of the peer's address and credentials.

use std::net::{Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use super::{Credentials, Endpoint, UnixName};

/// An [`Endpoint`] and, if known, its [`Credentials`], in 24 bytes. The flow label of an IPv6 address
/// is not stored.
#[derive(Debug)]
pub(crate) enum CompactEndpoint {
    V4(SocketAddrV4),
    V6 {
        ip: Ipv6Addr,
        port: u16,
        scope: u32,
    },
    /// An unnamed Unix socket, as most clients have.
    Process(Credentials),
    Other(Box<(Endpoint, Option<Credentials>)>),
    Unknown,
}

impl CompactEndpoint {
    pub(crate) fn new(endpoint: Endpoint, credentials: Option<Credentials>) -> Self {
        match (endpoint, credentials) {
            (Endpoint::Inet(SocketAddr::V4(v4)), None) => Self::V4(v4),
            (Endpoint::Inet(SocketAddr::V6(v6)), None) => Self::V6 {
                ip: *v6.ip(),
                port: v6.port(),
                scope: v6.scope_id(),
            },
            (Endpoint::Unix(UnixName::Unnamed), Some(credentials)) => Self::Process(credentials),
            (Endpoint::Unknown, None) => Self::Unknown,
            other => Self::Other(Box::new(other)),
        }
    }

    pub(crate) fn credentials(&self) -> Option<Credentials> {
        match self {
            Self::Process(credentials) => Some(*credentials),
            Self::Other(other) => other.1,
            _ => None,
        }
    }
}

impl From<Endpoint> for CompactEndpoint {
    fn from(endpoint: Endpoint) -> Self {
        Self::new(endpoint, None)
    }
}

impl From<&CompactEndpoint> for Endpoint {
    fn from(remote: &CompactEndpoint) -> Self {
        match *remote {
            CompactEndpoint::V4(v4) => Self::Inet(v4.into()),
            CompactEndpoint::V6 { ip, port, scope } => {
                Self::Inet(SocketAddrV6::new(ip, port, 0, scope).into())
            }
            CompactEndpoint::Process(_) => Self::Unix(UnixName::Unnamed),
            CompactEndpoint::Other(ref other) => Self::clone(&other.0),
            CompactEndpoint::Unknown => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_and_its_credentials_survive_the_conversion() {
        assert!(size_of::<CompactEndpoint>() <= 24);
        let addresses = ["192.0.2.1:5", "[2001:db8::1]:65535", "[fe80::1%7]:1"];
        let inet = addresses.map(|address| Endpoint::Inet(address.parse().expect("an address")));
        let others = [
            Endpoint::Unix(UnixName::Unnamed),
            Endpoint::Unix(UnixName::Abstract(b"name"[..].into())),
            Endpoint::Memory,
            Endpoint::Stdio,
            Endpoint::Files,
            Endpoint::Unknown,
        ];
        for endpoint in inet.into_iter().chain(others) {
            for credentials in [None, Some(Credentials::new(Some(1), 2, 3))] {
                let remote = CompactEndpoint::new(endpoint.clone(), credentials);
                assert_eq!(Endpoint::from(&remote), endpoint);
                assert_eq!(remote.credentials(), credentials, "{endpoint}");
            }
        }
    }
}
