//! The certificate that a client gets, by the name that it asks for.

use halves::tls::{Acceptor, rustls};

use crate::support::pki::{Authority, Leaf};

use super::{acceptor, connector, handshake};

/// The number of the pair with the certificate that a client gets for `name`. `None` if the
/// certificate is not for this name.
fn shown(acceptor: &Acceptor, authority: &Authority, name: &str, pairs: &[&Leaf]) -> Option<usize> {
    let ends = match handshake(acceptor, &connector(authority), name) {
        Ok(ends) => ends,
        Err(rustls::Error::InvalidCertificate(_)) => return None,
        Err(other) => panic!("{other}"),
    };
    pairs.iter().position(|pair| pair.der == ends.certificate())
}

#[test]
fn the_exact_name_comes_before_a_wildcard_and_both_before_the_default() {
    let authority = Authority::new("Test CA");
    let default = authority.server(&["default.example", "192.0.2.1"]);
    let wildcard = authority.server(&["*.example.org", "*.Sub.Example.Org"]);
    let exact = authority.server(&["WWW.example.org", "example.org"]);
    let late = authority.server(&["www.example.org", "default.example", "*.example.org"]);
    let pairs = [&default, &wildcard, &exact, &late];
    let acceptor = acceptor(&pairs);
    for (name, expected) in [
        ("www.example.org", Some(2)),
        ("wWw.eXample.org", Some(2)),
        ("example.org", Some(2)),
        ("mail.example.org", Some(1)),
        ("MAIL.example.org", Some(1)),
        ("a.sub.example.org", Some(1)),
        // A wildcard is one label, so that the client refuses the default.
        ("a.b.example.org", None),
        ("a.b.sub.example.org", None),
        ("default.example", Some(0)),
        ("other.example", None),
        // An address is not sent as a name.
        ("192.0.2.1", Some(0)),
    ] {
        assert_eq!(
            shown(&acceptor, &authority, name, &pairs),
            expected,
            "{name}"
        );
    }
}

#[test]
fn the_common_name_counts_if_there_are_no_other_names() {
    let authority = Authority::new("Test CA");
    let default = authority.server(&["default.example"]);
    let common = authority.client("Common.Example");
    let acceptor = acceptor(&[&default, &common]);
    let unverified = super::trusting(&authority).danger_no_verification();
    let unverified = unverified.load().expect("good settings");
    for (name, expected) in [("common.example", &common), ("server", &default)] {
        let ends = handshake(&acceptor, &unverified, name).expect("a handshake");
        assert_eq!(ends.certificate(), expected.der, "{name}");
    }
}
