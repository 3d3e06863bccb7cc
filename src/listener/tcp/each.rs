//! Listening at each of a host's addresses.

use std::io;
use std::net::SocketAddr;

use rustix::io::Errno;

use super::problem::explain;

/// How many free ports are tried until one is free on every address.
const TRIES: usize = 32;

/// Listens at every address by `listen`, which returns a listener and its port; where the port is 0,
/// they have one free port in common. Addresses of a family that the system lacks are passed over, as
/// long as one is left.
pub(super) fn at_each<T>(
    addresses: &[SocketAddr],
    has_v6: impl Fn() -> bool,
    mut listen: impl FnMut(SocketAddr) -> io::Result<(T, u16)>,
) -> io::Result<Vec<T>> {
    let mut tries = TRIES;
    loop {
        let mut listening = Listening::default();
        match listening.at_each(addresses, &has_v6, &mut listen) {
            // The free port of the first address is taken on another one.
            Err(error)
                if error.kind() == io::ErrorKind::AddrInUse
                    && listening.free_port.is_some()
                    && tries > 1 =>
            {
                tries -= 1;
            }
            result => return result.map(|()| listening.listeners),
        }
    }
}

/// Whether the system has no addresses of this family at all.
pub(super) fn lacks_family(error: &io::Error) -> bool {
    Errno::from_io_error(error) == Some(Errno::AFNOSUPPORT)
}

struct Listening<T> {
    listeners: Vec<T>,
    /// The port that the system picked.
    free_port: Option<u16>,
}

impl<T> Default for Listening<T> {
    fn default() -> Self {
        Self {
            listeners: Vec::new(),
            free_port: None,
        }
    }
}

impl<T> Listening<T> {
    fn at_each(
        &mut self,
        addresses: &[SocketAddr],
        has_v6: impl Fn() -> bool,
        mut listen: impl FnMut(SocketAddr) -> io::Result<(T, u16)>,
    ) -> io::Result<()> {
        let mut lacking = None;
        for &(mut address) in addresses {
            let is_any = address.port() == 0;
            if let Some(port) = self.free_port.filter(|_| is_any) {
                address.set_port(port);
            }
            match listen(address) {
                Ok((listener, port)) => {
                    self.listeners.push(listener);
                    self.free_port = is_any.then_some(port);
                }
                Err(error) if lacks(address, &error, &has_v6) => {
                    lacking = Some(explain(address, error));
                }
                Err(error) => return Err(explain(address, error)),
            }
        }
        match lacking {
            Some(error) if self.listeners.is_empty() => Err(error),
            _ => Ok(()),
        }
    }
}

/// Whether an address is of a family that the system lacks. Where IPv6 is switched off for every
/// interface, the family is still known, and has no address.
fn lacks(address: SocketAddr, error: &io::Error, has_v6: impl Fn() -> bool) -> bool {
    let is_missing = error.kind() == io::ErrorKind::AddrNotAvailable;
    lacks_family(error) || (is_missing && address.is_ipv6() && !has_v6())
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    const V4: &str = "127.0.0.1:0";
    const V6: &str = "[::1]:0";
    const THEIRS: &str = "192.0.2.99:0";

    fn addresses(all: &[&str]) -> Vec<SocketAddr> {
        let addresses = all.iter().map(|text| text.parse().expect(text));
        addresses.collect()
    }

    /// A system with free ports from 1 up, of which IPv6 has those above `taken`.
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
            let ports = at_each(&addresses(&[V4, V6]), || true, system(taken, None));
            let ports: Vec<_> = ports
                .expect("one is free")
                .iter()
                .map(SocketAddr::port)
                .collect();
            assert_eq!(ports, [taken + 1; 2]);
        }
        let error = at_each(&addresses(&[V4, V6]), || true, system(32, None));
        assert_eq!(
            error.expect_err("none of 32 is free").to_string(),
            "[::1]:32 is in use: choose another port (0 is a free one), or end what listens there"
        );
        // A port that was asked for is tried once.
        let asked = addresses(&["127.0.0.1:9", "[::1]:9"]);
        let mut calls = 0;
        let mut of = system(9, None);
        let listen = |address| {
            calls += 1;
            of(address)
        };
        assert!(at_each(&asked, || true, listen).is_err());
        assert_eq!(calls, 2);
    }

    #[test]
    fn an_address_of_another_machine_is_an_error_that_names_it() {
        for all in [&[V4, THEIRS][..], &[THEIRS, V4], &[THEIRS]] {
            let error = at_each(&addresses(all), || true, system(0, None)).expect_err("not ours");
            assert_eq!(error.kind(), io::ErrorKind::AddrNotAvailable);
            assert_eq!(
                error.to_string(),
                "192.0.2.99 is not an address of this machine"
            );
        }
    }

    #[test]
    fn a_family_that_the_system_lacks_is_passed_over() {
        for error in [Errno::AFNOSUPPORT, Errno::ADDRNOTAVAIL] {
            let all = at_each(&addresses(&[V4, V6]), || false, system(0, Some(error)));
            assert_eq!(all.expect("one is left"), addresses(&["127.0.0.1:1"]));
            let none = at_each(&addresses(&[V6]), || false, system(0, Some(error)));
            none.expect_err("none is left");
        }
        let v6 = at_each(
            &addresses(&[V4, V6]),
            || true,
            system(0, Some(Errno::ADDRNOTAVAIL)),
        );
        assert_eq!(
            v6.expect_err("there is IPv6").to_string(),
            "::1 is not an address of this machine"
        );
    }
}
