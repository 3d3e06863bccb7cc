//! The line that tries a server, and can be pasted as it is. For TCP it needs nothing but bash.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use halves::Endpoint;
use halves::connection::UnixName;

/// How the servers that are tried behave.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tried {
    /// The service sends an answer.
    pub(super) answers: bool,
    /// `[::]` takes IPv6 only.
    pub(super) v6_only: bool,
}

/// Says `hello` to the server that listens at `local`, and shows its answer, if it gives one.
pub(super) fn hint(local: &Endpoint, tried: Tried) -> Option<String> {
    match local {
        Endpoint::Inet(address) => Some(inet(*address, tried)),
        Endpoint::Unix(UnixName::Path(path)) => unix("UNIX-CONNECT", path.to_str()?),
        Endpoint::Unix(UnixName::Abstract(name)) => {
            unix("ABSTRACT-CONNECT", str::from_utf8(name).ok()?)
        }
        _ => None,
    }
}

fn inet(local: SocketAddr, tried: Tried) -> String {
    let (host, port) = (reachable(local, tried.v6_only), local.port());
    let answer = if tried.answers { "; head -n1 <&3" } else { "" };
    format!("bash -c 'exec 3<>/dev/tcp/{host}/{port}; echo hello >&3{answer}'")
}

/// Bash knows no Unix sockets. None for names that a shell, or socat, reads in another way.
fn unix(kind: &str, name: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    name.chars()
        .all(plain)
        .then(|| format!("echo hello | socat - {kind}:{name}"))
}

/// Where a client on this machine finds a listener: of every interface by IPv4, which `[::]` takes as well
/// as a rule; of a link-local address with its zone.
fn reachable(local: SocketAddr, v6_only: bool) -> String {
    match local {
        SocketAddr::V6(v6) if v6.ip().is_unspecified() && v6_only => {
            Ipv6Addr::LOCALHOST.to_string()
        }
        local if local.ip().is_unspecified() => Ipv4Addr::LOCALHOST.to_string(),
        SocketAddr::V6(v6) if v6.scope_id() != 0 => format!("{}%{}", v6.ip(), v6.scope_id()),
        local => local.ip().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const SILENT: Tried = Tried {
        answers: false,
        v6_only: false,
    };

    #[test]
    fn the_hint_names_an_address_that_can_be_connected_to() {
        for (local, host) in [
            ("127.0.0.1:7", "127.0.0.1"),
            ("192.0.2.1:7", "192.0.2.1"),
            ("[::1]:7", "::1"),
            ("0.0.0.0:7", "127.0.0.1"),
            ("[::]:7", "127.0.0.1"),
            ("[fe80::1%2]:7", "fe80::1%2"),
        ] {
            let hint = inet(local.parse().expect(local), SILENT);
            let line = format!("bash -c 'exec 3<>/dev/tcp/{host}/7; echo hello >&3'");
            assert_eq!(hint, line);
        }
    }

    #[test]
    fn the_hint_leaves_ipv4_to_others_where_the_listener_does() {
        let tried = Tried {
            v6_only: true,
            ..SILENT
        };
        for (local, host) in [("[::]:7", "::1"), ("0.0.0.0:7", "127.0.0.1")] {
            let line = format!("bash -c 'exec 3<>/dev/tcp/{host}/7; echo hello >&3'");
            assert_eq!(inet(local.parse().expect(local), tried), line);
        }
    }

    #[test]
    fn a_unix_socket_is_tried_by_socat_where_its_name_is_plain() {
        let path = |path: &str| Endpoint::Unix(UnixName::Path(Path::new(path).into()));
        for (local, line) in [
            (path("/run/x.sock"), "UNIX-CONNECT:/run/x.sock"),
            (
                Endpoint::Unix(UnixName::Abstract(b"x-1"[..].into())),
                "ABSTRACT-CONNECT:x-1",
            ),
        ] {
            let line = format!("echo hello | socat - {line}");
            assert_eq!(hint(&local, SILENT), Some(line));
        }
        for local in [
            path("/run/a b"),
            path("/run/a,b"),
            path("/run/$(true)"),
            Endpoint::Unix(UnixName::Abstract(b"\xff"[..].into())),
            Endpoint::Unix(UnixName::Unnamed),
            Endpoint::Stdio,
        ] {
            assert_eq!(hint(&local, SILENT), None, "{local}");
        }
    }
}
