//! The address of one end of a connection, and the credentials of the process there.

use std::ffi::OsStr;
use std::fmt;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::BorrowedFd;
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

/// The credentials of the process at the other end of a Unix socket, as the kernel recorded them.
///
/// For a client they are those of the process that connected; for a server, those of the process
/// that called `listen`. That process may have ended or passed its socket on since, and its ID may
/// belong to another process by now. Base access decisions on the user and the group.
///
/// # Examples
///
/// A handler that accepts the server's own user and root:
///
/// ```
/// use halves::Connection;
/// use halves::service::echo;
/// use std::io;
///
/// async fn for_us(Connection { reader, writer, peer }: Connection) -> io::Result<()> {
///     let us = rustix::process::geteuid().as_raw();
///     match peer.credentials() {
///         Some(client) if client.uid == us || client.uid == 0 => echo(reader, writer).await,
///         _ => Err(io::ErrorKind::PermissionDenied.into()),
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Credentials {
    /// The process ID. `None` if the system does not report it, or if the process is in a PID
    /// namespace that is not visible from this one.
    pub pid: Option<u32>,
    /// The effective user ID. If the user has no ID in this user namespace, this is the overflow
    /// user ID 65534.
    pub uid: u32,
    /// The effective group ID, with the same overflow ID.
    pub gid: u32,
}

impl Credentials {
    /// Makes credentials from IDs, for a listener that has them from another source.
    ///
    /// # Examples
    ///
    /// ```
    /// let root = halves::connection::Credentials::new(None, 0, 0);
    /// assert_eq!(root.uid, 0);
    /// ```
    #[must_use]
    pub fn new(pid: Option<u32>, uid: u32, gid: u32) -> Self {
        Self { pid, uid, gid }
    }

    /// Asks the kernel for the peer's credentials. `None` if the socket is not a connected Unix
    /// socket.
    #[cfg(target_os = "linux")]
    pub(crate) fn of(socket: BorrowedFd<'_>) -> Option<Self> {
        // rustix has this call, too, but its process ID cannot be 0, which the kernel reports for
        // processes in other namespaces.
        use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
        let known = getsockopt(&socket, PeerCredentials).ok()?;
        let pid = u32::try_from(known.pid()).ok().filter(|&pid| pid != 0);
        Some(Self::new(pid, known.uid(), known.gid()))
    }

    #[cfg(not(target_os = "linux"))]
    pub(crate) fn of(socket: BorrowedFd<'_>) -> Option<Self> {
        let (uid, gid) = nix::unistd::getpeereid(socket).ok()?;
        Some(Self::new(None, uid.as_raw(), gid.as_raw()))
    }
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
