//! The line that tries a server: it needs nothing but bash, and can be pasted as it is.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Says `hello` to the server that listens at `local`, and shows its answer, if it gives one.
pub(super) fn hint(local: SocketAddr, answers: bool) -> String {
    let (host, port) = (reachable(local.ip()), local.port());
    let answer = if answers { "; head -n1 <&3" } else { "" };
    format!("bash -c 'exec 3<>/dev/tcp/{host}/{port}; echo hello >&3{answer}'")
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
            let hint = hint(local.parse().expect(local), false);
            let line = format!("bash -c 'exec 3<>/dev/tcp/{host}/7; echo hello >&3'");
            assert_eq!(hint, line);
        }
    }
}
