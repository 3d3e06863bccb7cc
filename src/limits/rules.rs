//! Allowed and denied networks.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

use crate::error::Error;

/// A network in CIDR notation (RFC 4632), or a single address.
///
/// # Examples
///
/// ```
/// use halves::limits::Net;
///
/// let net: Net = "192.0.2.0/24".parse()?;
/// assert!(net.contains("192.0.2.7".parse().unwrap()));
/// assert!(net.contains("::ffff:192.0.2.7".parse().unwrap()));
/// assert_eq!("::1".parse::<Net>()?.to_string(), "::1/128");
/// # Ok::<(), halves::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Net(IpNet);

/// Which sources may connect: those in an allowed network, or anyone where none is named, unless
/// they are in a denied one.
///
/// Each connection is compared with every network: hundreds cost nothing that could be measured.
///
/// # Examples
///
/// ```
/// use halves::limits::Rules;
///
/// let rules = Rules::default()
///     .allow("10.0.0.0/8".parse()?)
///     .deny("10.6.6.0/24".parse()?);
/// assert!(rules.admit("10.1.2.3".parse().unwrap()));
/// assert!(!rules.admit("10.6.6.1".parse().unwrap()));
/// assert!(!rules.admit("192.0.2.1".parse().unwrap()));
/// # Ok::<(), halves::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Rules {
    allowed: Vec<Net>,
    denied: Vec<Net>,
}

impl Net {
    /// Whether the address is in this network. An IPv4-mapped IPv6 address is the IPv4 address
    /// that it means.
    ///
    /// # Examples
    ///
    /// See [`Net`].
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

impl FromStr for Net {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let single = text.parse::<IpAddr>().map(IpNet::from);
        let net = single.or_else(|_| text.parse::<IpNet>());
        let net = net
            .map_err(|_| "write an address or a network, as 192.0.2.0/24 or 2001:db8::/32".into());
        net.and_then(canonical).map_err(|problem| Error::Net {
            text: text.to_owned(),
            problem,
        })
    }
}

/// A network of mapped addresses would never match: they are IPv4 by the time they are compared.
fn canonical(net: IpNet) -> Result<Net, Cow<'static, str>> {
    if net.trunc() != net {
        let (network, address) = (net.trunc(), net.addr());
        let problem = "the address has bits beyond the prefix length";
        return Err(format!("{problem}; write {network} or {address}").into());
    }
    if let IpNet::V6(v6) = net
        && let Some(v4) = v6.addr().to_ipv4_mapped()
    {
        let length = v6.prefix_len().checked_sub(96);
        let mapped = length.and_then(|length| IpNet::new(v4.into(), length).ok());
        return mapped
            .map(Net)
            .ok_or("it is neither IPv4 nor IPv6: a mapped prefix has 96 bits at least".into());
    }
    Ok(Net(net))
}

impl fmt::Display for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Rules {
    /// Adds a network to those that may connect; the first one shuts out all others.
    ///
    /// # Examples
    ///
    /// See [`Rules`].
    pub fn allow(mut self, net: Net) -> Self {
        self.allowed.push(net);
        self
    }

    /// Adds a network whose sources may not connect, also where they are allowed.
    ///
    /// # Examples
    ///
    /// See [`Rules`].
    pub fn deny(mut self, net: Net) -> Self {
        self.denied.push(net);
        self
    }

    /// Whether a source may connect.
    ///
    /// # Examples
    ///
    /// See [`Rules`].
    #[must_use]
    pub fn admit(&self, source: IpAddr) -> bool {
        let within = |nets: &[Net]| nets.iter().any(|net| net.contains(source));
        !within(&self.denied) && (self.allowed.is_empty() || within(&self.allowed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_a_network_says_why() {
        for text in [
            "",
            "10.0.0.0/33",
            "10.0.0.1/8",
            "example.org",
            "::/129",
            "::ffff:0:0/95",
            "::ffff:10.0.0.1/104",
        ] {
            let error = text.parse::<Net>().expect_err(text).to_string();
            assert!(
                error.starts_with(&format!("bad network '{text}': ")),
                "{error}"
            );
        }
    }

    #[test]
    fn bits_beyond_the_prefix_are_said_with_what_may_be_meant() {
        for (text, write) in [
            ("10.0.0.1/8", "10.0.0.0/8 or 10.0.0.1"),
            ("fe80::1/10", "fe80::/10 or fe80::1"),
        ] {
            let line = text.parse::<Net>().expect_err(text).to_string();
            let problem = "the address has bits beyond the prefix length";
            assert_eq!(
                line,
                format!("bad network '{text}': {problem}; write {write}")
            );
        }
    }

    #[test]
    fn mapped_networks_are_the_ipv4_networks_that_they_mean() {
        let net: Net = "::ffff:192.0.2.0/120".parse().expect("it is well formed");
        assert_eq!(net.to_string(), "192.0.2.0/24");
    }
}
