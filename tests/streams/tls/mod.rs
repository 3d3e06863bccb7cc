//! TLS as a layer on streams of every kind.

mod answers;
mod check;
mod conforming;
mod dropped;
mod duplex;
mod ends;
mod failing;
mod kept;
mod served;

use std::io;
use std::sync::Arc;

use futures_lite::{AsyncRead, AsyncWrite, future};
use halves::Connection;
use halves::listener::memory::{self, PipeReader, PipeWriter};
use halves::tls::rustls::crypto::ring::default_provider;
use halves::tls::rustls::version::{TLS12, TLS13};
use halves::tls::rustls::{
    ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion,
};
use halves::tls::{Acceptor, Connector, ServerSettings, TlsConnection};

use crate::support::forger;
use crate::support::pki::Authority;
use crate::support::tls_peer::{self, TlsPeer};

pub(crate) const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

pub(crate) type Client = TlsPeer<PipeReader, PipeWriter>;
pub(crate) type Served = TlsConnection<PipeReader, PipeWriter>;

/// The settings of both ends of connections.
pub(crate) struct Ends {
    acceptor: Acceptor,
    connector: Connector,
}

impl Ends {
    pub(crate) fn new(version: &'static SupportedProtocolVersion) -> Self {
        let authority = Authority::new("test CA");
        let server = authority.server(&["localhost"]);
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

    /// A client with the buffered connection of rustls, and a server, over pipes of `bound` bytes.
    pub(crate) async fn with_client(&self, bound: usize) -> io::Result<(Client, Served)> {
        let (near, far) = memory::pair(bound);
        let name = "localhost".try_into().expect("a name");
        let session = ClientConnection::new(self.connector.config(), name);
        let mut client = TlsPeer::new(session.expect("a config"), near);
        let accept = self.acceptor.accept(far);
        let ((), server) = future::try_zip(client.shake_hands(), accept).await?;
        Ok((client, server))
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
