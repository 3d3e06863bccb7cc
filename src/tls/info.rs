//! `Info`: the facts that a handshake established.

use std::fmt::{self, Write};
use std::sync::Arc;

use ring::digest::{SHA256, digest};
use rustls::{CipherSuite, CommonState, HandshakeKind, ProtocolVersion};

use super::Version;
use super::config::Fields;
use crate::connection::Peer;

/// The facts that a TLS handshake established: version, cipher suite, names and certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    server_name: Option<Box<str>>,
    alpn: Option<Box<[u8]>>,
    peer_certificate: Option<PeerCertificate>,
    cipher_suite: CipherSuite,
    version: Version,
    is_resumed: bool,
}

/// The certificate of the peer.
///
/// The handshake verified it, unless the client has
/// [`danger_no_verification`](super::ClientSettings::danger_no_verification). After a resumed
/// session, it is the certificate that was verified when the session began.
#[derive(Clone, PartialEq, Eq)]
pub struct PeerCertificate {
    der: Box<[u8]>,
}

impl Info {
    /// Reads the facts from a session after its handshake.
    pub(super) fn of(session: &CommonState, server_name: Option<Box<str>>) -> Self {
        let certificates = session.peer_certificates();
        let suite = session.negotiated_cipher_suite();
        Self {
            server_name,
            alpn: session.alpn_protocol().map(Box::from),
            peer_certificate: certificates.and_then(<[_]>::first).map(|certificate| {
                PeerCertificate {
                    der: Box::from(&**certificate),
                }
            }),
            cipher_suite: suite.map_or(CipherSuite::Unknown(0), |suite| suite.suite()),
            version: match session.protocol_version() {
                Some(ProtocolVersion::TLSv1_3) => Version::Tls13,
                _ => Version::Tls12,
            },
            is_resumed: session.handshake_kind() == Some(HandshakeKind::Resumed),
        }
    }

    /// Returns the version of TLS.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// Returns the name of the cipher suite in the registry of IANA, such as
    /// `TLS_AES_256_GCM_SHA384`.
    #[must_use]
    pub fn cipher_suite(&self) -> &'static str {
        match self.cipher_suite {
            // rustls marks the suites of TLS 1.3, the registry does not.
            CipherSuite::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
            CipherSuite::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
            CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
            suite => suite.as_str().unwrap_or("unknown"),
        }
    }

    /// Returns the name that the client asked for (SNI). A server gets it in lower case.
    #[must_use]
    pub fn server_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }

    /// Returns the application protocol (ALPN) that both ends agreed on.
    #[must_use]
    pub fn alpn(&self) -> Option<&[u8]> {
        self.alpn.as_deref()
    }

    /// Returns true if the client resumed an earlier session.
    #[must_use]
    pub fn is_resumed(&self) -> bool {
        self.is_resumed
    }

    /// Returns the certificate of the peer. `None` for clients without one.
    #[must_use]
    pub fn peer_certificate(&self) -> Option<&PeerCertificate> {
        self.peer_certificate.as_ref()
    }
}

impl Peer {
    /// Returns what the TLS handshake of this connection has found. `None` without TLS, and before
    /// the handshake is complete.
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(halves::Peer::default().tls().is_none());
    /// ```
    #[must_use]
    pub fn tls(&self) -> Option<Arc<Info>> {
        self.extension()
    }
}

impl PeerCertificate {
    /// Returns the subject in the form of RFC 4514, such as `CN=Ann,O=Example`, the most specific
    /// part first. `None` if it is malformed.
    ///
    /// The subject is parsed at each call.
    #[must_use]
    pub fn subject(&self) -> Option<String> {
        Fields::parse(&self.der).ok()?.subject().ok()
    }

    /// Returns the SHA-256 digest of the certificate, as 64 lower-case hexadecimal digits.
    ///
    /// The digest is computed at each call.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let mut text = String::with_capacity(64);
        for byte in digest(&SHA256, &self.der).as_ref() {
            let _ = write!(text, "{byte:02x}");
        }
        text
    }

    /// Returns the certificate in DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }
}

impl fmt::Debug for PeerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut certificate = f.debug_struct("PeerCertificate");
        certificate.field("subject", &self.subject());
        certificate.finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_the_digest_of_all_bytes() {
        let certificate = PeerCertificate {
            der: Box::from(&b"abc"[..]),
        };
        // FIPS 180-2, appendix B.1.
        assert_eq!(
            certificate.fingerprint(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(certificate.subject(), None);
    }
}
