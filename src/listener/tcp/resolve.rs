//! Resolves a host to its addresses.

use std::io::{Error, ErrorKind, Result};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::lookups::look_up;

/// Returns the addresses of a host without duplicates. An IPv4-mapped address becomes the IPv4
/// address.
///
/// Cancel-safe. Calls for one name share one lookup, and its thread.
pub(crate) async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>> {
    let resolved = match host.parse::<IpAddr>() {
        // An IP address needs no lookup.
        Ok(address) => vec![SocketAddr::new(address, port)],
        Err(_) => look_up(host)
            .await
            .map_err(|error| explain_zone(host, error))?,
    };
    let mut addresses = Vec::with_capacity(resolved.len());
    for mut address in resolved {
        address.set_port(port);
        let address = canonical(address);
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if addresses.is_empty() {
        return Err(Error::new(ErrorKind::NotFound, "the host has no address"));
    }
    addresses.iter().try_for_each(check_zone)?;
    Ok(addresses)
}

fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        // Unchanged, with its zone.
        ip if ip == address.ip() => address,
        ip => SocketAddr::new(ip, address.port()),
    }
}

/// Replaces the error of a lookup if the zone of an IPv6 address is the cause.
fn explain_zone(host: &str, error: Error) -> Error {
    let Some((ip, zone)) = host.split_once('%') else {
        return error;
    };
    let message = match ip.parse::<Ipv6Addr>() {
        Ok(ip) if ip.is_unicast_link_local() => {
            format!("'{zone}' is not an interface of this machine")
        }
        Ok(ip) => format!("only a link-local address has a zone; write [{ip}]"),
        Err(_) => return error,
    };
    Error::new(ErrorKind::InvalidInput, message)
}

/// Fails for a link-local address without a zone, as every interface has link-local addresses.
fn check_zone(address: &SocketAddr) -> Result<()> {
    match address {
        SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() && v6.scope_id() == 0 => {
            let (ip, port) = (v6.ip(), v6.port());
            let message = format!(
                "a link-local address needs a zone, its interface, such as [{ip}%eth0]:{port}"
            );
            Err(Error::new(ErrorKind::InvalidInput, message))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(host: &str) -> std::result::Result<Vec<String>, String> {
        let all = smol::block_on(resolve(host, 7)).map_err(|error| error.to_string())?;
        Ok(all.iter().map(SocketAddr::to_string).collect())
    }

    #[test]
    fn a_mapped_address_is_the_ipv4_address() {
        for (host, address) in [
            ("::ffff:127.0.0.1", "127.0.0.1:7"),
            ("::ffff:0.0.0.0", "0.0.0.0:7"),
            ("::1", "[::1]:7"),
        ] {
            assert_eq!(resolved(host), Ok(vec![address.to_owned()]));
        }
    }

    #[test]
    fn a_link_local_address_needs_its_zone() {
        let message = "a link-local address needs a zone, its interface, such as [fe80::1%eth0]:7";
        assert_eq!(resolved("fe80::1"), Err(message.to_owned()));
        assert_eq!(resolved("fe80::1%1"), Ok(vec!["[fe80::1%1]:7".to_owned()]));
        for (host, message) in [
            (
                "fe80::1%nosuch",
                "'nosuch' is not an interface of this machine",
            ),
            (
                "::1%nosuch",
                "only a link-local address has a zone; write [::1]",
            ),
        ] {
            assert_eq!(resolved(host), Err(message.to_owned()));
        }
    }
}
