//! Lookups of names: the host and the port to listen on, and the names of both ends of a connection.

use std::ffi::{OsStr, OsString};
use std::net::{IpAddr, Ipv4Addr};

use dns_lookup::{AddrInfoHints, SockType, getaddrinfo, lookup_addr, lookup_host};
use halves::Peer;

/// The names of the ends of one connection, as an extension of its peer.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    pub(super) local: Option<OsString>,
    pub(super) remote: Option<OsString>,
}

impl Names {
    pub(super) fn local(name: OsString) -> Self {
        Self {
            local: Some(name),
            remote: None,
        }
    }
}

/// The lookups for each connection.
#[derive(Clone, Debug)]
pub(super) struct Lookups {
    /// The value of `TCPLOCALHOST`, which is not looked up then.
    pub(super) local_name: Option<OsString>,
    /// True if the name of each client is looked up.
    pub(super) looks_up: bool,
    /// True if a name counts only if it has the address of the client.
    pub(super) is_paranoid: bool,
}

impl Default for Lookups {
    fn default() -> Self {
        Self {
            local_name: None,
            looks_up: true,
            is_paranoid: false,
        }
    }
}

impl Lookups {
    /// Returns the local name if nothing is looked up.
    pub(super) fn fixed_name(&self) -> Option<OsString> {
        self.local_name.clone().filter(|_| !self.looks_up)
    }

    /// Looks up the names of a connection, and returns them as variables. May take long.
    pub(super) fn variables(&self, peer: &Peer) -> Vec<(OsString, OsString)> {
        let local = peer.local().socket_addr().map(|local| local.ip());
        let remote = peer.endpoint().socket_addr().map(|remote| remote.ip());
        let names = Names {
            local: self.local_name.clone().or_else(|| name(local?)),
            remote: remote.and_then(|ip| self.remote(ip)),
        };
        peer.set_extension(names.clone());
        let variables = [
            ("TCPLOCALHOST", names.local),
            ("TCPREMOTEHOST", names.remote),
        ];
        let variables = variables.into_iter();
        variables
            .filter_map(|(name, value)| Some((name.into(), value?)))
            .collect()
    }

    fn remote(&self, ip: IpAddr) -> Option<OsString> {
        let name = self.looks_up.then(|| name(ip)).flatten()?;
        let is_true = !self.is_paranoid || has_address(&name, ip);
        is_true.then_some(name)
    }
}

fn name(ip: IpAddr) -> Option<OsString> {
    lookup_addr(&ip).ok().map(OsString::from)
}

fn has_address(name: &OsStr, ip: IpAddr) -> bool {
    let addresses = name.to_str().and_then(|name| lookup_host(name).ok());
    addresses.is_some_and(|mut addresses| addresses.any(|address| address == ip))
}

/// Returns the address of a host to listen on: 0 is every interface of IPv4, and a name is its first
/// address, of IPv4 if there is one.
pub(super) fn host(name: &str) -> Option<IpAddr> {
    match name {
        "" | "0" => return Some(Ipv4Addr::UNSPECIFIED.into()),
        name if let Ok(ip) = name.parse() => return Some(ip),
        _ => {}
    }
    let addresses: Vec<_> = lookup_host(name).ok()?.collect();
    let v4 = addresses.iter().find(|address| address.is_ipv4());
    v4.or(addresses.first()).copied()
}

/// Returns a port by its number or the name of its service.
pub(super) fn port(name: &str) -> Option<u16> {
    if name.starts_with(|first: char| first.is_ascii_digit() || "+-".contains(first)) {
        return name.parse().ok().filter(|_| !name.starts_with('+'));
    }
    let hints = AddrInfoHints {
        socktype: SockType::Stream.into(),
        ..AddrInfoHints::default()
    };
    let mut found = getaddrinfo(None, Some(name), Some(hints)).ok()?;
    found.find_map(|entry| Some(entry.ok()?.sockaddr.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_a_number_or_a_service() {
        for (name, expected) in [
            ("0", Some(0)),
            ("65535", Some(65535)),
            ("65536", None),
            ("-1", None),
            ("+1", None),
            ("80x", None),
            ("no-such-service", None),
        ] {
            assert_eq!(port(name), expected, "{name}");
        }
    }

    #[test]
    fn a_host_is_an_address_or_every_interface() {
        for (name, expected) in [
            ("0", Some("0.0.0.0")),
            ("", Some("0.0.0.0")),
            ("192.0.2.1", Some("192.0.2.1")),
            ("::1", Some("::1")),
        ] {
            assert_eq!(
                host(name),
                expected.map(|ip| ip.parse().expect("an address"))
            );
        }
    }

    #[test]
    fn a_name_counts_if_it_has_the_address() {
        let [one, other] = ["127.0.0.1", "192.0.2.1"].map(|ip| ip.parse().expect("an address"));
        assert!(has_address("localhost".as_ref(), one));
        assert!(!has_address("localhost".as_ref(), other));
        assert!(!has_address("no-such.invalid".as_ref(), one));
    }
}
