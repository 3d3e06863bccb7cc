//! What the value of an option may be.

use std::num::NonZero;
use std::os::fd::RawFd;
use std::str::FromStr;
use std::time::Duration;

use halves::duration::parse_duration;
use halves::{Address, Error};

use super::rules::Given;

/// More is a mistake, and the system would be long in noticing.
const MOST_THREADS: usize = 1024;

/// `N`, `N/V4` or `N/V4/V6`: how many of one source, and how many bits tell sources apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PerSource {
    /// 0 is any number.
    pub(super) most: u32,
    pub(super) v4_prefix: u8,
    pub(super) v6_prefix: u8,
}

impl Default for PerSource {
    fn default() -> Self {
        Self {
            most: 0,
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
            most: number(parts.next().unwrap_or_default())?,
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

fn prefix(text: &str, most: u8, family: &str) -> Result<u8, String> {
    let bits = digits(text).filter(|&bits| bits <= most);
    bits.ok_or_else(|| {
        format!("the {family} prefix is not a number from 0 to {most}; write N, N/V4 or N/V4/V6")
    })
}

/// No sign, which the numbers of the standard library would read.
fn digits<T: FromStr>(text: &str) -> Option<T> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| plain)
}

/// 0 is off, as for every limit that can be set.
pub(super) fn number<T: FromStr>(text: &str) -> Result<T, String> {
    digits(text).ok_or_else(|| "not a number from 0 up".into())
}

/// The three below are standard input, output and error.
pub(super) fn descriptor(text: &str) -> Result<RawFd, String> {
    digits(text)
        .filter(|&fd| fd >= 3)
        .ok_or_else(|| "not the number of a descriptor from 3 up".into())
}

pub(super) fn given(text: &str) -> Result<Given, String> {
    match text.strip_prefix('@') {
        Some("") => Err("there is no file after the @".into()),
        Some(file) => Ok(Given::File(file.into())),
        None => text.parse().map(Given::Net).map_err(problem),
    }
}

pub(super) fn address(text: &str) -> Result<Address, String> {
    text.parse().map_err(problem)
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(problem)
}

/// The reason alone: the message of an option has the text already.
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
        .filter(|n| n.get() <= MOST_THREADS)
        .ok_or_else(|| format!("not a number from 1 to {MOST_THREADS}"))
}

/// 0 is off, as for every time that can be set.
pub(super) fn deadline(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    Ok(if time.is_zero() { Duration::MAX } else { time })
}

pub(super) fn word(text: &str) -> Result<String, String> {
    match text {
        "" => Err("no read is empty".into()),
        text => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_per_source_may_have_a_prefix_for_each_family() {
        for (text, most, v4_prefix, v6_prefix) in [
            ("40", 40, 32, 64),
            ("40/24", 40, 24, 64),
            ("40/24/56", 40, 24, 56),
            ("0/0/0", 0, 0, 0),
            ("1/32/128", 1, 32, 128),
        ] {
            let value = PerSource {
                most,
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
    fn the_standard_descriptors_are_not_for_readiness() {
        for text in ["0", "1", "2", "-1", "+3", "three", "99999999999"] {
            assert!(descriptor(text).is_err(), "{text}");
        }
        assert_eq!(descriptor("3"), Ok(3));
    }
}
