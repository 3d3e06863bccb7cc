//! The errors of a header.

use std::error::Error;
use std::fmt;
use std::io;

/// The fault of a PROXY header.
///
/// # Examples
///
/// ```
/// use halves::proxy_protocol::{Header, HeaderError, Version};
///
/// let error = Header::parse(b"GET /", Version::Any).unwrap_err();
/// assert_eq!(error, HeaderError::Missing);
/// assert_eq!(error.to_string(), "no PROXY header");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeaderError {
    /// The bytes do not begin with a header of an accepted version.
    Missing,
    /// The header is longer than this many bytes.
    TooLong(usize),
    /// A part of the header is invalid. The text names it.
    Invalid(&'static str),
    /// The checksum does not match.
    Checksum,
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("no PROXY header"),
            Self::TooLong(bytes) => write!(f, "PROXY header of more than {bytes} bytes"),
            Self::Invalid(part) => write!(f, "PROXY header: invalid {part}"),
            Self::Checksum => f.write_str("PROXY header: wrong checksum"),
        }
    }
}

impl Error for HeaderError {}

impl From<HeaderError> for io::Error {
    fn from(error: HeaderError) -> Self {
        Self::new(io::ErrorKind::InvalidData, error)
    }
}
