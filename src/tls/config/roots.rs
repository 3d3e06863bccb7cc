//! The certificates of CAs that peers are checked against.

use std::sync::{Arc, OnceLock};

use rustls::RootCertStore;

use crate::time::unix_time;

use super::LoadError;
use super::pem::Source;
use super::x509::Fields;

/// Reads the CAs of files. Blocks.
pub(super) fn load(sources: &[Source]) -> Result<Arc<RootCertStore>, LoadError> {
    let mut roots = RootCertStore::empty();
    for source in sources {
        let pem = source.load()?;
        if pem.certificates.is_empty() {
            return Err(LoadError::at(source, pem.without_certificate()));
        }
        let mut outdated = Vec::new();
        for (n, certificate) in pem.certificates.iter().enumerate() {
            if let Err(problem) = roots.add(certificate.clone()) {
                let problem = format!("certificate {} is damaged: {problem}", n + 1);
                return Err(LoadError::at(source, problem));
            }
            let dates = Fields::parse(certificate).map(|fields| fields.check_dates(unix_time()));
            outdated.extend(dates.ok().and_then(Result::err));
        }
        // A bundle may keep an old CA beside its successor.
        if outdated.len() == pem.certificates.len() {
            let problem = match &outdated[..] {
                [one] => format!("the certificate {one}"),
                all => format!("no certificate is valid now: the first {}", all[0]),
            };
            return Err(LoadError::at(source, problem));
        }
    }
    Ok(Arc::new(roots))
}

/// Returns the CAs of the system. The first successful call reads them, which takes tens of
/// milliseconds.
pub(super) fn system() -> Result<Arc<RootCertStore>, LoadError> {
    static SYSTEM: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    if let Some(roots) = SYSTEM.get() {
        return Ok(Arc::clone(roots));
    }
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // A system has hundreds of CAs. One that cannot be parsed does not matter to most peers.
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let reason = found.errors.first().map(|error| format!(" ({error})"));
        return Err(LoadError::settings(format_args!(
            "the system has no CA certificates{}: install them, or name a file with CAs",
            reason.unwrap_or_default()
        )));
    }
    Ok(Arc::clone(SYSTEM.get_or_init(|| Arc::new(roots))))
}
