//! The fields of a certificate that are used: subject, dates and names.

use std::time::Duration;

use x509_cert::der::asn1::{AnyRef, ObjectIdentifier};
use x509_cert::der::{self, Decode, ErrorKind, Reader, Tag, TagNumber, Tagged};
use x509_cert::name::Name;
use x509_cert::time::Validity;

/// The extension `subjectAltName` (RFC 5280, 4.2.1.6).
const SUBJECT_ALT_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");
/// The attribute `commonName` of a subject.
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
/// A name of DNS in `subjectAltName`.
const DNS_NAME: Tag = Tag::ContextSpecific {
    constructed: false,
    number: TagNumber::N2,
};
const EXTENSIONS: Tag = Tag::ContextSpecific {
    constructed: true,
    number: TagNumber::N3,
};

/// The fields of a certificate that are used.
///
/// Only these are decoded. A decoder of whole certificates refuses some that rustls takes, for
/// example because of a long serial number.
pub(crate) struct Fields<'a> {
    is_version_1: bool,
    subject: AnyRef<'a>,
    validity: Validity,
    extensions: Option<AnyRef<'a>>,
}

impl<'a> Fields<'a> {
    pub(crate) fn parse(certificate: &'a [u8]) -> der::Result<Self> {
        let certificate = elements(AnyRef::from_der(certificate)?)?;
        let signed = *certificate.first().ok_or(ErrorKind::Failed)?;
        let mut fields = elements(signed)?.into_iter().peekable();
        // In version 1, the version is left out.
        let is_version = |field: &AnyRef<'_>| field.tag().is_context_specific();
        let is_version_1 = fields.next_if(is_version).is_none();
        // After serial number, algorithm and issuer.
        let validity = fields.nth(3).ok_or(ErrorKind::Failed)?;
        Ok(Self {
            is_version_1,
            subject: fields.next().ok_or(ErrorKind::Failed)?,
            validity: validity.decode_as()?,
            extensions: fields.find(|field| field.tag() == EXTENSIONS),
        })
    }

    pub(crate) fn is_version_1(&self) -> bool {
        self.is_version_1
    }

    /// Returns the subject, such as `CN=Ann,O=Example` (RFC 4514).
    pub(crate) fn subject(&self) -> der::Result<String> {
        Ok(self.name()?.to_string())
    }

    /// Returns a description, with the date, unless the certificate is valid at `now`, which counts
    /// from 1970.
    pub(crate) fn check_dates(&self, now: Duration) -> Result<(), String> {
        let Validity {
            not_before,
            not_after,
        } = self.validity;
        if now > not_after.to_unix_duration() {
            return Err(format!("expired at {not_after}"));
        }
        if now < not_before.to_unix_duration() {
            return Err(format!("is not valid before {not_before}"));
        }
        Ok(())
    }

    /// Returns the names of DNS in lower case, with `*` as the first label of wildcards.
    ///
    /// Clients compare only `subjectAltName`. Without such names, the common name of the subject is
    /// taken, for clients that were made for old or private certificates.
    pub(crate) fn dns_names(&self) -> der::Result<Vec<String>> {
        let mut names = self.alternative_names()?;
        if names.is_empty() {
            names.extend(self.common_name());
        }
        Ok(names.iter().map(|name| name.to_ascii_lowercase()).collect())
    }

    fn alternative_names(&self) -> der::Result<Vec<String>> {
        let Some(extensions) = self.extensions else {
            return Ok(Vec::new());
        };
        for extension in elements(AnyRef::from_der(extensions.value())?)? {
            let parts = elements(extension)?;
            let [id, .., value] = parts[..] else {
                return Err(ErrorKind::Failed.into());
            };
            if id.decode_as::<ObjectIdentifier>()? == SUBJECT_ALT_NAME {
                let names = elements(AnyRef::from_der(value.value())?)?.into_iter();
                return Ok(names
                    .filter(|name| name.tag() == DNS_NAME)
                    .map(|name| String::from_utf8_lossy(name.value()).into_owned())
                    .collect());
            }
        }
        Ok(Vec::new())
    }

    fn common_name(&self) -> Option<String> {
        let name = self.name().ok()?;
        let mut attributes = name.0.iter().flat_map(|part| part.0.iter());
        let common = attributes.find(|attribute| attribute.oid == COMMON_NAME)?;
        String::from_utf8(common.value.value().to_vec()).ok()
    }

    fn name(&self) -> der::Result<Name> {
        self.subject.decode_as()
    }
}

/// Returns the elements of a sequence.
fn elements(sequence: AnyRef<'_>) -> der::Result<Vec<AnyRef<'_>>> {
    sequence.sequence(|reader| {
        let mut elements = Vec::new();
        while !reader.is_finished() {
            elements.push(reader.decode()?);
        }
        Ok(elements)
    })
}
