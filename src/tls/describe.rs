//! Errors of rustls as one line for people.

use std::fmt::{Debug, Write};

use rustls::{
    AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible as Incompatible,
};
use rustls_pki_types::UnixTime;
use x509_cert::der::DateTime;

use crate::escape::OneLine;

/// A certificate may have hundreds of names.
const MAX_NAMES: usize = 5;
/// The input that is quoted if it is not TLS.
const MAX_QUOTED_BYTES: usize = 16;

/// The first bytes of other protocols, and a name for them.
const OTHER_PROTOCOLS: &[(&[u8], &str)] = &[
    (b"GET ", "it looks like HTTP"),
    (b"HEAD ", "it looks like HTTP"),
    (b"POST ", "it looks like HTTP"),
    (b"PUT ", "it looks like HTTP"),
    (b"DELETE ", "it looks like HTTP"),
    (b"OPTIONS ", "it looks like HTTP"),
    (b"CONNECT ", "it looks like HTTP"),
    (b"PRI * HTTP/2", "it looks like HTTP"),
    (b"HTTP/", "it looks like HTTP"),
    (b"SSH-", "it looks like SSH"),
    (b"PROXY ", "it looks like a PROXY header"),
    (b"\r\n\r\n\0\r\nQUIT\n", "it looks like a PROXY header"),
];

/// Describes an error of a handshake in one line.
pub(super) fn describe(error: &Error) -> String {
    let text = match error {
        Error::InvalidCertificate(problem) => certificate(problem),
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => "not TLS".to_owned(),
        Error::InvalidMessage(problem) => format!("malformed TLS message: {}", words(problem)),
        Error::InappropriateMessage { got_type, .. } => {
            format!("unexpected TLS message: {}", words(got_type))
        }
        Error::InappropriateHandshakeMessage { got_type, .. } => {
            format!("unexpected TLS message: {}", words(got_type))
        }
        Error::NoCertificatesPresented => "peer sent no certificate".to_owned(),
        Error::PeerIncompatible(problem) => incompatible(problem),
        Error::PeerMisbehaved(problem) => format!("peer broke the protocol: {}", words(problem)),
        Error::AlertReceived(alert) => format!("alert from the peer: {}", alert_name(*alert)),
        Error::NoApplicationProtocol => "no ALPN protocol in common".to_owned(),
        Error::DecryptError => "a record cannot be decrypted".to_owned(),
        Error::PeerSentOversizedRecord => "a record is too long".to_owned(),
        other => other.to_string(),
    };
    // Names in certificates are foreign text.
    OneLine(text).to_string()
}

/// Describes an error at the beginning of a connection. `received` are the first bytes from the
/// peer: if they are no TLS, the text names the protocol or quotes them.
pub(super) fn describe_start(error: &Error, received: &[u8]) -> String {
    // A record begins with its type and the major version.
    let is_record = matches!(received, [0x14..=0x18, 3, ..] | [0x14..=0x18] | []);
    if is_record || !matches!(error, Error::InvalidMessage(_)) {
        return describe(error);
    }
    let known = OTHER_PROTOCOLS
        .iter()
        .find(|(start, _)| received.starts_with(start));
    if let Some((_, name)) = known {
        return format!("not TLS: {name}");
    }
    let quoted = &received[..received.len().min(MAX_QUOTED_BYTES)];
    format!("not TLS: it begins with '{}'", quoted.escape_ascii())
}

fn certificate(problem: &CertificateError) -> String {
    use CertificateError as E;
    match problem {
        E::NotValidForName => "certificate is for another name".to_owned(),
        E::NotValidForNameContext {
            expected,
            presented,
        } => other_names(&expected.to_str(), presented),
        E::Expired => "certificate has expired".to_owned(),
        E::ExpiredContext { not_after, .. } => {
            format!("certificate expired at {}", date(*not_after))
        }
        E::NotValidYet => "certificate is not valid yet".to_owned(),
        E::NotValidYetContext { not_before, .. } => {
            format!("certificate is not valid before {}", date(*not_before))
        }
        E::UnknownIssuer => "certificate is from an unknown issuer".to_owned(),
        E::Revoked => "certificate is revoked".to_owned(),
        E::BadEncoding => "certificate is malformed".to_owned(),
        // The usual cause is a CA that was made again.
        E::BadSignature => "a signature is wrong; another CA may have the same name".to_owned(),
        E::InvalidPurposeContext { required, .. } => format!("certificate is not for {required}"),
        E::Other(other) => match other.to_string().as_str() {
            // Those of `openssl req -x509` are.
            "CaUsedAsEndEntity" => "certificate is one of a CA, not of a server or client".into(),
            text => format!("certificate is refused: {text}"),
        },
        // The algorithms in it are bytes.
        E::UnsupportedSignatureAlgorithmContext { .. }
        | E::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "certificate is refused: unsupported signature algorithm".to_owned()
        }
        other => format!("certificate is refused: {}", words(other)),
    }
}

fn other_names(expected: &str, presented: &[String]) -> String {
    let mut text = format!("certificate is not for '{expected}'");
    for (n, name) in presented.iter().take(MAX_NAMES).enumerate() {
        let before = if n == 0 { " but for" } else { "," };
        let _ = write!(text, "{before} '{}'", bare(name));
    }
    if presented.len() > MAX_NAMES {
        let _ = write!(text, " and {} more", presented.len() - MAX_NAMES);
    }
    text
}

/// Removes the kind from a name such as `DnsName("example.org")`.
fn bare(name: &str) -> &str {
    let dns = name.strip_prefix("DnsName(\"");
    if let Some(name) = dns.and_then(|name| name.strip_suffix("\")")) {
        return name;
    }
    let ip = name.strip_prefix("IpAddress(");
    ip.and_then(|name| name.strip_suffix(')')).unwrap_or(name)
}

fn incompatible(problem: &Incompatible) -> String {
    let part = match problem {
        Incompatible::Tls12NotOffered
        | Incompatible::Tls12NotOfferedOrEnabled
        | Incompatible::SupportedVersionsExtensionRequired
        | Incompatible::ServerDoesNotSupportTls12Or13
        | Incompatible::ServerTlsVersionIsDisabledByOurConfig => "TLS version",
        Incompatible::NoCipherSuitesInCommon => "cipher suite",
        Incompatible::NoKxGroupsInCommon | Incompatible::NamedGroupsExtensionRequired => {
            "key exchange group"
        }
        Incompatible::NoSignatureSchemesInCommon
        | Incompatible::NoCertificateRequestSignatureSchemesInCommon
        | Incompatible::SignatureAlgorithmsExtensionRequired => "signature algorithm",
        other => return format!("peer is incompatible: {}", words(other)),
    };
    format!("no {part} in common")
}

/// Returns the name of an alert in the registry of IANA, such as `unknown_ca`.
fn alert_name(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::UnrecognisedName => "unrecognized_name".to_owned(),
        AlertDescription::EncryptedClientHelloRequired => "ech_required".to_owned(),
        AlertDescription::Unknown(code) => format!("unknown code {code}"),
        known => words(&known).replace(' ', "_"),
    }
}

fn date(time: UnixTime) -> String {
    let since_1970 = std::time::Duration::from_secs(time.as_secs());
    let date = DateTime::from_unix_duration(since_1970);
    date.map_or_else(|_| "an unknown time".to_owned(), |date| date.to_string())
}

/// Turns the name of a variant into words: `NoKxGroups` becomes `no kx groups`. The data of the
/// variant stay as they are.
fn words(variant: &impl Debug) -> String {
    let text = format!("{variant:?}");
    let end = text.find(|c: char| !c.is_ascii_alphanumeric());
    let (name, data) = text.split_at(end.unwrap_or(text.len()));
    let letters: Vec<char> = name.chars().collect();
    let mut words = String::with_capacity(text.len() + 8);
    for (n, letter) in letters.iter().enumerate() {
        let is_upper = |n: usize| letters.get(n).is_some_and(char::is_ascii_uppercase);
        let is_lower = |n: usize| letters.get(n).is_some_and(char::is_ascii_lowercase);
        if n > 0 && is_upper(n) && (!is_upper(n - 1) || is_lower(n + 1)) {
            words.push(' ');
        }
        words.push(letter.to_ascii_lowercase());
    }
    words + data
}

#[cfg(test)]
mod tests {
    use rustls::PeerMisbehaved;

    use super::*;

    #[test]
    fn each_failed_check_has_its_line() {
        for (error, line) in [
            (Error::NoCertificatesPresented, "peer sent no certificate"),
            (Error::NoApplicationProtocol, "no ALPN protocol in common"),
            (Error::DecryptError, "a record cannot be decrypted"),
            (Error::PeerSentOversizedRecord, "a record is too long"),
            (Error::General("a\nb".into()), "unexpected error: a\\nb"),
            (InvalidMessage::InvalidContentType.into(), "not TLS"),
            (
                InvalidMessage::MissingData("ClientHello").into(),
                "malformed TLS message: missing data(\"ClientHello\")",
            ),
            (
                PeerMisbehaved::TooManyKeyUpdateRequests.into(),
                "peer broke the protocol: too many key update requests",
            ),
            (
                Incompatible::Tls12NotOffered.into(),
                "no TLS version in common",
            ),
            (
                Incompatible::NoCipherSuitesInCommon.into(),
                "no cipher suite in common",
            ),
            (
                Incompatible::NoKxGroupsInCommon.into(),
                "no key exchange group in common",
            ),
            (
                Incompatible::NoSignatureSchemesInCommon.into(),
                "no signature algorithm in common",
            ),
            (
                Incompatible::NullCompressionRequired.into(),
                "peer is incompatible: null compression required",
            ),
            (
                Error::InappropriateMessage {
                    expect_types: vec![],
                    got_type: rustls::ContentType::ApplicationData,
                },
                "unexpected TLS message: application data",
            ),
        ] {
            assert_eq!(describe(&error), line);
        }
    }

    #[test]
    fn a_certificate_is_refused_for_one_reason() {
        let time = UnixTime::since_unix_epoch(std::time::Duration::from_hours(24));
        for (problem, line) in [
            (
                CertificateError::NotValidForName,
                "certificate is for another name",
            ),
            (CertificateError::Expired, "certificate has expired"),
            (
                CertificateError::NotValidYet,
                "certificate is not valid yet",
            ),
            (
                CertificateError::NotValidYetContext {
                    time,
                    not_before: time,
                },
                "certificate is not valid before 1970-01-02T00:00:00Z",
            ),
            (CertificateError::Revoked, "certificate is revoked"),
            (CertificateError::BadEncoding, "certificate is malformed"),
            (
                CertificateError::BadSignature,
                "a signature is wrong; another CA may have the same name",
            ),
            (
                CertificateError::UnhandledCriticalExtension,
                "certificate is refused: unhandled critical extension",
            ),
        ] {
            assert_eq!(describe(&problem.into()), line);
        }
    }

    #[test]
    fn many_or_hostile_names_stay_one_short_line() {
        let line = |presented: Vec<String>| {
            let expected = "example.org".try_into().expect("a name");
            describe(
                &CertificateError::NotValidForNameContext {
                    expected,
                    presented,
                }
                .into(),
            )
        };
        assert_eq!(line(vec![]), "certificate is not for 'example.org'");
        assert_eq!(
            line(
                (0..8)
                    .map(|n| format!("DnsName(\"{n}.example\")"))
                    .collect()
            ),
            "certificate is not for 'example.org' but for '0.example', '1.example', '2.example', \
             '3.example', '4.example' and 3 more"
        );
        assert_eq!(
            line(vec![
                "DnsName(\"a\nb\")".into(),
                "IpAddress(192.0.2.1)".into()
            ]),
            "certificate is not for 'example.org' but for 'a\\nb', '192.0.2.1'"
        );
    }

    #[test]
    fn alerts_have_the_names_of_the_registry() {
        for (code, name) in [
            (0, "close_notify"),
            (20, "bad_record_mac"),
            (40, "handshake_failure"),
            (48, "unknown_ca"),
            (80, "internal_error"),
            (112, "unrecognized_name"),
            (115, "unknown_psk_identity"),
            (116, "certificate_required"),
            (120, "no_application_protocol"),
            (121, "ech_required"),
            (200, "unknown code 200"),
        ] {
            let error = Error::AlertReceived(AlertDescription::from(code));
            assert_eq!(describe(&error), format!("alert from the peer: {name}"));
        }
    }

    #[test]
    fn input_of_another_protocol_is_recognized() {
        let garbage = Error::InvalidMessage(InvalidMessage::InvalidContentType);
        for (received, line) in [
            (&b"GET / HTTP/1.1\r\n"[..], "not TLS: it looks like HTTP"),
            (
                b"HTTP/1.1 400 Bad Request\r\n",
                "not TLS: it looks like HTTP",
            ),
            (b"SSH-2.0-OpenSSH_9.9\r\n", "not TLS: it looks like SSH"),
            (
                b"PROXY TCP4 192.0.2.1",
                "not TLS: it looks like a PROXY header",
            ),
            (
                b"\r\n\r\n\0\r\nQUIT\n!",
                "not TLS: it looks like a PROXY header",
            ),
            (b"220 mail\r\n", "not TLS: it begins with '220 mail\\r\\n'"),
            (
                &[0; 99],
                &format!("not TLS: it begins with '{}'", "\\x00".repeat(16)),
            ),
            (
                b"\x16\x05\0\0\0",
                "not TLS: it begins with '\\x16\\x05\\x00\\x00\\x00'",
            ),
            (b"\x16\x03\x01\0\0", "not TLS"),
            (b"", "not TLS"),
        ] {
            assert_eq!(describe_start(&garbage, received), line);
        }
        let other = describe_start(&Error::NoCertificatesPresented, b"GET / ");
        assert_eq!(other, "peer sent no certificate");
    }
}
