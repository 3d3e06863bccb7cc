//! Facts and errors of real handshakes, between two ends in memory.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::{ClientConfig, Error, ServerConfig};

use self::pki::{Authority, Leaf};
use self::rustls_ends::Ends;
use super::config::take_server_name;
use super::describe::describe;
use super::{Acceptor, ClientAuth, ClientSettings, Connector, Info, ServerSettings, Version};

#[allow(dead_code, reason = "shared with the test programs")]
#[path = "../../tests/support/pki.rs"]
pub(super) mod pki;
#[allow(dead_code, reason = "shared with the test programs")]
#[path = "../../tests/support/rustls_ends.rs"]
mod rustls_ends;

struct World {
    authority: Authority,
    server: Leaf,
}

impl World {
    fn new() -> Self {
        let authority = Authority::new("Test CA");
        let server = authority.server(&["localhost", "192.0.2.1"]);
        Self { authority, server }
    }

    fn server(&self) -> ServerSettings {
        ServerSettings::new().certificate_pem(&self.server.certificate, &self.server.key)
    }

    fn client(&self) -> ClientSettings {
        ClientSettings::new().ca_pem(self.authority.pem())
    }

    fn connector(&self) -> Connector {
        self.client().load().expect("good settings")
    }

    /// A config of the program, from other parts than those of the settings.
    fn own_client(&self, provider: CryptoProvider, version: Version) -> Connector {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.authority.der().into()).expect("a CA");
        let version = match version {
            Version::Tls12 => &rustls::version::TLS12,
            Version::Tls13 => &rustls::version::TLS13,
        };
        let config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[version])
            .expect("a version")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Arc::new(config).into()
    }
}

/// The facts at both ends: client, then server.
fn infos(acceptor: &Acceptor, connector: &Connector, name: &str) -> Result<[Info; 2], Error> {
    let ends = Ends::new(acceptor.config(), connector.config(), name)?;
    let client = Info::of(&ends.client, Some(name.into()));
    Ok([client, Info::of(&ends.server, take_server_name())])
}

#[test]
fn both_ends_have_the_facts_of_a_handshake() {
    let world = World::new();
    let acceptor = world.server().alpn(["h2"]).load().expect("good settings");
    let connector = world.client().alpn(["h2"]).load().expect("good settings");
    let [client, server] = infos(&acceptor, &connector, "LocalHost").expect("a handshake");
    for info in [&client, &server] {
        assert_eq!(info.version(), Version::Tls13);
        assert_eq!(info.cipher_suite(), "TLS_AES_256_GCM_SHA384");
        assert_eq!(info.alpn(), Some(&b"h2"[..]));
        assert!(!info.is_resumed());
    }
    assert_eq!(server.server_name(), Some("localhost"));
    assert_eq!(server.peer_certificate(), None);
    let certificate = client.peer_certificate().expect("that of the server");
    assert_eq!(certificate.der(), world.server.der);
    assert_eq!(certificate.subject().as_deref(), Some("CN=server"));
    let [client, server] = infos(&acceptor, &connector, "localhost").expect("a handshake");
    assert!(client.is_resumed() && server.is_resumed());
}

#[test]
fn the_suites_of_older_versions_have_their_names() {
    let world = World::new();
    let acceptor = world.server().load().expect("good settings");
    let connector = world.own_client(ring::default_provider(), Version::Tls12);
    let [_, server] = infos(&acceptor, &connector, "localhost").expect("a handshake");
    assert_eq!(server.version(), Version::Tls12);
    let suite = "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384";
    assert_eq!((server.cipher_suite(), server.alpn()), (suite, None));
}

#[test]
fn the_certificate_of_a_client_is_known_also_after_a_resumption() {
    let world = World::new();
    let optional = world.server().client_ca_pem(world.authority.pem());
    let acceptor = optional.client_auth(ClientAuth::Optional).load();
    let acceptor = acceptor.expect("good settings");
    let leaf = world.authority.client("Ann, \"the\" \u{fc}ser\n");
    let settings = world.client().certificate_pem(&leaf.certificate, &leaf.key);
    let connector = settings.load().expect("good settings");
    for is_resumed in [false, true] {
        let [_, server] = infos(&acceptor, &connector, "localhost").expect("a handshake");
        assert_eq!(server.is_resumed(), is_resumed);
        let certificate = server.peer_certificate().expect("that of the client");
        assert_eq!(certificate.der(), leaf.der);
        let subject = "CN=Ann\\, \\\"the\\\" \u{fc}ser\\0a,O=Example";
        assert_eq!(certificate.subject().as_deref(), Some(subject));
    }
    let [_, server] = infos(&acceptor, &world.connector(), "localhost").expect("a handshake");
    assert_eq!(server.peer_certificate(), None);
}

#[test]
fn the_server_name_is_recorded_in_each_kind_of_handshake() {
    let world = World::new();
    let acceptor = world.server().load().expect("good settings");
    for version in [Version::Tls12, Version::Tls13] {
        let connector = world.own_client(ring::default_provider(), version);
        for (name, recorded) in [("localhost", Some("localhost")), ("192.0.2.1", None)] {
            for is_resumed in [false, true] {
                let [_, server] = infos(&acceptor, &connector, name).expect("a handshake");
                assert_eq!(server.server_name(), recorded);
                assert_eq!(server.is_resumed(), is_resumed, "{version} {name}");
                assert_eq!(take_server_name(), None);
            }
        }
    }
}

#[test]
fn a_hello_without_a_name_removes_that_of_an_earlier_one() {
    let world = World::new();
    let acceptor = world.server().load().expect("good settings");
    for name in ["localhost", "192.0.2.1"] {
        let ends = Ends::new(acceptor.config(), world.connector().config(), name);
        ends.expect("a handshake");
    }
    assert_eq!(take_server_name(), None);
}

#[test]
fn a_config_of_the_program_also_records_the_server_name() {
    let world = World::new();
    // The client first offers a share of another group, so that its hello is sent twice.
    let mut provider = ring::default_provider();
    provider.kx_groups = vec![ring::kx_group::SECP384R1];
    let pem = world.server().load().expect("good settings").config();
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_cert_resolver(Arc::clone(&pem.cert_resolver));
    config.max_early_data_size = 1000;
    config.send_half_rtt_data = true;
    let acceptor = Acceptor::from(Arc::new(config));
    let ends = Ends::new(acceptor.config(), world.connector().config(), "localhost");
    let ends = ends.expect("a handshake");
    assert_eq!(
        ends.server.handshake_kind(),
        Some(rustls::HandshakeKind::FullWithHelloRetryRequest)
    );
    assert_eq!(take_server_name().as_deref(), Some("localhost"));
    let config = acceptor.config();
    assert_eq!(
        (config.max_early_data_size, config.send_half_rtt_data),
        (0, false)
    );
    acceptor.reload().expect("there are no files");
    assert!(Arc::ptr_eq(&config, &acceptor.config()));
}

#[test]
fn a_failed_check_of_the_server_is_described() {
    let world = World::new();
    let acceptor = world.server().load().expect("good settings");
    let line = |acceptor: &Acceptor, connector: &Connector, name| {
        describe(&infos(acceptor, connector, name).expect_err("a failure"))
    };
    assert_eq!(
        line(&acceptor, &world.connector(), "example.org"),
        "certificate is not for 'example.org' but for 'localhost', '192.0.2.1'"
    );
    for (name, expected) in [
        ("Other CA", "certificate is from an unknown issuer"),
        (
            "Test CA",
            "a signature is wrong; another CA may have the same name",
        ),
    ] {
        let other = ClientSettings::new().ca_pem(Authority::new(name).pem());
        let other = other.load().expect("good settings");
        assert_eq!(line(&acceptor, &other, "localhost"), expected);
    }
    let as_ca = |params: &mut rcgen::CertificateParams| {
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    };
    for (leaf, expected) in [
        (
            world.authority.client("localhost"),
            "certificate is not for server authentication",
        ),
        (
            world.authority.server_with(&["localhost"], as_ca),
            "certificate is one of a CA, not of a server or client",
        ),
    ] {
        let wrong = ServerSettings::new().certificate_pem(leaf.certificate, leaf.key);
        let wrong = wrong.load().expect("good settings");
        let described = line(&wrong, &world.connector(), "localhost");
        assert_eq!(described, expected);
    }
}

#[test]
fn a_mismatch_of_settings_is_described() {
    let world = World::new();
    let [h2, new, required] = [
        world.server().alpn(["h2"]),
        world.server().min_version(Version::Tls13),
        world.server().client_ca_pem(world.authority.pem()),
    ]
    .map(|settings| settings.load().expect("good settings"));
    let http1 = world
        .client()
        .alpn(["http/1.1"])
        .load()
        .expect("good settings");
    let old = world.own_client(ring::default_provider(), Version::Tls12);
    for (acceptor, connector, line) in [
        (&h2, &http1, "no ALPN protocol in common"),
        (&new, &old, "no TLS version in common"),
        (&required, &world.connector(), "peer sent no certificate"),
    ] {
        let error = infos(acceptor, connector, "localhost").expect_err("a failure");
        assert_eq!(describe(&error), line);
    }
}

#[test]
fn the_facts_are_small() {
    assert!(size_of::<Info>() <= 56, "{}", size_of::<Info>());
}
