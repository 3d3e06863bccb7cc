//! The certificates that clients and servers take from each other, protocols and versions.

use std::sync::Arc;

use halves::tls::rustls::{self, CertificateError, ProtocolVersion};
use halves::tls::{Acceptor, ClientAuth, Connector, ServerSettings, Version};

use crate::support::pki::{Authority, Leaf};

use super::{acceptor, connector, handshake, trusting};

fn server(authority: &Authority) -> ServerSettings {
    let leaf = authority.server(&["localhost"]);
    ServerSettings::new().certificate_pem(leaf.certificate, leaf.key)
}

#[test]
fn a_client_verifies_the_server_unless_it_is_off() {
    let [authority, other] = ["Test CA", "Other CA"].map(Authority::new);
    let leaf = authority.server(&["localhost"]);
    let acceptor = acceptor(&[&leaf]);
    handshake(&acceptor, &connector(&authority), "localhost").expect("it is trusted");
    let refused = handshake(&acceptor, &connector(&other), "localhost");
    assert_eq!(
        refused.err(),
        Some(rustls::Error::InvalidCertificate(
            CertificateError::UnknownIssuer
        ))
    );
    let refused = handshake(&acceptor, &connector(&authority), "example.org");
    assert!(matches!(
        refused.err(),
        Some(rustls::Error::InvalidCertificate(
            CertificateError::NotValidForNameContext { .. }
        ))
    ));
    let settings = trusting(&other).danger_no_verification();
    let unverified = settings.load().expect("good settings");
    handshake(&acceptor, &unverified, "example.org").expect("any certificate");
}

#[test]
fn keys_of_each_kind_serve() {
    let authority = Authority::new("Test CA");
    for kind in [
        &rcgen::PKCS_ECDSA_P256_SHA256,
        &rcgen::PKCS_ECDSA_P384_SHA384,
        &rcgen::PKCS_ED25519,
    ] {
        let leaf = authority.server_with_key("localhost", kind);
        handshake(&acceptor(&[&leaf]), &connector(&authority), "localhost").expect("a handshake");
    }
}

#[test]
fn a_client_certificate_is_required_or_optional() {
    let [authority, other] = ["Test CA", "Other CA"].map(Authority::new);
    let [ours, theirs] = [&authority, &other].map(|issuer| issuer.client("Ann"));
    let required = server(&authority).client_ca_pem(authority.pem());
    let optional = required.clone().client_auth(ClientAuth::Optional);
    let [required, optional] = [required, optional].map(|settings| settings.load().expect("good"));
    let with = |leaf: &Leaf| {
        let settings = trusting(&authority).certificate_pem(&leaf.certificate, &leaf.key);
        settings.load().expect("good settings")
    };
    let without = connector(&authority);
    for acceptor in [&required, &optional] {
        let ends = handshake(acceptor, &with(&ours), "localhost").expect("it is trusted");
        assert_eq!(*ends.server.peer_certificates().expect("one")[0], *ours.der);
        let refused = handshake(acceptor, &with(&theirs), "localhost").err();
        let unknown = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        assert_eq!(refused, Some(unknown));
    }
    let refused = handshake(&required, &without, "localhost").err();
    assert_eq!(refused, Some(rustls::Error::NoCertificatesPresented));
    let ends = handshake(&optional, &without, "localhost").expect("none is needed");
    assert_eq!(ends.server.peer_certificates(), None);
}

#[test]
fn the_server_prefers_protocols_in_its_order() {
    let authority = Authority::new("Test CA");
    let acceptor = server(&authority)
        .alpn(["h2", "http/1.1"])
        .load()
        .expect("good");
    let offering = |protocols: &[&str]| {
        let settings = trusting(&authority).alpn(protocols.iter().copied());
        let connector = settings.load().expect("good settings");
        let ends = handshake(&acceptor, &connector, "localhost")?;
        Ok(ends.client.alpn_protocol().map(<[u8]>::to_vec))
    };
    assert_eq!(offering(&["http/1.1", "h2"]), Ok(Some(b"h2".to_vec())));
    assert_eq!(
        offering(&["http/1.1", "spdy"]),
        Ok(Some(b"http/1.1".to_vec()))
    );
    assert_eq!(offering(&[]), Ok(None));
    assert_eq!(
        offering(&["spdy"]),
        Err(rustls::Error::NoApplicationProtocol)
    );
}

#[test]
fn the_oldest_version_is_a_setting_of_both_sides() {
    let authority = Authority::new("Test CA");
    let [both, new] = [Version::Tls12, Version::Tls13].map(|version| {
        server(&authority)
            .min_version(version)
            .load()
            .expect("good")
    });
    let new_client = trusting(&authority).min_version(Version::Tls13).load();
    let new_client = new_client.expect("good settings");
    let version = |acceptor: &Acceptor, connector: &Connector| {
        let ends = handshake(acceptor, connector, "localhost").ok()?;
        ends.client.protocol_version()
    };
    let old_client = only(&rustls::version::TLS12, &authority);
    let tls13 = Some(ProtocolVersion::TLSv1_3);
    assert_eq!(version(&both, &connector(&authority)), tls13);
    assert_eq!(version(&both, &new_client), tls13);
    assert_eq!(version(&new, &new_client), tls13);
    assert_eq!(version(&both, &old_client), Some(ProtocolVersion::TLSv1_2));
    assert_eq!(version(&new, &old_client), None);
}

/// A connector with one version, from a config that the program made.
fn only(version: &'static rustls::SupportedProtocolVersion, authority: &Authority) -> Connector {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.der().into()).expect("a CA");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .expect("a version")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config).into()
}

#[test]
fn the_name_to_verify_can_be_set() {
    let authority = Authority::new("Test CA");
    for name in ["db.internal", "192.0.2.1", "2001:db8::1"] {
        let connector = trusting(&authority)
            .server_name(name)
            .load()
            .expect("a name");
        let set = connector.server_name().expect("it is set");
        assert_eq!(set.to_str(), name);
    }
    assert_eq!(connector(&authority).server_name(), None);
}

#[test]
fn debug_output_has_no_private_key() {
    let leaf = Leaf::self_signed(&["localhost"]);
    let line = leaf.key.lines().nth(1).expect("base64");
    let settings = ServerSettings::new().certificate_pem(&leaf.certificate, &leaf.key);
    let text = format!("{settings:?} {:?}", settings.clone().load());
    assert!(
        !text.contains(line) && text.contains("key in memory"),
        "{text}"
    );
}
