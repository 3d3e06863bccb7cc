//! Listening on every address of a host, and errors of listening with advice.

use std::io;
use std::net::SocketAddr;

use rustix::io::Errno;

/// The most ports to try until one is free on every address.
const MAX_PORT_TRIES: usize = 32;
/// The lowest port that needs no privilege.
const FIRST_UNPRIVILEGED_PORT: u16 = 1024;

/// Listens on every address by `listen`, which returns a listener and its port. Port 0 becomes one
/// free port for all addresses. Addresses of a family that the system lacks are skipped, if at
/// least one address remains.
pub(super) fn on_every_address<T>(
    addresses: &[SocketAddr],
    has_v6: impl Fn() -> bool,
    mut listen: impl FnMut(SocketAddr) -> io::Result<(T, u16)>,
) -> io::Result<Vec<T>> {
    let mut tries = MAX_PORT_TRIES;
    loop {
        let mut attempt = Attempt::default();
        match attempt.listen(addresses, &has_v6, &mut listen) {
            // The free port of the first address is in use on another one.
            Err(error)
                if error.kind() == io::ErrorKind::AddrInUse
                    && attempt.free_port.is_some()
                    && tries > 1 =>
            {
                tries -= 1;
            }
            result => return result.map(|()| attempt.listeners),
        }
    }
}

/// Returns true if the system does not support the address family.
pub(super) fn lacks_family(error: &io::Error) -> bool {
    Errno::from_io_error(error) == Some(Errno::AFNOSUPPORT)
}

/// One attempt to listen on every address.
struct Attempt<T> {
    listeners: Vec<T>,
    /// The port that the system chose for port 0.
    free_port: Option<u16>,
}

impl<T> Default for Attempt<T> {
    fn default() -> Self {
        Self {
            listeners: Vec::new(),
            free_port: None,
        }
    }
}

impl<T> Attempt<T> {
    fn listen(
        &mut self,
        addresses: &[SocketAddr],
        has_v6: impl Fn() -> bool,
        mut listen: impl FnMut(SocketAddr) -> io::Result<(T, u16)>,
    ) -> io::Result<()> {
        let mut missing_family = None;
        for &(mut address) in addresses {
            let wants_free_port = address.port() == 0;
            if let Some(port) = self.free_port.filter(|_| wants_free_port) {
                address.set_port(port);
            }
            match listen(address) {
                Ok((listener, port)) => {
                    self.listeners.push(listener);
                    self.free_port = wants_free_port.then_some(port);
                }
                Err(error) if lacks(address, &error, &has_v6) => {
                    missing_family = Some(explain(address, error));
                }
                Err(error) => return Err(explain(address, error)),
            }
        }
        match missing_family {
            Some(error) if self.listeners.is_empty() => Err(error),
            _ => Ok(()),
        }
    }
}

/// Returns true if the error says that the system lacks the family of an address. If IPv6 is
/// disabled on every interface, the family exists but has no address.
fn lacks(address: SocketAddr, error: &io::Error, has_v6: impl Fn() -> bool) -> bool {
    let is_missing = error.kind() == io::ErrorKind::AddrNotAvailable;
    lacks_family(error) || (is_missing && address.is_ipv6() && !has_v6())
}

/// Adds advice to an error of the system. The kind stays the same.
pub(super) fn explain(address: SocketAddr, error: io::Error) -> io::Error {
    let (ip, port) = (address.ip(), address.port());
    // An error that is not from the system has its advice already.
    if error.raw_os_error().is_none() {
        return error;
    }
    let message = match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "{address} is in use: choose another port (0 is a free one), or end what listens there"
        ),
        io::ErrorKind::PermissionDenied if port < FIRST_UNPRIVILEGED_PORT => format!(
            "no permission for port {port}: choose a port from {FIRST_UNPRIVILEGED_PORT}, grant \
             CAP_NET_BIND_SERVICE, or let systemd listen (sd-listen)"
        ),
        io::ErrorKind::AddrNotAvailable => format!("{ip} is not an address of this machine"),
        _ => return error,
    };
    io::Error::new(error.kind(), message)
}

/// Returns the error for `[::]` if its port is in use over IPv4 only.
pub(super) fn taken_over_v4(port: u16) -> io::Error {
    let message = format!(
        "port {port} is in use over IPv4, which [::] takes as well: write [::]:{port},v6-only for \
         IPv6 alone, or choose another port"
    );
    io::Error::new(io::ErrorKind::AddrInUse, message)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    const V4: &str = "127.0.0.1:0";
    const V6: &str = "[::1]:0";
    const OTHER_MACHINE: &str = "192.0.2.99:0";

    fn addresses(all: &[&str]) -> Vec<SocketAddr> {
        let addresses = all.iter().map(|text| text.parse().expect(text));
        addresses.collect()
    }

    /// A system with all IPv4 ports free, and the IPv6 ports above `taken`.
    fn system(
        taken: u16,
        no_v6: Option<Errno>,
    ) -> impl FnMut(SocketAddr) -> io::Result<(SocketAddr, u16)> {
        let next = RefCell::new(1..);
        move |mut address| {
            if let (SocketAddr::V6(_), Some(error)) = (address, no_v6) {
                return Err(error.into());
            }
            if address.ip().to_string() == "192.0.2.99" {
                return Err(Errno::ADDRNOTAVAIL.into());
            }
            if address.port() == 0 {
                address.set_port(next.borrow_mut().next().expect("a free port"));
            }
            if address.is_ipv6() && address.port() <= taken {
                return Err(Errno::ADDRINUSE.into());
            }
            Ok((address, address.port()))
        }
    }

    #[test]
    fn port_0_is_one_port_on_every_address() {
        for taken in [0, 31] {
            let ports = on_every_address(&addresses(&[V4, V6]), || true, system(taken, None));
            let ports: Vec<_> = ports
                .expect("a port is free")
                .iter()
                .map(SocketAddr::port)
                .collect();
            assert_eq!(ports, [taken + 1; 2]);
        }
        let error = on_every_address(&addresses(&[V4, V6]), || true, system(32, None));
        assert_eq!(
            error.expect_err("none of 32 is free").to_string(),
            "[::1]:32 is in use: choose another port (0 is a free one), or end what listens there"
        );
        // A port other than 0 is tried once.
        let fixed = addresses(&["127.0.0.1:9", "[::1]:9"]);
        let mut calls = 0;
        let mut system = system(9, None);
        let listen = |address| {
            calls += 1;
            system(address)
        };
        assert!(on_every_address(&fixed, || true, listen).is_err());
        assert_eq!(calls, 2);
    }

    #[test]
    fn an_address_of_another_machine_is_an_error_that_names_it() {
        for all in [
            &[V4, OTHER_MACHINE][..],
            &[OTHER_MACHINE, V4],
            &[OTHER_MACHINE],
        ] {
            let error =
                on_every_address(&addresses(all), || true, system(0, None)).expect_err("not local");
            assert_eq!(error.kind(), io::ErrorKind::AddrNotAvailable);
            assert_eq!(
                error.to_string(),
                "192.0.2.99 is not an address of this machine"
            );
        }
    }

    #[test]
    fn a_family_that_the_system_lacks_is_skipped() {
        for error in [Errno::AFNOSUPPORT, Errno::ADDRNOTAVAIL] {
            let all = on_every_address(&addresses(&[V4, V6]), || false, system(0, Some(error)));
            assert_eq!(all.expect("one remains"), addresses(&["127.0.0.1:1"]));
            let none = on_every_address(&addresses(&[V6]), || false, system(0, Some(error)));
            none.expect_err("none remains");
        }
        let v6 = on_every_address(
            &addresses(&[V4, V6]),
            || true,
            system(0, Some(Errno::ADDRNOTAVAIL)),
        );
        assert_eq!(
            v6.expect_err("there is IPv6").to_string(),
            "::1 is not an address of this machine"
        );
    }

    #[test]
    fn errors_of_the_system_have_advice() {
        for (address, error, message) in [
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
            let system = io::Error::from(error);
            let kind = system.kind();
            let explained = explain(address.parse().expect(address), system);
            assert_eq!(explained.to_string(), message);
            assert_eq!(explained.kind(), kind);
        }
        let taken = taken_over_v4(80);
        assert_eq!(
            taken.to_string(),
            "port 80 is in use over IPv4, which [::] takes as well: write [::]:80,v6-only for IPv6 \
             alone, or choose another port"
        );
        let again = explain("[::]:80".parse().expect("an address"), taken_over_v4(80));
        assert_eq!(again.to_string(), taken.to_string());
    }
}
