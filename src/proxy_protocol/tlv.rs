//! Type-length-value fields, after the addresses of version 2.

use std::str;

use super::{HeaderError, Tls};

/// The maximum length of all TLVs, in bytes.
pub(super) const MAX_TLVS_BYTES: usize = 4096;
/// The type and the length in front of each value.
pub(super) const TLV_HEADER_BYTES: usize = 3;
/// The maximum length of a unique ID, by the specification.
const MAX_UNIQUE_ID_BYTES: usize = 128;

const ALPN: u8 = 0x01;
const AUTHORITY: u8 = 0x02;
pub(super) const CRC32C: u8 = 0x03;
const NOOP: u8 = 0x04;
const UNIQUE_ID: u8 = 0x05;
const TLS: u8 = 0x20;
const NETWORK_NAMESPACE: u8 = 0x30;

/// The TLVs of a header: facts about the client's connection, each with a type. They take at most
/// 4 KiB.
///
/// # Examples
///
/// ```
/// use halves::proxy_protocol::Tlvs;
///
/// let tlvs = Tlvs::default().with_alpn(b"h2")?.with(0xe0, b"ours")?;
/// assert_eq!(tlvs.alpn(), Some(&b"h2"[..]));
/// assert_eq!(tlvs.get(0xe0), Some(&b"ours"[..]));
/// # Ok::<(), halves::proxy_protocol::HeaderError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tlvs(Vec<u8>);

/// One TLV.
///
/// # Examples
///
/// ```
/// # use halves::proxy_protocol::Tlvs;
/// let tlvs = Tlvs::default().with_alpn(b"h2")?;
/// let tlv = tlvs.iter().next().expect("there is one");
/// assert_eq!((tlv.kind, tlv.value), (1, &b"h2"[..]));
/// # Ok::<(), halves::proxy_protocol::HeaderError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tlv<'a> {
    /// The type. Types from 0xe0 to 0xef are for private use.
    pub kind: u8,
    /// The value.
    pub value: &'a [u8],
}

impl Tlv<'_> {
    /// The size of the type, the length and the value.
    pub(super) fn encoded_bytes(&self) -> usize {
        TLV_HEADER_BYTES + self.value.len()
    }
}

impl Tlvs {
    /// Takes the bytes after the addresses of a header. Each TLV is complete, and nothing remains.
    /// A checksum is left out: it holds only for that header.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, HeaderError> {
        if bytes.len() > MAX_TLVS_BYTES {
            return Err(HeaderError::TooLong(super::v2::MAX_HEADER_BYTES));
        }
        check(bytes)?;
        let mut tlvs = Self(Vec::with_capacity(bytes.len()));
        for tlv in fields(bytes).filter(|tlv| tlv.kind != CRC32C) {
            tlvs = tlvs.with(tlv.kind, tlv.value)?;
        }
        if tlvs
            .unique_id()
            .is_some_and(|id| id.len() > MAX_UNIQUE_ID_BYTES)
        {
            return Err(HeaderError::Invalid("unique ID"));
        }
        if let Some(value) = tlvs.get(AUTHORITY) {
            str::from_utf8(value).map_err(|_| HeaderError::Invalid("authority"))?;
        }
        if let Some(value) = tlvs.get(TLS) {
            Tls::check(value)?;
        }
        Ok(tlvs)
    }

    /// Returns the bytes of all TLVs.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Adds a TLV.
    ///
    /// # Errors
    ///
    /// [`HeaderError::TooLong`] if the TLVs would take more than 4 KiB, and
    /// [`HeaderError::Invalid`] for the type of a checksum, 3, which [`Header::to_v2`] adds.
    ///
    /// [`Header::to_v2`]: super::Header::to_v2
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::proxy_protocol::Tlvs;
    ///
    /// assert!(Tlvs::default().with(0xe0, &[0; 5000]).is_err());
    /// ```
    pub fn with(mut self, kind: u8, value: &[u8]) -> Result<Self, HeaderError> {
        if kind == CRC32C {
            return Err(HeaderError::Invalid("TLV"));
        }
        let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
        if self.0.len() + TLV_HEADER_BYTES + value.len() > MAX_TLVS_BYTES {
            return Err(HeaderError::TooLong(super::v2::MAX_HEADER_BYTES));
        }
        self.0.push(kind);
        self.0.extend_from_slice(&length.to_be_bytes());
        self.0.extend_from_slice(value);
        Ok(self)
    }

    /// Adds the protocol that ALPN (RFC 7301) has chosen.
    ///
    /// # Errors
    ///
    /// As [`with`](Self::with).
    ///
    /// # Examples
    ///
    /// ```
    /// # use halves::proxy_protocol::Tlvs;
    /// assert_eq!(Tlvs::default().with_alpn(b"h2")?.alpn(), Some(&b"h2"[..]));
    /// # Ok::<(), halves::proxy_protocol::HeaderError>(())
    /// ```
    pub fn with_alpn(self, protocol: &[u8]) -> Result<Self, HeaderError> {
        self.with(ALPN, protocol)
    }

    /// Adds the host name that the client asked for.
    ///
    /// # Errors
    ///
    /// As [`with`](Self::with).
    ///
    /// # Examples
    ///
    /// ```
    /// # use halves::proxy_protocol::Tlvs;
    /// let tlvs = Tlvs::default().with_authority("a.example")?;
    /// assert_eq!(tlvs.authority(), Some("a.example"));
    /// # Ok::<(), halves::proxy_protocol::HeaderError>(())
    /// ```
    pub fn with_authority(self, name: &str) -> Result<Self, HeaderError> {
        self.with(AUTHORITY, name.as_bytes())
    }

    /// Adds an ID of the connection, of at most 128 bytes.
    ///
    /// # Errors
    ///
    /// As [`with`](Self::with), and [`HeaderError::Invalid`] if the ID is longer.
    ///
    /// # Examples
    ///
    /// ```
    /// # use halves::proxy_protocol::Tlvs;
    /// assert!(Tlvs::default().with_unique_id(&[7; 128]).is_ok());
    /// assert!(Tlvs::default().with_unique_id(&[7; 129]).is_err());
    /// ```
    pub fn with_unique_id(self, id: &[u8]) -> Result<Self, HeaderError> {
        if id.len() > MAX_UNIQUE_ID_BYTES {
            return Err(HeaderError::Invalid("unique ID"));
        }
        self.with(UNIQUE_ID, id)
    }

    /// Iterates over the TLVs in their order, without those that only fill up the header.
    ///
    /// # Examples
    ///
    /// ```
    /// # use halves::proxy_protocol::Tlvs;
    /// let tlvs = Tlvs::default().with(0xe0, b"a")?.with(0xe1, b"b")?;
    /// let kinds: Vec<_> = tlvs.iter().map(|tlv| tlv.kind).collect();
    /// assert_eq!(kinds, [0xe0, 0xe1]);
    /// # Ok::<(), halves::proxy_protocol::HeaderError>(())
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = Tlv<'_>> {
        fields(&self.0).filter(|tlv| tlv.kind != NOOP)
    }

    /// Returns the value of the first TLV of a type.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(halves::proxy_protocol::Tlvs::default().get(0xe0), None);
    /// ```
    #[must_use]
    pub fn get(&self, kind: u8) -> Option<&[u8]> {
        find(&self.0, kind)
    }

    /// The protocol that ALPN has chosen, such as `h2`.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(halves::proxy_protocol::Tlvs::default().alpn(), None);
    /// ```
    #[must_use]
    pub fn alpn(&self) -> Option<&[u8]> {
        self.get(ALPN)
    }

    /// The host name that the client asked for, as in SNI of TLS.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(halves::proxy_protocol::Tlvs::default().authority(), None);
    /// ```
    #[must_use]
    pub fn authority(&self) -> Option<&str> {
        str::from_utf8(self.get(AUTHORITY)?).ok()
    }

    /// The ID of the connection.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(halves::proxy_protocol::Tlvs::default().unique_id(), None);
    /// ```
    #[must_use]
    pub fn unique_id(&self) -> Option<&[u8]> {
        self.get(UNIQUE_ID)
    }

    /// The name of the network namespace of the load balancer.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(halves::proxy_protocol::Tlvs::default().network_namespace(), None);
    /// ```
    #[must_use]
    pub fn network_namespace(&self) -> Option<&[u8]> {
        self.get(NETWORK_NAMESPACE)
    }

    /// The facts about the client's TLS. `None` if the client did not connect over TLS.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(halves::proxy_protocol::Tlvs::default().tls(), None);
    /// ```
    #[must_use]
    pub fn tls(&self) -> Option<Tls<'_>> {
        Tls::parse(self.get(TLS)?)
    }
}

/// Fails unless the bytes are complete TLVs and nothing else.
pub(super) fn check(bytes: &[u8]) -> Result<(), HeaderError> {
    let used = fields(bytes).map(|tlv| tlv.encoded_bytes()).sum::<usize>();
    if used == bytes.len() {
        return Ok(());
    }
    Err(HeaderError::Invalid("TLV"))
}

/// Iterates over the complete TLVs in `bytes`.
pub(super) fn fields(mut bytes: &[u8]) -> impl Iterator<Item = Tlv<'_>> {
    std::iter::from_fn(move || {
        let (&[kind, high, low], rest) = bytes.split_first_chunk()?;
        let length = usize::from(u16::from_be_bytes([high, low]));
        let (value, rest) = rest.split_at_checked(length)?;
        bytes = rest;
        Some(Tlv { kind, value })
    })
}

pub(super) fn find(bytes: &[u8], kind: u8) -> Option<&[u8]> {
    fields(bytes)
        .find(|tlv| tlv.kind == kind)
        .map(|tlv| tlv.value)
}
