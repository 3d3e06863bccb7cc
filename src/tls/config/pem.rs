//! PEM text, from a file or from memory.

use std::borrow::Cow;
use std::fmt;
use std::fs::{self, File};
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

use rustls_pki_types::pem::{Error as PemError, PemObject, SectionKind};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::escape::OneLine;

use super::LoadError;

/// A certificate has a few KiB, and a bundle of all public CAs a few hundred.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// The place of PEM text. A file is read again at each load.
#[derive(Clone)]
pub(super) enum Source {
    File(PathBuf),
    /// A name for errors, and the text.
    Memory(&'static str, Arc<[u8]>),
}

/// The parts of PEM text that are used.
pub(super) struct Pem {
    pub(super) certificates: Vec<CertificateDer<'static>>,
    pub(super) keys: Vec<PrivateKeyDer<'static>>,
    pub(super) has_encrypted_key: bool,
    is_der: bool,
}

impl Source {
    /// Reads and parses the text. Blocks.
    pub(super) fn load(&self) -> Result<Pem, LoadError> {
        let text = self.read()?;
        Pem::parse(&text).map_err(|problem| LoadError::at(self, problem))
    }

    fn read(&self) -> Result<Cow<'_, [u8]>, LoadError> {
        let file = match self {
            Self::File(file) => file,
            Self::Memory(_, text) => return Ok(Cow::Borrowed(text)),
        };
        let failed = |problem: std::io::Error| LoadError::at(self, problem);
        // A pipe can be read only once, and its open may block for ever.
        if !fs::metadata(file).map_err(failed)?.is_file() {
            return Err(LoadError::at(self, "not a regular file"));
        }
        let mut text = Vec::new();
        let opened = File::open(file).map_err(failed)?;
        let read = opened.take(MAX_FILE_BYTES + 1).read_to_end(&mut text);
        if read.map_err(failed)? as u64 > MAX_FILE_BYTES {
            return Err(LoadError::at(self, "longer than 1 MiB"));
        }
        Ok(Cow::Owned(text))
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", OneLine(path.display())),
            Self::Memory(name, _) => f.write_str(name),
        }
    }
}

/// Without the text, which may be a private key.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.fmt(f),
            Self::Memory(name, _) => f.write_str(name),
        }
    }
}

impl Pem {
    fn parse(text: &[u8]) -> Result<Self, String> {
        let mut pem = Self {
            certificates: Vec::new(),
            keys: Vec::new(),
            has_encrypted_key: is_encrypted(text),
            // The first byte of each certificate and key.
            is_der: text.first() == Some(&0x30),
        };
        for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(text) {
            let (kind, der) = match section {
                Ok(section) => section,
                // The old form of encryption has headers, which are not base64.
                Err(PemError::Base64Decode(_)) if pem.has_encrypted_key => continue,
                Err(problem) => return Err(describe(&problem)),
            };
            match kind {
                SectionKind::Certificate => pem.certificates.push(der.into()),
                _ => pem.keys.extend(PrivateKeyDer::from_pem(kind, der)),
            }
        }
        Ok(pem)
    }

    /// Describes text that has no certificate.
    pub(super) fn without_certificate(&self) -> &'static str {
        if self.is_der {
            "no certificate found; the text seems to be DER, and PEM is needed"
        } else if !self.keys.is_empty() || self.has_encrypted_key {
            "a private key, and no certificate"
        } else {
            "no certificate found"
        }
    }

    /// Describes text that has no usable private key.
    pub(super) fn without_key(&self) -> &'static str {
        if self.is_der {
            "no private key found; the text seems to be DER, and PEM is needed"
        } else if self.has_encrypted_key {
            "the private key is encrypted; decrypt it with 'openssl pkey'"
        } else if !self.certificates.is_empty() {
            "a certificate, and no private key"
        } else {
            "no private key found"
        }
    }
}

fn is_encrypted(text: &[u8]) -> bool {
    let mut lines = text.split(|&byte| byte == b'\n');
    lines.any(|line| {
        line.starts_with(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
            || line.starts_with(b"Proc-Type: 4,ENCRYPTED")
    })
}

fn describe(problem: &PemError) -> String {
    match problem {
        PemError::MissingSectionEnd { end_marker } => format!(
            "bad PEM: no line '-----END {}-----'",
            end_marker.escape_ascii()
        ),
        PemError::IllegalSectionStart { .. } => {
            "bad PEM: a line with BEGIN does not end in '-----'".to_owned()
        }
        PemError::Base64Decode(_) => "bad PEM: invalid base64".to_owned(),
        other => format!("bad PEM: {other}"),
    }
}
