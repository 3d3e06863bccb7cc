//! `Rules`: allowed and denied networks.

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

/// The sources that may connect: those in an allowed network, or every source if no network is
/// allowed. Sources in a denied network may never connect.
///
/// Each connection is compared with every network. Hundreds of networks have no measurable cost.
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
    /// Returns true if the address is in this network. An IPv4-mapped IPv6 address counts as the
    /// IPv4 address.
    ///
    /// # Examples
    ///
    /// ```
    /// let net: halves::limits::Net = "2001:db8::/32".parse()?;
    /// assert!(net.contains("2001:db8::1".parse().unwrap()));
    /// # Ok::<(), halves::Error>(())
    /// ```
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
        let net = net.map_err(|_| {
            "write an address or a network, such as 192.0.2.0/24 or 2001:db8::/32".into()
        });
        net.and_then(canonical).map_err(|problem| Error::Net {
            text: text.to_owned(),
            problem,
        })
    }
}

/// Converts an IPv4-mapped network to IPv4, because mapped addresses are compared as IPv4. Returns
/// an error for a network with bits beyond its prefix.
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
            .ok_or("the prefix of an IPv4-mapped network has at least 96 bits".into());
    }
    Ok(Net(net))
}

impl fmt::Display for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Rules {
    /// Adds an allowed network. Once a network is allowed, sources outside the allowed networks may
    /// not connect.
    ///
    /// # Examples
    ///
    /// ```
    /// let rules = halves::limits::Rules::default().allow("10.0.0.0/8".parse()?);
    /// assert!(!rules.admit("192.0.2.1".parse().unwrap()));
    /// # Ok::<(), halves::Error>(())
    /// ```
    pub fn allow(mut self, net: Net) -> Self {
        self.allowed.push(net);
        self
    }

    /// Adds a denied network. It overrides the allowed networks.
    ///
    /// # Examples
    ///
    /// ```
    /// let rules = halves::limits::Rules::default().deny("192.0.2.0/24".parse()?);
    /// assert!(!rules.admit("192.0.2.1".parse().unwrap()));
    /// # Ok::<(), halves::Error>(())
    /// ```
    pub fn deny(mut self, net: Net) -> Self {
        self.denied.push(net);
        self
    }

    /// Returns true if a source may connect.
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(halves::limits::Rules::default().admit("192.0.2.1".parse().unwrap()));
    /// ```
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
    fn a_bad_network_is_an_error_with_its_text() {
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
    fn bits_beyond_the_prefix_are_an_error_with_two_suggestions() {
        for (text, suggestions) in [
            ("10.0.0.1/8", "10.0.0.0/8 or 10.0.0.1"),
            ("fe80::1/10", "fe80::/10 or fe80::1"),
        ] {
            let line = text.parse::<Net>().expect_err(text).to_string();
            let problem = "the address has bits beyond the prefix length";
            assert_eq!(
                line,
                format!("bad network '{text}': {problem}; write {suggestions}")
            );
        }
    }

    #[test]
    fn a_mapped_network_is_read_as_ipv4() {
        let net: Net = "::ffff:192.0.2.0/120".parse().expect("it is well formed");
        assert_eq!(net.to_string(), "192.0.2.0/24");
    }
}
