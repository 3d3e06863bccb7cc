//! `ServerSettings`: the settings of a TLS server.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring::Ticketer;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, ProducesTickets, WebPkiClientVerifier};

use super::options::check_alpn;
use super::pair::PairSource;
use super::pem::Source;
use super::resolver::{ByName, Recorder};
use super::{Acceptor, ClientAuth, LoadError, Version, provider, roots};

/// The settings of a TLS server: certificates, the check of clients, protocols and versions.
///
/// A client that asks for a name (SNI) gets the certificate with exactly this name, else the one
/// with a wildcard for its first label (`*.example.org` is for `www.example.org`, but not for
/// `a.b.example.org`), else the first. A client that asks for no name gets the first.
///
/// # Examples
///
/// ```no_run
/// use halves::tls::{ClientAuth, ServerSettings};
///
/// let acceptor = ServerSettings::new()
///     .certificate("example.org.pem", "example.org.key")
///     .certificate("example.net.pem", "example.net.key")
///     .client_ca("clients.pem")
///     .client_auth(ClientAuth::Optional)
///     .alpn(["h2", "http/1.1"])
///     .load()?;
/// # Ok::<(), halves::tls::LoadError>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct ServerSettings {
    pairs: Vec<PairSource>,
    client_cas: Vec<Source>,
    client_auth: Option<ClientAuth>,
    alpn: Vec<Vec<u8>>,
    min_version: Version,
}

impl ServerSettings {
    /// Makes settings without a certificate. At least one is needed.
    ///
    /// # Examples
    ///
    /// ```
    /// let error = halves::tls::ServerSettings::new().load().unwrap_err();
    /// assert_eq!(error.to_string(), "a TLS server needs a certificate and its private key");
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a certificate chain with its private key, both PEM files of at most 1 MiB.
    ///
    /// The chain begins with the server's own certificate. One file may hold both chain and key.
    /// Keys are RSA of 2048 to 4096 bits, ECDSA with P-256 or P-384, or Ed25519, not encrypted.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::tls::ServerSettings;
    ///
    /// let settings = ServerSettings::new().certificate("/nosuch.pem", "/nosuch.key");
    /// assert!(settings.load().unwrap_err().to_string().starts_with("/nosuch.pem: "));
    /// ```
    pub fn certificate(mut self, chain: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.pairs.push(PairSource {
            certificate: Source::File(chain.into()),
            key: Source::File(key.into()),
        });
        self
    }

    /// Adds a certificate chain with its private key, both as PEM text. A reload keeps them.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::tls::ServerSettings;
    ///
    /// let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    /// let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    /// let acceptor = ServerSettings::new().certificate_pem(chain, key).load()?;
    /// # Ok::<(), halves::tls::LoadError>(())
    /// ```
    pub fn certificate_pem(mut self, chain: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Self {
        self.pairs.push(PairSource {
            certificate: Source::Memory("certificate in memory", chain.as_ref().into()),
            key: Source::Memory("key in memory", key.as_ref().into()),
        });
        self
    }

    /// Asks clients for a certificate, issued by a CA in this PEM file of at most 1 MiB. It is
    /// required, unless [`client_auth`](Self::client_auth) makes it optional.
    ///
    /// Several calls add up.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use halves::tls::ServerSettings;
    ///
    /// let settings = ServerSettings::new()
    ///     .certificate("server.pem", "server.key")
    ///     .client_ca("clients.pem");
    /// let acceptor = settings.load()?;
    /// # Ok::<(), halves::tls::LoadError>(())
    /// ```
    pub fn client_ca(mut self, file: impl Into<PathBuf>) -> Self {
        self.client_cas.push(Source::File(file.into()));
        self
    }

    /// Does the same as [`client_ca`](Self::client_ca), with PEM text.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::tls::ServerSettings;
    ///
    /// let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    /// let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    /// let settings = ServerSettings::new().certificate_pem(&chain, key);
    /// let acceptor = settings.client_ca_pem(&chain).load()?;
    /// # Ok::<(), halves::tls::LoadError>(())
    /// ```
    pub fn client_ca_pem(mut self, text: impl AsRef<[u8]>) -> Self {
        let source = Source::Memory("CA in memory", text.as_ref().into());
        self.client_cas.push(source);
        self
    }

    /// Sets whether clients must have a certificate. Without a CA for clients, [`load`](Self::load)
    /// returns an error.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::tls::{ClientAuth, ServerSettings};
    ///
    /// # let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    /// # let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    /// let settings = ServerSettings::new().certificate_pem(chain, key);
    /// let error = settings.client_auth(ClientAuth::Optional).load().unwrap_err();
    /// assert!(error.to_string().ends_with("no CA for clients is set"));
    /// ```
    pub fn client_auth(mut self, client_auth: ClientAuth) -> Self {
        self.client_auth = Some(client_auth);
        self
    }

    /// Sets the application protocols (ALPN), in order of preference.
    ///
    /// If a client offers protocols and none of them is in the list, its handshake fails. A client
    /// that offers none is served. Without a list, offers are ignored.
    ///
    /// # Examples
    ///
    /// ```
    /// # let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    /// # let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    /// # let settings = halves::tls::ServerSettings::new().certificate_pem(chain, key);
    /// let acceptor = settings.alpn(["h2", "http/1.1"]).load()?;
    /// assert_eq!(acceptor.config().alpn_protocols, [&b"h2"[..], b"http/1.1"]);
    /// # Ok::<(), halves::tls::LoadError>(())
    /// ```
    pub fn alpn<P: Into<Vec<u8>>>(mut self, protocols: impl IntoIterator<Item = P>) -> Self {
        self.alpn = protocols.into_iter().map(P::into).collect();
        self
    }

    /// Sets the oldest version that clients may use. The default is TLS 1.2.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::tls::{ServerSettings, Version};
    ///
    /// let settings = ServerSettings::new().min_version(Version::Tls13);
    /// ```
    pub fn min_version(mut self, version: Version) -> Self {
        self.min_version = version;
        self
    }

    /// Reads and checks all files. Blocks: not for a task of an executor, unless it is at the
    /// start.
    ///
    /// # Errors
    ///
    /// If a file cannot be read, is no PEM, has no certificate or key, or is encrypted; if the key
    /// is not that of the certificate; if the certificate has expired or is not valid yet; if no
    /// certificate is set; if a protocol is empty or longer than 255 bytes.
    pub fn load(self) -> Result<Acceptor, LoadError> {
        Acceptor::load(self)
    }

    /// Returns true if clients are asked for a certificate.
    pub(super) fn asks_for_certificates(&self) -> bool {
        !self.client_cas.is_empty()
    }

    /// Reads all files. Without a ticketer, a new one is made.
    pub(super) fn config(
        &self,
        ticketer: Option<Arc<dyn ProducesTickets>>,
    ) -> Result<ServerConfig, LoadError> {
        check_alpn(&self.alpn)?;
        let provider = provider();
        let pairs = self.pairs.iter().map(|pair| pair.load(&provider));
        let by_name = ByName::new(&pairs.collect::<Result<Vec<_>, _>>()?).ok_or_else(|| {
            LoadError::settings("a TLS server needs a certificate and its private key")
        })?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(self.min_version.and_later())
            .map_err(LoadError::settings)?
            .with_client_cert_verifier(self.verifier()?)
            .with_cert_resolver(Arc::new(Recorder(Arc::new(by_name))));
        config.alpn_protocols.clone_from(&self.alpn);
        config.ticketer = match ticketer {
            Some(ticketer) => ticketer,
            None => Ticketer::new().map_err(LoadError::settings)?,
        };
        // Clients keep their sessions themselves, as tickets. A store would only be for clients of
        // TLS 1.2 that take none.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(config)
    }

    fn verifier(&self) -> Result<Arc<dyn ClientCertVerifier>, LoadError> {
        if !self.asks_for_certificates() {
            // Otherwise a forgotten CA would let every client in.
            return match self.client_auth {
                None => Ok(WebPkiClientVerifier::no_client_auth()),
                Some(_) => Err(LoadError::settings(
                    "client certificates are asked for, but no CA for clients is set",
                )),
            };
        }
        let roots = roots::load(&self.client_cas)?;
        let builder = WebPkiClientVerifier::builder_with_provider(roots, provider());
        let builder = match self.client_auth.unwrap_or_default() {
            ClientAuth::Required => builder,
            ClientAuth::Optional => builder.allow_unauthenticated(),
        };
        builder.build().map_err(LoadError::settings)
    }
}
