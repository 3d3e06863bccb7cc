//! The PROXY protocol, versions 1 and 2: the header in which a load balancer passes on the
//! addresses of its client.
//!
#![doc = include_str!("../../docs/proxy-protocol.md")]

mod crc32c;
mod error;
mod listen;
mod receive;
mod send;
mod settings;
mod tls;
mod tlv;
mod v1;
mod v2;
mod version;

pub use error::HeaderError;
pub use listen::ProxyListener;
pub use receive::Receive;
pub use send::send;
pub use settings::ProxyProtocol;
pub use tls::Tls;
pub use tlv::{Tlv, Tlvs};
pub use version::Version;

use crate::connection::Endpoint;

/// A header of the PROXY protocol.
///
/// The format is that of the specification "The PROXY protocol, versions 1 and 2" of `HAProxy`. A
/// header is complete before it is parsed: nothing in it is guessed.
///
/// # Examples
///
/// ```
/// use halves::proxy_protocol::{Header, Version};
///
/// let sent = b"PROXY TCP4 192.0.2.1 198.51.100.7 51234 443\r\nGET / HTTP/1.1\r\n";
/// let (header, length) = Header::parse(sent, Version::V1)?.expect("it is complete");
/// assert_eq!(header.addresses().unwrap().source.to_string(), "192.0.2.1:51234");
/// assert_eq!(&sent[length..], b"GET / HTTP/1.1\r\n");
/// # Ok::<(), halves::proxy_protocol::HeaderError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    addresses: Option<Addresses>,
    tlvs: Tlvs,
}

/// The two ends of the connection between the client and the load balancer.
///
/// # Examples
///
/// ```
/// use halves::proxy_protocol::{Header, Version};
///
/// let sent = b"PROXY TCP6 2001:db8::1 2001:db8::2 51234 443\r\n";
/// let (header, _) = Header::parse(sent, Version::Any)?.expect("it is complete");
/// assert_eq!(header.addresses().unwrap().destination.to_string(), "[2001:db8::2]:443");
/// # Ok::<(), halves::proxy_protocol::HeaderError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Addresses {
    /// The client.
    pub source: Endpoint,
    /// The address to which the client connected.
    pub destination: Endpoint,
}

impl Header {
    /// The maximum length of a header of version 1, in bytes, including CRLF.
    pub const MAX_V1_BYTES: usize = v1::MAX_HEADER_BYTES;
    /// The maximum length of a header of version 2 that is accepted, in bytes: 4 KiB of TLVs after
    /// the longest addresses.
    pub const MAX_V2_BYTES: usize = v2::MAX_HEADER_BYTES;

    /// Makes a header for a connection from `source` to `destination`.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::Endpoint;
    /// use halves::proxy_protocol::Header;
    ///
    /// let at = |text: &str| Endpoint::from(text.parse::<std::net::SocketAddr>().unwrap());
    /// let header = Header::new(at("192.0.2.1:51234"), at("198.51.100.7:443"));
    /// assert_eq!(header.to_v1(), b"PROXY TCP4 192.0.2.1 198.51.100.7 51234 443\r\n");
    /// ```
    #[must_use]
    pub fn new(source: impl Into<Endpoint>, destination: impl Into<Endpoint>) -> Self {
        let (source, destination) = (source.into(), destination.into());
        Self {
            addresses: Some(Addresses {
                source,
                destination,
            }),
            tlvs: Tlvs::default(),
        }
    }

    /// Makes a header without addresses: `UNKNOWN` in version 1, `LOCAL` in version 2. A load
    /// balancer sends it with its own connections, such as health checks.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::proxy_protocol::Header;
    ///
    /// assert_eq!(Header::local().to_v1(), b"PROXY UNKNOWN\r\n");
    /// ```
    #[must_use]
    pub fn local() -> Self {
        Self::default()
    }

    /// Adds TLVs. Version 1 does not transmit them.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::proxy_protocol::{Header, Tlvs};
    ///
    /// let tlvs = Tlvs::default().with_authority("www.example.org")?;
    /// let header = Header::local().with_tlvs(tlvs);
    /// assert_eq!(header.tlvs().authority(), Some("www.example.org"));
    /// # Ok::<(), halves::proxy_protocol::HeaderError>(())
    /// ```
    #[must_use]
    pub fn with_tlvs(mut self, tlvs: Tlvs) -> Self {
        self.tlvs = tlvs;
        self
    }

    /// Parses the header at the beginning of `bytes`, and returns it with its length. Returns `None`
    /// if the header is incomplete.
    ///
    /// `UNKNOWN`, `LOCAL`, unspecified and datagram addresses yield a header without addresses: the
    /// addresses of the transport hold. A checksum is verified if there is one.
    ///
    /// # Errors
    ///
    /// [`HeaderError`], as early as the bytes show that the header is not of `version`. A prefix of
    /// a header that can still become valid is no error.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::proxy_protocol::{Header, Version};
    ///
    /// assert!(Header::parse(b"PROXY TC", Version::Any)?.is_none());
    /// assert!(Header::parse(b"GET / HTTP/1.1\r\n", Version::Any).is_err());
    /// # Ok::<(), halves::proxy_protocol::HeaderError>(())
    /// ```
    pub fn parse(bytes: &[u8], version: Version) -> Result<Option<(Self, usize)>, HeaderError> {
        let Some(&first) = bytes.first() else {
            return Ok(None);
        };
        match (version, first) {
            (Version::V1 | Version::Any, b'P') => v1::parse(bytes),
            (Version::V2 | Version::Any, b'\r') => v2::parse(bytes),
            _ => Err(HeaderError::Missing),
        }
    }

    /// The addresses of the client's connection. `None` means that those of the transport hold.
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(halves::proxy_protocol::Header::local().addresses().is_none());
    /// ```
    #[must_use]
    pub fn addresses(&self) -> Option<&Addresses> {
        self.addresses.as_ref()
    }

    /// The other facts that the load balancer sends about the connection.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(halves::proxy_protocol::Header::local().tlvs().iter().count(), 0);
    /// ```
    #[must_use]
    pub fn tlvs(&self) -> &Tlvs {
        &self.tlvs
    }

    /// Encodes the header in version 1. Addresses that are not two of IPv4 or two of IPv6 become
    /// `UNKNOWN`; an IPv4 address beside one of IPv6 is sent as an IPv4-mapped one.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::Endpoint;
    /// use halves::proxy_protocol::Header;
    ///
    /// let header = Header::new(Endpoint::Memory, Endpoint::Memory);
    /// assert_eq!(header.to_v1(), b"PROXY UNKNOWN\r\n");
    /// ```
    #[must_use]
    pub fn to_v1(&self) -> Vec<u8> {
        v1::encode(self)
    }

    /// Encodes the header in version 2, with a checksum (CRC-32C) if `checksum` is set. Addresses
    /// that are neither IP nor Unix become `AF_UNSPEC`; a Unix path of more than 108 bytes, and a
    /// socket without a name, an empty path.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::proxy_protocol::{Header, Version};
    ///
    /// let bytes = Header::local().to_v2(true);
    /// let (header, length) = Header::parse(&bytes, Version::V2)?.expect("it is complete");
    /// assert_eq!((header, length), (Header::local(), bytes.len()));
    /// # Ok::<(), halves::proxy_protocol::HeaderError>(())
    /// ```
    #[must_use]
    pub fn to_v2(&self, checksum: bool) -> Vec<u8> {
        v2::encode(self, checksum)
    }
}

#[cfg(test)]
mod tests;
