//! The errors of a header, and the protocols that come in its place.

use std::error::Error;
use std::fmt;
use std::io;

use super::{v1, v2};

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
    /// The bytes begin with something else. The text names it.
    Found(&'static str),
    /// The input ended before the end of the header.
    Incomplete,
    /// The header is longer than this many bytes.
    TooLong(usize),
    /// A part of the header is invalid. The text names it.
    Invalid(&'static str),
    /// The checksum does not match.
    Checksum,
}

/// The beginnings of other protocols.
const OTHERS: &[(&[u8], &str)] = &[
    (b"\x16\x03", "a TLS handshake"),
    (b"GET ", HTTP_REQUEST),
    (b"HEAD ", HTTP_REQUEST),
    (b"POST ", HTTP_REQUEST),
    (b"PUT ", HTTP_REQUEST),
    (b"DELETE ", HTTP_REQUEST),
    (b"CONNECT ", HTTP_REQUEST),
    (b"OPTIONS ", HTTP_REQUEST),
    (b"TRACE ", HTTP_REQUEST),
    (b"PATCH ", HTTP_REQUEST),
    (b"PRI * HTTP/2.0", HTTP_REQUEST),
    (v1::PREFIX, "one of version 1, which is not accepted"),
    (v2::SIGNATURE, "one of version 2, which is not accepted"),
];
const HTTP_REQUEST: &str = "an HTTP request";

impl HeaderError {
    /// Names what is in the place of a missing header, as far as `bytes` show it.
    pub(super) fn name_found(self, bytes: &[u8]) -> Self {
        let begins = |&&(beginning, _): &&(&[u8], &'static str)| bytes.starts_with(beginning);
        match OTHERS.iter().find(begins) {
            Some(&(_, other)) if self == Self::Missing => Self::Found(other),
            _ => self,
        }
    }
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("no PROXY header"),
            Self::Found(other) => write!(f, "expected a PROXY header, found {other}"),
            Self::Incomplete => f.write_str("the input ended before the end of the PROXY header"),
            Self::TooLong(bytes) => write!(f, "PROXY header of more than {bytes} bytes"),
            Self::Invalid(part) => write!(f, "PROXY header: invalid {part}"),
            Self::Checksum => f.write_str("PROXY header: wrong checksum"),
        }
    }
}

impl Error for HeaderError {}

impl From<HeaderError> for io::Error {
    fn from(error: HeaderError) -> Self {
        let kind = match error {
            HeaderError::Incomplete => io::ErrorKind::UnexpectedEof,
            _ => io::ErrorKind::InvalidData,
        };
        Self::new(kind, error)
    }
}
