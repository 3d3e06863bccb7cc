//! `certificate_error`: distinguishes rejected certificates from other errors of TLS.

use std::error::Error as StdError;
use std::io;

use rustls::{CertificateError, Error};

/// Returns the reason for which the certificate of the peer is rejected, if that is the cause of an
/// error. Returns `None` for any other error.
///
/// # Examples
///
/// ```
/// use halves::tls::rustls::CertificateError;
/// use halves::tls::{Connector, certificate_error};
/// use std::io;
///
/// async fn is_reachable(connector: &Connector, address: &str) -> io::Result<bool> {
///     match connector.connect(address).await {
///         Ok(_) => Ok(true),
///         Err(error) => match certificate_error(&error) {
///             Some(CertificateError::UnknownIssuer) => Ok(true),
///             Some(_) => Err(error),
///             None => Ok(false),
///         },
///     }
/// }
/// ```
#[must_use]
pub fn certificate_error(error: &io::Error) -> Option<&CertificateError> {
    let mut cause: &(dyn StdError + 'static) = error.get_ref()?;
    loop {
        if let Some(Error::InvalidCertificate(reason)) = cause.downcast_ref() {
            return Some(reason);
        }
        cause = cause.source()?;
    }
}
