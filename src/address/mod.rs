//! `Address`: parses and prints the addresses to listen on or connect to.

mod access;
mod options;
mod parse;
mod settings;

use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::error::Error;

pub use access::{Access, Owner};
pub use options::ListenOptions;

/// An address to listen on or connect to.
///
/// | text | meaning |
/// |---|---|
/// | `127.0.0.1:50007`, `localhost:50007` | TCP at that host |
/// | `[::1]:50007` | TCP over IPv6; `[::]` takes IPv4 as well |
/// | `127.0.0.1:50007,keepalive=30s,nagle` | the same, with [options](ListenOptions) |
/// | `50007` | TCP on this machine only: `127.0.0.1:50007` |
/// | `:50007` | TCP on every interface, IPv4 and IPv6 |
/// | `/run/x.sock`, `./x.sock`, `unix:x.sock` | a Unix socket with a path |
/// | `unix:/run/x.sock,mode=0660,group=web` | the same, with [permissions](Access) |
/// | `@name` | a Unix socket with an abstract name (Linux only), open to all users |
/// | `fd:3` | an inherited socket: one that listens, or a connection |
/// | `sd-listen`, `sd-listen:NAME` | the sockets that a service manager handed over, all or by name |
/// | `-`, `stdio` | standard input and output, as one connection |
///
/// Port 0 listens on a free port that the system chooses. An IPv4-mapped address,
/// `[::ffff:127.0.0.1]`, is the IPv4 address. A link-local address needs its zone, the interface:
/// `[fe80::1%eth0]:50007`. In a path or a name, `\,` is a comma and `\\` a backslash.
///
/// # Examples
///
/// ```
/// use halves::Address;
///
/// let address: Address = "50007".parse()?;
/// assert_eq!(address.to_string(), "127.0.0.1:50007");
/// assert_eq!("stdio".parse::<Address>()?, Address::Stdio);
/// # Ok::<(), halves::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Address {
    /// A TCP port of a host.
    Tcp {
        /// A host name or an IP address, without brackets; empty for every interface.
        host: String,
        /// The port; 0 for a free one.
        port: u16,
        /// Options for listening; the defaults to connect.
        options: ListenOptions,
    },
    /// A Unix stream socket with a path.
    Unix {
        /// The path, at most 107 bytes (Linux).
        path: PathBuf,
        /// Permissions for listening; the defaults to connect.
        access: Access,
    },
    /// A Unix stream socket with an abstract name, which is not in a file system and disappears
    /// with the socket. Linux only.
    Abstract {
        /// The name without the `@`, from 1 to 107 bytes.
        name: Vec<u8>,
    },
    /// A socket that was open at the start of this process; see
    /// [`inherited`](crate::listener::inherited).
    Fd {
        /// The number of the descriptor.
        number: RawFd,
        /// Options for a TCP connection, or for the connections of a listening TCP socket:
        /// [`keepalive`](ListenOptions::keepalive) and [`nagle`](ListenOptions::nagle).
        options: ListenOptions,
    },
    /// The sockets that a service manager handed over: systemd's socket activation.
    Activation {
        /// The `FileDescriptorName=` of a socket unit; None for all sockets.
        name: Option<String>,
        /// Options as for [`Fd`](Self::Fd).
        options: ListenOptions,
    },
    /// Standard input and output. If both are one socket, as under inetd, that connection.
    Stdio,
}

impl FromStr for Address {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        parse::address(text).map_err(|problem| Error::Address {
            text: text.to_owned(),
            problem,
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp {
                host,
                port,
                options,
            } if host.contains(':') => write!(f, "[{host}]:{port}{options}"),
            Self::Tcp {
                host,
                port,
                options,
            } => write!(f, "{host}:{port}{options}"),
            Self::Unix { path, access } => write!(f, "unix:{}{access}", spell(path)),
            Self::Abstract { name } => write!(f, "@{}", escape(&String::from_utf8_lossy(name))),
            Self::Fd { number, options } => write!(f, "fd:{number}{options}"),
            Self::Activation {
                name: None,
                options,
            } => write!(f, "sd-listen{options}"),
            Self::Activation {
                name: Some(name),
                options,
            } => write!(f, "sd-listen:{}{options}", escape(name)),
            Self::Stdio => f.write_str("-"),
        }
    }
}

/// Escapes commas and backslashes, as a comma begins the settings of an address.
pub(crate) fn escape(text: &str) -> Cow<'_, str> {
    if text.contains([',', '\\']) {
        text.replace('\\', r"\\").replace(',', r"\,").into()
    } else {
        text.into()
    }
}

/// Returns a path in the form after `unix:`.
pub(crate) fn spell(path: &Path) -> String {
    let text = path.to_string_lossy();
    // Without `./`, it would be an abstract name.
    let here = if text.starts_with('@') { "./" } else { "" };
    format!("{here}{}", escape(&text))
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp {
            host: match address {
                SocketAddr::V6(v6) if v6.scope_id() != 0 => {
                    format!("{}%{}", v6.ip(), v6.scope_id())
                }
                _ => address.ip().to_string(),
            },
            port: address.port(),
            options: ListenOptions::default(),
        }
    }
}

impl From<PathBuf> for Address {
    /// A Unix socket with this path and the default permissions.
    fn from(path: PathBuf) -> Self {
        let access = Access::default();
        Self::Unix { path, access }
    }
}

impl From<&Path> for Address {
    fn from(path: &Path) -> Self {
        path.to_owned().into()
    }
}

impl From<&PathBuf> for Address {
    fn from(path: &PathBuf) -> Self {
        path.clone().into()
    }
}

impl From<&Address> for Address {
    fn from(address: &Address) -> Self {
        address.clone()
    }
}

impl TryFrom<&str> for Address {
    type Error = Error;

    fn try_from(text: &str) -> Result<Self, Error> {
        text.parse()
    }
}

impl TryFrom<&String> for Address {
    type Error = Error;

    fn try_from(text: &String) -> Result<Self, Error> {
        text.parse()
    }
}

impl TryFrom<String> for Address {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

/// The conversion of an `Address` into itself cannot fail; [`bind`](crate::bind) accepts both.
impl From<std::convert::Infallible> for Error {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}
