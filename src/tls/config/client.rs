//! `ClientSettings`: the settings of a TLS client.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::sign::SingleCertAndKey;
use rustls::{DigitallySignedStruct, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::options::check_alpn;
use super::pair::PairSource;
use super::pem::Source;
use super::{Connector, LoadError, Version, provider, roots};

/// The settings of a TLS client: trusted CAs, its own certificate, protocols and versions.
///
/// By default a server needs a certificate for the name that the client connects to, issued by a CA
/// of the system.
///
/// # Examples
///
/// ```no_run
/// use halves::tls::ClientSettings;
///
/// let connector = ClientSettings::new()
///     .ca("internal-ca.pem")
///     .certificate("client.pem", "client.key")
///     .server_name("db.internal")
///     .load()?;
/// # Ok::<(), halves::tls::LoadError>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct ClientSettings {
    cas: Vec<Source>,
    pair: Option<PairSource>,
    alpn: Vec<Vec<u8>>,
    min_version: Version,
    server_name: Option<String>,
    is_unverified: bool,
}

impl ClientSettings {
    /// Makes settings that trust the CAs of the system.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// let connector = halves::tls::ClientSettings::new().load()?;
    /// # Ok::<(), halves::tls::LoadError>(())
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts the CAs in this PEM file of at most 1 MiB, and not those of the system.
    ///
    /// Several calls add up.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::tls::ClientSettings;
    ///
    /// let error = ClientSettings::new().ca("/nosuch.pem").load().unwrap_err();
    /// assert!(error.to_string().starts_with("/nosuch.pem: "));
    /// ```
    pub fn ca(mut self, file: impl Into<PathBuf>) -> Self {
        self.cas.push(Source::File(file.into()));
        self
    }

    /// Does the same as [`ca`](Self::ca), with PEM text.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::tls::ClientSettings;
    ///
    /// let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    /// let connector = ClientSettings::new().ca_pem(made.cert.pem()).load()?;
    /// # Ok::<(), halves::tls::LoadError>(())
    /// ```
    pub fn ca_pem(mut self, text: impl AsRef<[u8]>) -> Self {
        let source = Source::Memory("CA in memory", text.as_ref().into());
        self.cas.push(source);
        self
    }

    /// Sets the certificate chain of the client, for servers that ask for one, and its private key:
    /// PEM files of at most 1 MiB.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use halves::tls::ClientSettings;
    ///
    /// let connector = ClientSettings::new().certificate("client.pem", "client.key").load()?;
    /// # Ok::<(), halves::tls::LoadError>(())
    /// ```
    pub fn certificate(mut self, chain: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.pair = Some(PairSource {
            certificate: Source::File(chain.into()),
            key: Source::File(key.into()),
        });
        self
    }

    /// Does the same as [`certificate`](Self::certificate), with PEM text.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::tls::ClientSettings;
    ///
    /// let made = rcgen::generate_simple_self_signed(["ann".to_owned()]).unwrap();
    /// let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    /// let settings = ClientSettings::new().ca_pem(&chain).certificate_pem(&chain, key);
    /// let connector = settings.load()?;
    /// # Ok::<(), halves::tls::LoadError>(())
    /// ```
    pub fn certificate_pem(mut self, chain: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Self {
        self.pair = Some(PairSource {
            certificate: Source::Memory("certificate in memory", chain.as_ref().into()),
            key: Source::Memory("key in memory", key.as_ref().into()),
        });
        self
    }

    /// Sets the application protocols (ALPN) that are offered, in order of preference. Servers
    /// without ALPN ignore the offer.
    ///
    /// # Examples
    ///
    /// ```
    /// let settings = halves::tls::ClientSettings::new().alpn(["h2", "http/1.1"]);
    /// ```
    pub fn alpn<P: Into<Vec<u8>>>(mut self, protocols: impl IntoIterator<Item = P>) -> Self {
        self.alpn = protocols.into_iter().map(P::into).collect();
        self
    }

    /// Sets the oldest version that the server may use. The default is TLS 1.2.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::tls::{ClientSettings, Version};
    ///
    /// let settings = ClientSettings::new().min_version(Version::Tls13);
    /// ```
    pub fn min_version(mut self, version: Version) -> Self {
        self.min_version = version;
        self
    }

    /// Sets the name that the server is asked for (SNI), and that its certificate must be for: a
    /// name of DNS or an IP address. The default is the host that the client connects to.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::tls::ClientSettings;
    ///
    /// # let made = rcgen::generate_simple_self_signed(["ann".to_owned()]).unwrap();
    /// # let settings = ClientSettings::new().ca_pem(made.cert.pem());
    /// let connector = settings.server_name("db.internal").load()?;
    /// assert_eq!(connector.server_name().unwrap().to_str(), "db.internal");
    /// # Ok::<(), halves::tls::LoadError>(())
    /// ```
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// Takes any certificate of a server: **anyone on the way can read and change the data**.
    ///
    /// For tests only. With [`ca`](Self::ca), a private CA is verified.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::tls::ClientSettings;
    ///
    /// let connector = ClientSettings::new().danger_no_verification().load()?;
    /// # Ok::<(), halves::tls::LoadError>(())
    /// ```
    pub fn danger_no_verification(mut self) -> Self {
        self.is_unverified = true;
        self
    }

    /// Reads and checks all files, and the CAs of the system if they are needed. Blocks: not for a
    /// task of an executor, unless it is at the start.
    ///
    /// # Errors
    ///
    /// For the same reasons as [`ServerSettings::load`](super::ServerSettings::load); if the system
    /// has no CAs; if the server name is neither a name of DNS nor an IP address.
    pub fn load(self) -> Result<Connector, LoadError> {
        check_alpn(&self.alpn)?;
        let server_name = self.server_name.as_ref().map(|name| {
            ServerName::try_from(name.clone()).map_err(|problem| {
                LoadError::settings(format!("bad server name '{name}': {problem}"))
            })
        });
        let provider = provider();
        let pair = self.pair.as_ref().map(|pair| pair.load(&provider));
        let pair = pair.transpose()?;
        let verifier = self.verifier(&provider)?;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(self.min_version.and_later())
            .map_err(LoadError::settings)?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match pair {
            Some(pair) => {
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(pair.key)))
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = self.alpn;
        Ok(Connector::with_name(config, server_name.transpose()?))
    }

    fn verifier(
        &self,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ServerCertVerifier>, LoadError> {
        if self.is_unverified {
            return Ok(Arc::new(Unverified(
                provider.signature_verification_algorithms,
            )));
        }
        let roots = match &self.cas[..] {
            [] => roots::system()?,
            cas => roots::load(cas)?,
        };
        let builder = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(provider));
        Ok(builder.build().map_err(LoadError::settings)?)
    }
}

/// Takes any certificate. The server must still have its private key.
#[derive(Debug)]
struct Unverified(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
