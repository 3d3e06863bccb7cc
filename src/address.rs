//! Where to listen or connect, as a person writes it: parsed, printed, nothing else.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use crate::error::Error;

/// Where to listen or connect.
///
/// | written | means |
/// |---|---|
/// | `127.0.0.1:50007`, `localhost:50007` | TCP at that host |
/// | `[::1]:50007` | TCP over IPv6; `[::]` takes IPv4 as well |
/// | `50007` | TCP on this machine only: `127.0.0.1:50007` |
/// | `:50007` | TCP on every interface, IPv4 and IPv6 |
/// | `-`, `stdio` | standard input and output, as one connection |
///
/// Port 0 listens on a free port that the system picks.
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
        /// A name or an IP address, without brackets; empty for every interface.
        host: String,
        /// 0 for a free one.
        port: u16,
    },
    /// Standard input and output.
    Stdio,
}

impl FromStr for Address {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        parse(text).map_err(|problem| Error::Address {
            text: text.to_owned(),
            problem,
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Stdio => f.write_str("-"),
        }
    }
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
        }
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

impl TryFrom<String> for Address {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

/// `Address` into `Address` cannot fail, and [`bind`](crate::bind) takes either.
impl From<std::convert::Infallible> for Error {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

fn parse(text: &str) -> Result<Address, &'static str> {
    match text {
        "" => return Err("it is empty; write HOST:PORT, PORT, :PORT, [V6]:PORT or -"),
        "-" | "stdio" => return Ok(Address::Stdio),
        _ => {}
    }
    if let Some(problem) = not_served(text) {
        return Err(problem);
    }
    let (host, port) = match text.rsplit_once(':') {
        None if text.bytes().all(|byte| byte.is_ascii_digit()) => ("127.0.0.1", text),
        None => return Err("it has no port; write HOST:PORT"),
        Some((host, port)) => (bare(host)?, port),
    };
    // u16's own parser takes "+80".
    if port.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("the port is not a number from 0 to 65535");
    }
    let port = port
        .parse()
        .map_err(|_| "the port is not a number from 0 to 65535")?;
    Ok(Address::Tcp {
        host: host.to_owned(),
        port,
    })
}

/// What others write for streams that we do not listen on, and what no host or port may look like.
fn not_served(text: &str) -> Option<&'static str> {
    let kind = text.split_once(':').map_or(text, |(kind, _)| kind);
    let path = ["/", "./", "../", "@"];
    if kind == "unix" || path.iter().any(|start| text.starts_with(start)) {
        Some("Unix sockets are not supported; write HOST:PORT, PORT, :PORT, [V6]:PORT or -")
    } else if kind == "sd-listen" || kind == "fd" {
        Some("inherited sockets are not supported; write HOST:PORT, PORT, :PORT, [V6]:PORT or -")
    } else {
        None
    }
}

/// The host without its brackets, which IPv6 must have and nothing else may.
fn bare(host: &str) -> Result<&str, &'static str> {
    let bracketed = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    match bracketed {
        Some(v6) if is_v6(v6) => Ok(v6),
        Some(_) => Err("only an IPv6 address stands in brackets"),
        None if host.contains(':') => Err("an IPv6 address stands in brackets: [::1]:50007"),
        None if host.contains(['[', ']', '/', ' ']) => Err("the host has a character no host has"),
        None => Ok(host),
    }
}

fn is_v6(text: &str) -> bool {
    let address = text.split_once('%').map_or(text, |(address, _)| address);
    matches!(address.parse(), Ok(IpAddr::V6(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str, port: u16) -> Address {
        Address::Tcp {
            host: host.into(),
            port,
        }
    }

    #[test]
    fn every_form_is_read_and_printed_back() {
        for (text, address, printed) in [
            ("50007", tcp("127.0.0.1", 50007), "127.0.0.1:50007"),
            ("0", tcp("127.0.0.1", 0), "127.0.0.1:0"),
            (":65535", tcp("", 65535), ":65535"),
            ("localhost:1", tcp("localhost", 1), "localhost:1"),
            ("unix.test:1", tcp("unix.test", 1), "unix.test:1"),
            ("fd3:1", tcp("fd3", 1), "fd3:1"),
            ("[::]:5", tcp("::", 5), "[::]:5"),
            ("[fe80::1%lo]:5", tcp("fe80::1%lo", 5), "[fe80::1%lo]:5"),
            ("-", Address::Stdio, "-"),
            ("stdio", Address::Stdio, "-"),
        ] {
            let parsed: Address = text.parse().expect(text);
            assert_eq!(parsed, address, "{text}");
            assert_eq!(parsed.to_string(), printed);
            assert_eq!(printed.parse::<Address>().expect(printed), parsed);
        }
    }

    #[test]
    fn what_is_not_an_address_says_why() {
        for text in [
            "",
            "host",
            "host:",
            "host:+1",
            "host:65536",
            "host:1x",
            "65536",
            "::1:80",
            "[1.2.3.4]:80",
            "[::1:80",
            "a b:80",
            "host:-1",
            "unix:/tmp/x",
            "unix:50007",
            "/tmp/x",
            "/tmp/x:80",
            "./x",
            "../x",
            "@x",
            "fd:3",
            "sd-listen",
            "sd-listen:web",
        ] {
            let error = text.parse::<Address>().expect_err(text).to_string();
            assert!(error.starts_with(&format!("bad address '{text}': ")));
            assert_eq!(error.lines().count(), 1);
        }
    }
}
