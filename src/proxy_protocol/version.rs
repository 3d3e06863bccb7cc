//! `Version`, and its text.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;

/// A version of the protocol. As text it is `v1`, `v2` or `any`.
///
/// # Examples
///
/// ```
/// use halves::proxy_protocol::{Header, Version};
///
/// let version: Version = "v2".parse()?;
/// assert!(Header::parse(b"PROXY UNKNOWN\r\n", version).is_err());
/// # Ok::<(), halves::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Version {
    /// A line of text. It holds only addresses of TCP.
    V1,
    /// A binary header. It also holds addresses of Unix sockets, and TLVs.
    V2,
    /// Version 1 or 2, by the first byte. As a version to send, it is version 2.
    Any,
}

impl Version {
    const ALL: [Self; 3] = [Self::V1, Self::V2, Self::Any];

    fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
            Self::Any => "any",
        }
    }
}

impl FromStr for Version {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let version = Self::ALL
            .into_iter()
            .find(|version| version.as_str() == text);
        version.ok_or_else(|| Error::ProxyVersion {
            text: text.to_owned(),
        })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_each_version_is_read_back() {
        for version in Version::ALL {
            assert_eq!(version.to_string().parse::<Version>().ok(), Some(version));
        }
        let error = "V3".parse::<Version>().expect_err("there is none");
        assert_eq!(
            error.to_string(),
            "bad PROXY version 'V3': write v1, v2 or any"
        );
    }
}
