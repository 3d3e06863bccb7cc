//! Why the system does not let a TCP socket listen, and what to do about it.

use std::io::{Error, ErrorKind};
use std::net::SocketAddr;

/// Below it, a port takes a right.
const FIRST_FREE: u16 = 1024;

/// The error with what to do about it, of the same kind; any other as it is.
pub(super) fn explain(address: SocketAddr, error: Error) -> Error {
    let (ip, port) = (address.ip(), address.port());
    // What is not from the system is explained already.
    if error.raw_os_error().is_none() {
        return error;
    }
    let problem = match error.kind() {
        ErrorKind::AddrInUse => format!(
            "{address} is in use: choose another port (0 is a free one), or end what listens there"
        ),
        ErrorKind::PermissionDenied if port < FIRST_FREE => format!(
            "no permission for port {port}: choose a port from {FIRST_FREE}, grant \
             CAP_NET_BIND_SERVICE, or let systemd listen (sd-listen)"
        ),
        ErrorKind::AddrNotAvailable => format!("{ip} is not an address of this machine"),
        _ => return error,
    };
    Error::new(error.kind(), problem)
}

/// Why `[::]` cannot be listened on where only its IPv4 part is in use.
pub(super) fn taken_by_v4(port: u16) -> Error {
    let problem = format!(
        "port {port} is in use over IPv4, which [::] takes as well: write [::]:{port},v6-only for \
         IPv6 alone, or choose another port"
    );
    Error::new(ErrorKind::AddrInUse, problem)
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn errors_of_the_system_say_what_to_do() {
        for (address, error, problem) in [
            (
                "127.0.0.1:50007",
                Errno::ADDRINUSE,
                "127.0.0.1:50007 is in use: choose another port (0 is a free one), or end what \
                 listens there",
            ),
            (
                "[::1]:80",
                Errno::ACCESS,
                "no permission for port 80: choose a port from 1024, grant CAP_NET_BIND_SERVICE, \
                 or let systemd listen (sd-listen)",
            ),
            (
                "192.0.2.99:80",
                Errno::ADDRNOTAVAIL,
                "192.0.2.99 is not an address of this machine",
            ),
            (
                "127.0.0.1:1024",
                Errno::ACCESS,
                "Permission denied (os error 13)",
            ),
        ] {
            let system = Error::from(error);
            let kind = system.kind();
            let explained = explain(address.parse().expect(address), system);
            assert_eq!(explained.to_string(), problem);
            assert_eq!(explained.kind(), kind);
        }
        let ours = taken_by_v4(80);
        assert_eq!(
            ours.to_string(),
            "port 80 is in use over IPv4, which [::] takes as well: write [::]:80,v6-only for IPv6 \
             alone, or choose another port"
        );
        let again = explain("[::]:80".parse().expect("an address"), taken_by_v4(80));
        assert_eq!(again.to_string(), ours.to_string());
    }
}
