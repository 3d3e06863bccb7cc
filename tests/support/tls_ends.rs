//! The settings of both ends of TLS connections, with one version.

use std::io;
use std::sync::Arc;

use futures_lite::{AsyncRead, AsyncWrite, future};
use halves::Connection;
use halves::tls::rustls::client::Resumption;
use halves::tls::rustls::crypto::ring::default_provider;
use halves::tls::rustls::version::{TLS12, TLS13};
use halves::tls::rustls::{
    ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion,
};
use halves::tls::{Acceptor, Connector, ServerSettings, TlsConnection};
use rcgen::SignatureAlgorithm;

use super::pki::Authority;
use super::tls_peer::TlsPeer;

pub(crate) const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

/// The settings of both ends of connections.
#[derive(Clone)]
pub(crate) struct Ends {
    pub(crate) acceptor: Acceptor,
    pub(crate) connector: Connector,
}

impl Ends {
    pub(crate) fn new(version: &'static SupportedProtocolVersion) -> Self {
        Self::with_key(version, &rcgen::PKCS_ECDSA_P256_SHA256)
    }

    /// The same, with a key of this kind.
    pub(crate) fn with_key(
        version: &'static SupportedProtocolVersion,
        kind: &'static SignatureAlgorithm,
    ) -> Self {
        let authority = Authority::new("test CA");
        let server = authority.server_with_key("localhost", kind);
        let settings = ServerSettings::new().certificate_pem(&server.certificate, &server.key);
        let mut roots = RootCertStore::empty();
        let added = roots.add(authority.der().to_vec().into());
        added.expect("a certificate");
        let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[version])
            .expect("ciphers")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.enable_secret_extraction = true;
        Self {
            acceptor: settings.load().expect("good settings"),
            connector: Arc::new(config).into(),
        }
    }

    /// The same, for a client that has no session to resume.
    pub(crate) fn without_sessions(&self) -> Self {
        let mut config = ClientConfig::clone(&self.connector.config());
        config.resumption = Resumption::default();
        Self {
            acceptor: self.acceptor.clone(),
            connector: Arc::new(config).into(),
        }
    }

    /// A client with the buffered connection of rustls, before its handshake.
    pub(crate) fn peer<R, W>(&self, beneath: Connection<R, W>) -> TlsPeer<R, W>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let name = "localhost".try_into().expect("a name");
        let session = ClientConnection::new(self.connector.config(), name);
        TlsPeer::new(session.expect("a config"), beneath)
    }

    /// Does both handshakes over the ends of a connection.
    pub(crate) async fn shake_hands<R1, W1, R2, W2>(
        &self,
        client: Connection<R1, W1>,
        server: Connection<R2, W2>,
    ) -> io::Result<(TlsConnection<R1, W1>, TlsConnection<R2, W2>)>
    where
        R1: AsyncRead + Send + Unpin + 'static,
        W1: AsyncWrite + Send + Unpin + 'static,
        R2: AsyncRead + Send + Unpin + 'static,
        W2: AsyncWrite + Send + Unpin + 'static,
    {
        let client = self.connector.handshake(client, "localhost");
        future::try_zip(client, self.acceptor.accept(server)).await
    }
}
