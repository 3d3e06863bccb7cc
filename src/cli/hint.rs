//! The line that tries a server, and can be pasted as it is. For TCP it needs nothing but bash.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use halves::{Endpoint, UnixName};

/// Says `hello` to the server that listens at `local`, and shows its answer, if it gives one.
pub(super) fn hint(local: &Endpoint, answers: bool) -> Option<String> {
    match local {
        Endpoint::Inet(address) => Some(inet(*address, answers)),
        Endpoint::Unix(UnixName::Path(path)) => unix("UNIX-CONNECT", path.to_str()?),
        Endpoint::Unix(UnixName::Abstract(name)) => {
            unix("ABSTRACT-CONNECT", str::from_utf8(name).ok()?)
        }
        _ => None,
    }
}

fn inet(local: SocketAddr, answers: bool) -> String {
    let (host, port) = (reachable(local.ip()), local.port());
    let answer = if answers { "; head -n1 <&3" } else { "" };
    format!("bash -c 'exec 3<>/dev/tcp/{host}/{port}; echo hello >&3{answer}'")
}

/// Bash knows no Unix sockets. None for names that a shell, or socat, reads in another way.
fn unix(kind: &str, name: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    name.chars()
        .all(plain)
        .then(|| format!("echo hello | socat - {kind}:{name}"))
}

/// Where a client on this machine finds a listener of all interfaces: `[::]` takes IPv4 as well.
fn reachable(ip: IpAddr) -> IpAddr {
    if ip.is_unspecified() {
        Ipv4Addr::LOCALHOST.into()
    } else {
        ip
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_hint_names_an_address_that_can_be_connected_to() {
        for (local, host) in [
            ("127.0.0.1:7", "127.0.0.1"),
            ("192.0.2.1:7", "192.0.2.1"),
            ("[::1]:7", "::1"),
            ("0.0.0.0:7", "127.0.0.1"),
            ("[::]:7", "127.0.0.1"),
        ] {
            let hint = inet(local.parse().expect(local), false);
            let line = format!("bash -c 'exec 3<>/dev/tcp/{host}/7; echo hello >&3'");
            assert_eq!(hint, line);
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
            assert_eq!(hint(&local, true), Some(line));
        }
        for local in [
            path("/run/a b"),
            path("/run/a,b"),
            path("/run/$(true)"),
            Endpoint::Unix(UnixName::Abstract(b"\xff"[..].into())),
            Endpoint::Unix(UnixName::Unnamed),
            Endpoint::Stdio,
        ] {
            assert_eq!(hint(&local, true), None, "{local}");
        }
    }
}
