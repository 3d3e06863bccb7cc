//! One end of a connection, as it really is.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;

/// Where one end of a connection really is: what an [`Address`](crate::Address) came to.
///
/// # Examples
///
/// ```
/// use halves::Endpoint;
///
/// let mapped: std::net::SocketAddr = "[::ffff:192.0.2.1]:80".parse().unwrap();
/// assert_eq!(Endpoint::from(mapped).to_string(), "192.0.2.1:80");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Endpoint {
    /// An address and a port. IPv4-mapped IPv6 addresses (RFC 4291, 2.5.5.2) are turned into the
    /// IPv4 address that they mean.
    Inet(SocketAddr),
    /// A pipe in this process's memory.
    Memory,
    /// Standard input and output.
    Stdio,
    /// Two files, or FIFOs.
    Files,
    /// A terminal, or another device, at this path.
    Device(Box<Path>),
    /// A child process, by its number.
    Process(u32),
    /// Nothing is known.
    #[default]
    Unknown,
}

impl Endpoint {
    /// The internet address, where there is one.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(halves::Endpoint::Stdio.socket_addr(), None);
    /// ```
    #[must_use]
    pub fn socket_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Inet(address) => Some(*address),
            _ => None,
        }
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(mut address: SocketAddr) -> Self {
        if let SocketAddr::V6(v6) = address
            && let Some(v4) = v6.ip().to_ipv4_mapped()
        {
            address = SocketAddr::new(v4.into(), v6.port());
        }
        Self::Inet(address)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inet(address) => address.fmt(f),
            Self::Memory => f.write_str("memory"),
            Self::Stdio => f.write_str("stdio"),
            Self::Files => f.write_str("files"),
            Self::Device(path) => path.display().fmt(f),
            Self::Process(pid) => write!(f, "process:{pid}"),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}
