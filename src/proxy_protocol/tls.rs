//! The facts about a client's TLS, which one of the TLVs holds.

use std::str;

use super::HeaderError;
use super::tlv::{check, find};

const TLS_VERSION: u8 = 0x21;
const TLS_COMMON_NAME: u8 = 0x22;
const TLS_CIPHER: u8 = 0x23;

/// The client connected over TLS.
const CLIENT_TLS: u8 = 0x01;
/// The client presented a certificate over this connection.
const CLIENT_CERTIFICATE: u8 = 0x02;
/// The client presented a certificate over this TLS session.
const CLIENT_SESSION_CERTIFICATE: u8 = 0x04;

/// The facts about TLS between the client and the load balancer, from [`Tlvs::tls`](super::Tlvs::tls).
///
/// # Examples
///
/// ```
/// # use halves::proxy_protocol::Tlvs;
/// let without_tls = Tlvs::default().with(0x20, &[0; 5])?;
/// assert!(without_tls.tls().is_none());
/// # Ok::<(), halves::proxy_protocol::HeaderError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tls<'a> {
    client: u8,
    verify: u32,
    fields: &'a [u8],
}

impl<'a> Tls<'a> {
    /// Fails unless the value of the TLV is complete.
    pub(super) fn check(value: &[u8]) -> Result<(), HeaderError> {
        let fields = value.get(5..).ok_or(HeaderError::Invalid("TLS facts"))?;
        check(fields)
    }

    /// Takes the value of the TLV. Returns `None` if the client did not use TLS.
    pub(super) fn parse(value: &'a [u8]) -> Option<Self> {
        let (&client, rest) = value.split_first()?;
        let (verify, fields) = rest.split_first_chunk()?;
        let verify = u32::from_be_bytes(*verify);
        (client & CLIENT_TLS != 0).then_some(Self {
            client,
            verify,
            fields,
        })
    }

    /// The version of TLS, such as `TLSv1.3`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use halves::proxy_protocol::Tlvs;
    /// let tlvs = Tlvs::default().with(0x20, b"\x01\0\0\0\0\x21\0\x07TLSv1.3")?;
    /// let tls = tlvs.tls().expect("the client used TLS");
    /// assert_eq!(tls.version(), Some("TLSv1.3"));
    /// # Ok::<(), halves::proxy_protocol::HeaderError>(())
    /// ```
    #[must_use]
    pub fn version(&self) -> Option<&'a str> {
        self.text(TLS_VERSION)
    }

    /// The name of the cipher suite.
    ///
    /// # Examples
    ///
    /// ```
    /// # use halves::proxy_protocol::Tlvs;
    /// let tlvs = Tlvs::default().with(0x20, b"\x01\0\0\0\0\x23\0\x11ECDHE-RSA-AES-GCM")?;
    /// let tls = tlvs.tls().expect("the client used TLS");
    /// assert_eq!(tls.cipher(), Some("ECDHE-RSA-AES-GCM"));
    /// # Ok::<(), halves::proxy_protocol::HeaderError>(())
    /// ```
    #[must_use]
    pub fn cipher(&self) -> Option<&'a str> {
        self.text(TLS_CIPHER)
    }

    /// The common name of the client's certificate.
    ///
    /// # Examples
    ///
    /// ```
    /// # use halves::proxy_protocol::Tlvs;
    /// let tlvs = Tlvs::default().with(0x20, b"\x03\0\0\0\0\x22\0\x05alice")?;
    /// let tls = tlvs.tls().expect("the client used TLS");
    /// assert_eq!(tls.common_name(), Some("alice"));
    /// # Ok::<(), halves::proxy_protocol::HeaderError>(())
    /// ```
    #[must_use]
    pub fn common_name(&self) -> Option<&'a str> {
        self.text(TLS_COMMON_NAME)
    }

    /// Returns true if the client presented a certificate, in this TLS session or one that it
    /// resumed, and the load balancer has verified it.
    ///
    /// # Examples
    ///
    /// ```
    /// # use halves::proxy_protocol::Tlvs;
    /// let tlvs = Tlvs::default().with(0x20, b"\x03\0\0\0\0")?;
    /// let tls = tlvs.tls().expect("the client used TLS");
    /// assert!(tls.is_client_verified());
    /// # Ok::<(), halves::proxy_protocol::HeaderError>(())
    /// ```
    #[must_use]
    pub fn is_client_verified(&self) -> bool {
        self.client & (CLIENT_CERTIFICATE | CLIENT_SESSION_CERTIFICATE) != 0 && self.verify == 0
    }

    fn text(&self, kind: u8) -> Option<&'a str> {
        str::from_utf8(find(self.fields, kind)?).ok()
    }
}
