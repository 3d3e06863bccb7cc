//! Settings with a few values, and their text.

use std::fmt;
use std::str::FromStr;

use rustls::SupportedProtocolVersion;
use rustls::version::{TLS12, TLS13};

use super::LoadError;

static VERSIONS: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];

/// A version of TLS. Older ones than these are never used.
///
/// # Examples
///
/// ```
/// use halves::tls::Version;
///
/// assert_eq!("1.3".parse::<Version>()?, Version::Tls13);
/// assert_eq!(Version::Tls12.to_string(), "1.2");
/// assert!(Version::Tls12 < Version::Tls13);
/// assert_eq!("1.1".parse::<Version>().unwrap_err(), "not a version of TLS; write 1.2 or 1.3");
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Version {
    /// TLS 1.2 (RFC 5246).
    #[default]
    Tls12,
    /// TLS 1.3 (RFC 8446).
    Tls13,
}

/// The certificate that a server asks its clients for.
///
/// # Examples
///
/// ```
/// use halves::tls::ClientAuth;
///
/// assert_eq!("optional".parse::<ClientAuth>()?, ClientAuth::Optional);
/// assert_eq!(ClientAuth::default().to_string(), "required");
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ClientAuth {
    /// Clients without a certificate are refused.
    #[default]
    Required,
    /// Clients may have a certificate. One that cannot be verified is refused.
    Optional,
}

impl Version {
    /// Returns the versions that are allowed if this one is the oldest.
    pub(super) fn and_later(self) -> &'static [&'static SupportedProtocolVersion] {
        match self {
            Self::Tls12 => VERSIONS,
            Self::Tls13 => &VERSIONS[..1],
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Tls12 => "1.2",
            Self::Tls13 => "1.3",
        })
    }
}

impl FromStr for Version {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "1.2" => Ok(Self::Tls12),
            "1.3" => Ok(Self::Tls13),
            _ => Err("not a version of TLS; write 1.2 or 1.3".to_owned()),
        }
    }
}

impl fmt::Display for ClientAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Required => "required",
            Self::Optional => "optional",
        })
    }
}

impl FromStr for ClientAuth {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "required" => Ok(Self::Required),
            "optional" => Ok(Self::Optional),
            _ => Err("write required or optional".to_owned()),
        }
    }
}

/// Returns an error unless each protocol has a length that fits into the message.
pub(super) fn check_alpn(protocols: &[Vec<u8>]) -> Result<(), LoadError> {
    let is_unfit = |name: &&Vec<u8>| name.is_empty() || name.len() > 255;
    match protocols.iter().find(is_unfit) {
        None => Ok(()),
        Some(name) => Err(LoadError::settings(format_args!(
            "bad ALPN protocol '{}': its length must be 1 to 255 bytes",
            name.escape_ascii()
        ))),
    }
}
