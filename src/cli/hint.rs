//! The shell command in the log that tries a server. For TCP it needs only bash.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use halves::Endpoint;
use halves::connection::UnixName;

use super::layers::ListenerLayers;

/// Properties of the listener that the command tries.
#[derive(Clone, Copy, Debug)]
pub(super) struct HintOptions {
    /// True if the service sends an answer.
    pub(super) answers: bool,
    /// True if `[::]` accepts IPv6 only.
    pub(super) v6_only: bool,
    pub(super) layers: ListenerLayers,
}

/// Returns a command that sends `hello` to the server at `local` and prints the answer. Returns
/// None if there is no such command.
pub(super) fn hint(local: &Endpoint, options: HintOptions) -> Option<String> {
    match local {
        // The shell would need a header.
        _ if options.layers.proxy => None,
        Endpoint::Inet(address) if options.layers.tls => Some(tls(*address, options)),
        Endpoint::Inet(address) => Some(inet(*address, options)),
        // A name of a certificate is missing here.
        _ if options.layers.tls => None,
        Endpoint::Unix(UnixName::Path(path)) => unix("UNIX-CONNECT", path.to_str()?),
        Endpoint::Unix(UnixName::Abstract(name)) => {
            unix("ABSTRACT-CONNECT", str::from_utf8(name).ok()?)
        }
        _ => None,
    }
}

fn inet(local: SocketAddr, options: HintOptions) -> String {
    let (host, port) = (reachable(local, options.v6_only), local.port());
    let answer = if options.answers {
        "; head -n1 <&3"
    } else {
        ""
    };
    format!("bash -c 'exec 3<>/dev/tcp/{host}/{port}; echo hello >&3{answer}'")
}

fn tls(local: SocketAddr, options: HintOptions) -> String {
    let (host, port) = (reachable(local, options.v6_only), local.port());
    let host = if host.contains(':') {
        format!("[{host}]")
    } else {
        host
    };
    format!("openssl s_client -quiet -connect {host}:{port}")
}

/// Returns a command with socat, because bash has no Unix sockets. Returns None for a name that
/// needs quotes in a shell or in socat.
fn unix(kind: &str, name: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    name.chars()
        .all(plain)
        .then(|| format!("echo hello | socat - {kind}:{name}"))
}

/// Returns the host by which a client on this machine reaches a listener. A listener on every
/// interface is reached over IPv4, unless it accepts IPv6 only. A link-local address keeps its
/// zone.
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

    const SILENT_SERVICE: HintOptions = HintOptions {
        answers: false,
        v6_only: false,
        layers: ListenerLayers {
            tls: false,
            proxy: false,
        },
    };

    #[test]
    fn the_hint_names_a_reachable_address() {
        for (local, host) in [
            ("127.0.0.1:7", "127.0.0.1"),
            ("192.0.2.1:7", "192.0.2.1"),
            ("[::1]:7", "::1"),
            ("0.0.0.0:7", "127.0.0.1"),
            ("[::]:7", "127.0.0.1"),
            ("[fe80::1%2]:7", "fe80::1%2"),
        ] {
            let hint = inet(local.parse().expect(local), SILENT_SERVICE);
            let line = format!("bash -c 'exec 3<>/dev/tcp/{host}/7; echo hello >&3'");
            assert_eq!(hint, line);
        }
    }

    #[test]
    fn a_listener_with_tls_is_tried_by_openssl() {
        let options = HintOptions {
            layers: ListenerLayers {
                tls: true,
                proxy: false,
            },
            ..SILENT_SERVICE
        };
        for (local, host) in [("0.0.0.0:7", "127.0.0.1"), ("[::1]:7", "[::1]")] {
            let local = Endpoint::from(local.parse::<SocketAddr>().expect(local));
            let line = format!("openssl s_client -quiet -connect {host}:7");
            assert_eq!(hint(&local, options), Some(line));
        }
        let unix = Endpoint::Unix(UnixName::Path(Path::new("/x").into()));
        assert_eq!(hint(&unix, options), None);
        let behind_balancer = HintOptions {
            layers: ListenerLayers {
                tls: true,
                proxy: true,
            },
            ..options
        };
        let local = Endpoint::from(SocketAddr::from(([127, 0, 0, 1], 7)));
        assert_eq!(hint(&local, behind_balancer), None);
    }

    #[test]
    fn the_hint_uses_ipv6_for_a_listener_of_ipv6_only() {
        let options = HintOptions {
            v6_only: true,
            ..SILENT_SERVICE
        };
        for (local, host) in [("[::]:7", "::1"), ("0.0.0.0:7", "127.0.0.1")] {
            let line = format!("bash -c 'exec 3<>/dev/tcp/{host}/7; echo hello >&3'");
            assert_eq!(inet(local.parse().expect(local), options), line);
        }
    }

    #[test]
    fn a_unix_socket_with_a_plain_name_is_tried_by_socat() {
        let path = |path: &str| Endpoint::Unix(UnixName::Path(Path::new(path).into()));
        for (local, line) in [
            (path("/run/x.sock"), "UNIX-CONNECT:/run/x.sock"),
            (
                Endpoint::Unix(UnixName::Abstract(b"x-1"[..].into())),
                "ABSTRACT-CONNECT:x-1",
            ),
        ] {
            let line = format!("echo hello | socat - {line}");
            assert_eq!(hint(&local, SILENT_SERVICE), Some(line));
        }
        for local in [
            path("/run/a b"),
            path("/run/a,b"),
            path("/run/$(true)"),
            Endpoint::Unix(UnixName::Abstract(b"\xff"[..].into())),
            Endpoint::Unix(UnixName::Unnamed),
            Endpoint::Stdio,
        ] {
            assert_eq!(hint(&local, SILENT_SERVICE), None, "{local}");
        }
    }
}
