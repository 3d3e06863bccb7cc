//! A certificate chain with its private key.

use std::sync::Arc;

use rustls::Error;
use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::time::unix_time;

use super::LoadError;
use super::pem::{Pem, Source};
use super::x509::Fields;

/// The places of a certificate chain and of its private key.
#[derive(Clone, Debug)]
pub(super) struct PairSource {
    pub(super) certificate: Source,
    pub(super) key: Source,
}

/// A certificate chain with its private key, and the names in the first certificate.
pub(super) struct Pair {
    pub(super) key: Arc<CertifiedKey>,
    pub(super) names: Vec<String>,
}

impl PairSource {
    /// Reads and checks both. Blocks.
    pub(super) fn load(&self, provider: &CryptoProvider) -> Result<Pair, LoadError> {
        let pem = self.certificate.load()?;
        if pem.certificates.is_empty() {
            return Err(self.without_certificate(&pem));
        }
        let names = self.check(&pem.certificates[0])?;
        let key = self.key(&self.key.load()?)?;
        let Ok(key) = provider.key_provider.load_private_key(key) else {
            let problem = "the private key is damaged or of an unsupported kind; supported are \
                           RSA of 2048 to 4096 bits, ECDSA with P-256 or P-384, and Ed25519";
            return Err(LoadError::at(&self.key, problem));
        };
        let key = CertifiedKey::new(pem.certificates, key);
        match key.keys_match() {
            Ok(()) => {}
            Err(Error::InconsistentKeys(_)) => return Err(self.mismatch(key)),
            Err(problem) => return Err(LoadError::at(&self.certificate, problem)),
        }
        Ok(Pair {
            key: Arc::new(key),
            names,
        })
    }

    /// Checks the first certificate, and returns its names.
    fn check(&self, certificate: &CertificateDer<'_>) -> Result<Vec<String>, LoadError> {
        let at = |problem: String| LoadError::at(&self.certificate, problem);
        let damaged = |problem| at(format!("the certificate is damaged: {problem}"));
        let fields = Fields::parse(certificate).map_err(damaged)?;
        if fields.is_version_1() {
            let problem = "the certificate has X.509 version 1, which is refused by clients; make \
                           one of version 3, with the extension subjectAltName";
            return Err(at(problem.to_owned()));
        }
        let checked = fields.check_dates(unix_time());
        checked.map_err(|problem| at(format!("the certificate {problem}")))?;
        fields.dns_names().map_err(damaged)
    }

    /// Takes the one key of the text.
    fn key(&self, pem: &Pem) -> Result<PrivateKeyDer<'static>, LoadError> {
        match &pem.keys[..] {
            // With a second key, which is encrypted, the choice would be a guess.
            [key] if !pem.has_encrypted_key => Ok(key.clone_key()),
            [] | [_] => Err(LoadError::at(&self.key, pem.without_key())),
            keys => {
                let problem = format!("{} private keys found; expected one", keys.len());
                Err(LoadError::at(&self.key, problem))
            }
        }
    }

    fn without_certificate(&self, pem: &Pem) -> LoadError {
        let has_key = !pem.keys.is_empty() || pem.has_encrypted_key;
        let is_swapped = |other: Pem| !other.certificates.is_empty() && other.keys.is_empty();
        if has_key && self.key.load().is_ok_and(is_swapped) {
            let problem = format!(
                "a private key, and {} is a certificate: they are swapped",
                self.key
            );
            return LoadError::at(&self.certificate, problem);
        }
        LoadError::at(&self.certificate, pem.without_certificate())
    }

    /// Describes a key that is not that of the first certificate.
    fn mismatch(&self, key: CertifiedKey) -> LoadError {
        let CertifiedKey { cert, key, .. } = key;
        let matches = |certificate: &CertificateDer<'static>| {
            let alone = CertifiedKey::new(vec![certificate.clone()], Arc::clone(&key));
            alone.keys_match().is_ok()
        };
        let problem = match cert.iter().position(matches) {
            Some(n) => format!(
                "the private key matches certificate {} of {}, which must be the first",
                n + 1,
                self.certificate
            ),
            None => format!("the private key does not match {}", self.certificate),
        };
        LoadError::at(&self.key, problem)
    }
}
