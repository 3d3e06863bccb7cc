//! The reload of a server's files.

use std::fs;

use halves::tls::ServerSettings;
use halves::tls::rustls::HandshakeKind;

use crate::support::pki::Authority;

use super::{connector, handshake, trusting};

#[test]
fn a_reload_applies_to_new_handshakes_of_all_clones() {
    let dir = tempfile::tempdir().expect("a directory");
    let authority = Authority::new("Test CA");
    let [first, second] = [(); 2].map(|()| authority.server(&["localhost"]));
    let [certificate, key] = first.write(dir.path(), "a");
    let acceptor = halves::tls::Acceptor::from_files(certificate, key).expect("good files");
    let clone = acceptor.clone();
    let shown = || {
        let ends = handshake(&clone, &connector(&authority), "localhost").expect("a handshake");
        ends.certificate().to_vec()
    };
    assert_eq!(shown(), first.der);
    second.write(dir.path(), "a");
    assert_eq!(shown(), first.der);
    acceptor.reload().expect("good files");
    assert_eq!(shown(), second.der);
}

#[test]
fn a_bad_file_keeps_everything_as_it_was() {
    let dir = tempfile::tempdir().expect("a directory");
    let authority = Authority::new("Test CA");
    let pair = |name| authority.server(&[name]);
    let (a, b, c) = (pair("a.example"), pair("b.example"), authority.pem());
    let [a_certificate, a_key] = a.write(dir.path(), "a");
    let [b_certificate, b_key] = b.write(dir.path(), "b");
    let ca = dir.path().join("ca.pem");
    fs::write(&ca, c).expect("a file");
    let acceptor = ServerSettings::new()
        .certificate(a_certificate, a_key)
        .certificate(&b_certificate, b_key)
        .client_ca(&ca)
        .load()
        .expect("good files");
    let before = acceptor.config();
    pair("a.example").write(dir.path(), "a");
    for bad in [&b_certificate, &ca] {
        let good = fs::read(bad).expect("a file");
        fs::write(bad, "").expect("a file");
        let error = acceptor.reload().expect_err("an empty file");
        assert_eq!(error.file(), Some(&**bad));
        assert!(std::sync::Arc::ptr_eq(&acceptor.config(), &before));
        fs::write(bad, good).expect("a file");
    }
    acceptor.reload().expect("good files");
    assert!(!std::sync::Arc::ptr_eq(&acceptor.config(), &before));
}

#[test]
fn sessions_resume_after_a_reload() {
    let authority = Authority::new("Test CA");
    let server = authority.server(&["localhost"]);
    let acceptor = super::acceptor(&[&server]);
    let connector = connector(&authority);
    let kind = || {
        let ends = handshake(&acceptor, &connector, "localhost").expect("a handshake");
        ends.server.handshake_kind().expect("it is over")
    };
    assert_ne!(kind(), HandshakeKind::Resumed);
    assert_eq!(kind(), HandshakeKind::Resumed);
    acceptor.reload().expect("good settings");
    assert_eq!(kind(), HandshakeKind::Resumed);
}

#[test]
fn a_client_with_a_certificate_is_verified_again_after_a_reload() {
    let dir = tempfile::tempdir().expect("a directory");
    let [authority, other] = ["Test CA", "Other CA"].map(Authority::new);
    let server = authority.server(&["localhost"]);
    let ca = dir.path().join("ca.pem");
    fs::write(&ca, authority.pem()).expect("a file");
    let acceptor = ServerSettings::new()
        .certificate_pem(&server.certificate, &server.key)
        .client_ca(&ca)
        .load()
        .expect("good settings");
    let client = authority.client("Ann");
    let connector = trusting(&authority)
        .certificate_pem(&client.certificate, &client.key)
        .load()
        .expect("good settings");
    let kind = || {
        let ends = handshake(&acceptor, &connector, "localhost");
        ends.map(|ends| ends.server.handshake_kind().expect("it is over"))
    };
    assert_eq!(kind(), Ok(HandshakeKind::Full));
    assert_eq!(kind(), Ok(HandshakeKind::Resumed));
    acceptor.reload().expect("good settings");
    assert_eq!(kind(), Ok(HandshakeKind::Full));
    assert_eq!(kind(), Ok(HandshakeKind::Resumed));
    fs::write(&ca, other.pem()).expect("a file");
    acceptor.reload().expect("good settings");
    kind().expect_err("a client of the other CA");
}
