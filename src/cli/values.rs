//! Parsers for the values of options and arguments.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZero;
use std::ops::RangeInclusive;
use std::os::fd::RawFd;
use std::str::FromStr;
use std::time::Duration;

use halves::duration::parse_duration;
use halves::limits::Net;
use halves::proxy_protocol::Version;
use halves::{Address, Error};

use super::rules::RuleSource;

/// The highest value of `--threads`. The system would take long to refuse much more.
const MAX_THREADS: usize = 1024;

/// The limits of `--record-limit`, in bytes. `Record::read` reads a file of the highest.
const RECORD_LIMITS: RangeInclusive<usize> = 1024..=256 * 1024 * 1024;

/// `N`, `N/V4` or `N/V4/V6`: the maximum of connections of one source, and the length of the prefix
/// that makes one source, in bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PerSource {
    /// 0 is unlimited.
    pub(super) max_connections: u32,
    pub(super) v4_prefix: u8,
    pub(super) v6_prefix: u8,
}

impl Default for PerSource {
    fn default() -> Self {
        Self {
            max_connections: 0,
            v4_prefix: 32,
            v6_prefix: 64,
        }
    }
}

impl FromStr for PerSource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split('/');
        let mut value = Self {
            max_connections: number(parts.next().unwrap_or_default())?,
            ..Self::default()
        };
        if let Some(bits) = parts.next() {
            value.v4_prefix = prefix(bits, 32, "IPv4")?;
        }
        if let Some(bits) = parts.next() {
            value.v6_prefix = prefix(bits, 128, "IPv6")?;
        }
        match parts.next() {
            None => Ok(value),
            Some(_) => Err("too many parts; write N, N/V4 or N/V4/V6".into()),
        }
    }
}

/// The versions of the PROXY protocol that are expected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ProxyVersion(pub(super) Option<Version>);

impl FromStr for ProxyVersion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self(None)),
            text => match text.parse() {
                Ok(version) => Ok(Self(Some(version))),
                Err(_) => Err("not a version; write v1, v2, any or off".to_owned()),
            },
        }
    }
}

fn prefix(text: &str, max: u8, family: &str) -> Result<u8, String> {
    let bits = digits(text).filter(|&bits| bits <= max);
    bits.ok_or_else(|| {
        format!("the {family} prefix is not a number from 0 to {max}; write N, N/V4 or N/V4/V6")
    })
}

/// Parses digits without a sign, which `FromStr` of the standard library would accept.
fn digits<T: FromStr>(text: &str) -> Option<T> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| plain)
}

/// Parses a limit; 0 is off.
pub(super) fn number<T: FromStr>(text: &str) -> Result<T, String> {
    digits(text).ok_or_else(|| "not a number from 0 up".into())
}

/// Parses a descriptor from 3 up: the three below are the standard streams.
pub(super) fn descriptor(text: &str) -> Result<RawFd, String> {
    digits(text)
        .filter(|&fd| fd >= 3)
        .ok_or_else(|| "not a descriptor number from 3 up".into())
}

pub(super) fn rule(text: &str) -> Result<RuleSource, String> {
    match text.strip_prefix('@') {
        Some("") => Err("no file after the @".into()),
        Some(file) => Ok(RuleSource::File(file.into())),
        None => text.parse().map(RuleSource::Net).map_err(problem),
    }
}

/// Parses a network of load balancers.
pub(super) fn net(text: &str) -> Result<Net, String> {
    text.parse().map_err(problem)
}

pub(super) fn address(text: &str) -> Result<Address, String> {
    text.parse().map_err(problem)
}

/// Parses an address for many clients: any but standard input and output.
pub(super) fn metrics_address(text: &str) -> Result<Address, String> {
    match address(text)? {
        Address::Stdio => Err("standard input and output have one client".to_owned()),
        address => Ok(address),
    }
}

/// Parses an IP address of this machine, perhaps with a port.
pub(super) fn source(text: &str) -> Result<SocketAddr, String> {
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    if let Ok(ip) = bare.unwrap_or(text).parse::<IpAddr>()
        && (bare.is_none() || ip.is_ipv6())
    {
        return Ok(SocketAddr::new(ip, 0));
    }
    let parsed = text.parse();
    parsed.map_err(|_| "not an IP address; write ADDRESS, ADDRESS:PORT or [V6]:PORT".into())
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(problem)
}

/// Returns the problem without the text, which the message of argh already quotes.
fn problem(error: Error) -> String {
    match error {
        Error::Address { problem, .. }
        | Error::Net { problem, .. }
        | Error::Duration { problem, .. } => problem.into_owned(),
        error => error.to_string(),
    }
}

pub(super) fn count(text: &str) -> Result<NonZero<usize>, String> {
    text.parse().map_err(|_| "not a number from 1 up".into())
}

pub(super) fn threads(text: &str) -> Result<NonZero<usize>, String> {
    count(text)
        .ok()
        .filter(|n| n.get() <= MAX_THREADS)
        .ok_or_else(|| format!("not a number from 1 to {MAX_THREADS}"))
}

/// Parses a deadline; 0 is none.
pub(super) fn deadline(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    Ok(if time.is_zero() { Duration::MAX } else { time })
}

pub(super) fn word(text: &str) -> Result<String, String> {
    match text {
        "" => Err("the word must not be empty".into()),
        text => Ok(text.to_owned()),
    }
}

/// Parses the longest size of a record.
pub(super) fn record_limit(text: &str) -> Result<usize, String> {
    let bytes = size(text)?;
    if RECORD_LIMITS.contains(&bytes) {
        return Ok(bytes);
    }
    Err("not a size from 1k to 256m".to_owned())
}

/// Parses a number of bytes, perhaps with `k`, `m` or `g` behind it.
fn size(text: &str) -> Result<usize, String> {
    let units = [('k', 10), ('m', 20), ('g', 30)].into_iter();
    let mut unit = units.filter_map(|(unit, bits)| Some((text.strip_suffix(unit)?, bits)));
    let (number, bits) = unit.next().unwrap_or((text, 0));
    let bytes = digits(number).and_then(|number: usize| number.checked_mul(1 << bits));
    bytes.ok_or_else(|| "not a size; write bytes, or a number with k, m or g".to_owned())
}

/// Parses a protocol of ALPN.
pub(super) fn protocol(text: &str) -> Result<String, String> {
    match text.len() {
        1..=255 => Ok(text.to_owned()),
        n => Err(format!("a protocol has 1 to 255 bytes, and not {n}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_an_ip_address() {
        for (text, parsed) in [
            ("192.0.2.1", Some("192.0.2.1:0")),
            ("192.0.2.1:7", Some("192.0.2.1:7")),
            ("2001:db8::1", Some("[2001:db8::1]:0")),
            ("[2001:db8::1]", Some("[2001:db8::1]:0")),
            ("[2001:db8::1]:7", Some("[2001:db8::1]:7")),
            ("[192.0.2.1]", None),
            ("localhost", None),
            (":7", None),
            ("192.0.2.1:", None),
        ] {
            let source = source(text).ok().map(|source| source.to_string());
            assert_eq!(source.as_deref(), parsed, "{text}");
        }
    }

    #[test]
    fn a_maximum_per_source_may_have_a_prefix_for_each_family() {
        for (text, max_connections, v4_prefix, v6_prefix) in [
            ("40", 40, 32, 64),
            ("40/24", 40, 24, 64),
            ("40/24/56", 40, 24, 56),
            ("0/0/0", 0, 0, 0),
            ("1/32/128", 1, 32, 128),
        ] {
            let value = PerSource {
                max_connections,
                v4_prefix,
                v6_prefix,
            };
            assert_eq!(text.parse(), Ok(value), "{text}");
        }
    }

    #[test]
    fn a_prefix_is_no_longer_than_its_address() {
        for (text, word) in [
            ("40/33", "IPv4"),
            ("40/64", "N/V4/V6"),
            ("40/", "IPv4"),
            ("40/24/129", "IPv6"),
            ("40/24/56/1", "too many"),
            ("/24", "from 0 up"),
            ("+1", "from 0 up"),
            ("", "from 0 up"),
            ("4294967296", "from 0 up"),
        ] {
            let problem = text.parse::<PerSource>().expect_err(text);
            assert!(problem.contains(word), "{text}: {problem}");
        }
    }

    #[test]
    fn a_standard_descriptor_is_refused_for_readiness() {
        for text in ["0", "1", "2", "-1", "+3", "three", "99999999999"] {
            assert!(descriptor(text).is_err(), "{text}");
        }
        assert_eq!(descriptor("3"), Ok(3));
    }
}
