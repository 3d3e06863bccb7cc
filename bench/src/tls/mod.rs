//! The certificate of the servers, and the client of the rows with TLS.

mod client;
#[cfg(test)]
pub mod testing;

pub use client::{Client, TlsStream};

use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Makes a P-256 key and its certificate, in files of `folder`.
pub fn create_identity(folder: &Path) -> io::Result<()> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(io::Error::other)?;
    let params = CertificateParams::new([SERVER_NAME.into()]).map_err(io::Error::other)?;
    let certificate = params.self_signed(&key).map_err(io::Error::other)?;
    fs::write(certificate_path(folder), certificate.pem())?;
    fs::write(key_path(folder), key.serialize_pem())
}

/// Returns the value of `{cert}`.
pub fn certificate_path(folder: &Path) -> PathBuf {
    folder.join("cert.pem")
}

/// Returns the value of `{key}`.
pub fn key_path(folder: &Path) -> PathBuf {
    folder.join("key.pem")
}

/// Returns the default settings of rustls with one certificate, for a peer.
pub fn server_config(certificate: &Path, key: &Path) -> io::Result<Arc<ServerConfig>> {
    let key = PrivateKeyDer::from_pem_file(key).map_err(io::Error::other)?;
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![load(certificate)?], key);
    config.map(Arc::new).map_err(io::Error::other)
}

fn load(certificate: &Path) -> io::Result<CertificateDer<'static>> {
    CertificateDer::from_pem_file(certificate).map_err(io::Error::other)
}

/// The name in the certificate.
const SERVER_NAME: &str = "localhost";
