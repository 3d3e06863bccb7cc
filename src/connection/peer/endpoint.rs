//! The address of one end of a connection.

use std::ffi::OsStr;
use std::fmt;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net as unix;
use std::path::Path;
use std::sync::Arc;

use rustix::net::{AddressFamily, SocketAddrAny, SocketAddrUnix};

use crate::address::{escape, spell};

/// The actual address of one end of a connection, after an [`Address`](crate::Address) is resolved.
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
    /// An IP address and a port. IPv4-mapped IPv6 addresses (RFC 4291, 2.5.5.2) are converted to
    /// IPv4.
    Inet(SocketAddr),
    /// A Unix socket.
    Unix(UnixName),
    /// A pipe in the memory of this process.
    Memory,
    /// Standard input and output.
    Stdio,
    /// Two files, or FIFOs.
    Files,
    /// A terminal or another device, with its path.
    Device(Box<Path>),
    /// A child process, with its process ID.
    Process(u32),
    /// The address is not known.
    #[default]
    Unknown,
}

/// The name of a Unix socket.
///
/// # Examples
///
/// ```
/// use halves::Endpoint;
/// use halves::connection::UnixName;
///
/// let listener = Endpoint::Unix(UnixName::Path(std::path::Path::new("/run/x.sock").into()));
/// assert_eq!(listener.to_string(), "unix:/run/x.sock");
/// assert_eq!(Endpoint::Unix(UnixName::Unnamed).to_string(), "unix");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UnixName {
    /// A path, as it was passed to the system. It can be relative to the working directory of the
    /// process that bound it.
    Path(Arc<Path>),
    /// A name in the abstract namespace, without the `@` that precedes it in an address.
    Abstract(Arc<[u8]>),
    /// No name, as for most clients. [`Peer::credentials`](crate::Peer::credentials) returns the
    /// user and the process.
    Unnamed,
}

impl Endpoint {
    /// Returns the IP address and the port, if there are any.
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

    /// Converts the name of a socket as the system reports it. Other address families than IP and
    /// Unix become `Unknown`.
    pub(crate) fn of(name: SocketAddrAny) -> Self {
        match name.address_family() {
            AddressFamily::UNIX => {
                let name = SocketAddrUnix::try_from(name).ok();
                Self::Unix(name.map_or(UnixName::Unnamed, |name| UnixName::of(&name)))
            }
            _ => SocketAddr::try_from(name).map_or(Self::Unknown, Self::from),
        }
    }
}

impl UnixName {
    fn of(name: &SocketAddrUnix) -> Self {
        if let Some(path) = name.path_bytes() {
            // For a path of the maximum length, rustix includes the terminating NUL.
            let path = path.strip_suffix(b"\0").unwrap_or(path);
            return Self::Path(Path::new(OsStr::from_bytes(path)).into());
        }
        // An empty abstract name means that the socket has no name.
        #[cfg(target_os = "linux")]
        if let Some(name @ [_, ..]) = name.abstract_name() {
            return Self::Abstract(name.into());
        }
        Self::Unnamed
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

impl From<unix::SocketAddr> for Endpoint {
    fn from(name: unix::SocketAddr) -> Self {
        if let Some(path) = name.as_pathname() {
            return Self::Unix(UnixName::Path(path.into()));
        }
        #[cfg(target_os = "linux")]
        if let Some(name) = std::os::linux::net::SocketAddrExt::as_abstract_name(&name) {
            return Self::Unix(UnixName::Abstract(name.into()));
        }
        Self::Unix(UnixName::Unnamed)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inet(address) => address.fmt(f),
            Self::Unix(name) => name.fmt(f),
            Self::Memory => f.write_str("memory"),
            Self::Stdio => f.write_str("stdio"),
            Self::Files => f.write_str("files"),
            Self::Device(path) => path.display().fmt(f),
            Self::Process(pid) => write!(f, "process:{pid}"),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

/// Writes the name in the syntax of an [`Address`](crate::Address).
impl fmt::Display for UnixName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(f, "unix:{}", spell(path)),
            Self::Abstract(name) => write!(f, "@{}", escape(&String::from_utf8_lossy(name))),
            Self::Unnamed => f.write_str("unix"),
        }
    }
}
