//! Handshakes with `openssl s_client`: versions, resumption, ALPN, names and client certificates.

use super::Files;
use super::openssl::{client, is_served, quit};
use crate::common::{Halves, serve};
use crate::session::{Session, lacks};
use crate::support::pki::Authority;

#[test]
fn openssl_speaks_both_versions() {
    if lacks("openssl", "openssl_speaks_both_versions") {
        return;
    }
    let files = Files::new();
    let mut server = files.serve(&["upper"]);
    for (option, version) in [("-tls1_2", "New, TLSv1.2,"), ("-tls1_3", "New, TLSv1.3,")] {
        let mut client = client(&files, &server, &[option]);
        client.wait_for(version);
        client.wait_for("Verify return code: 0 (ok)");
        is_served(&mut client);
        quit(client);
        let closed = server.wait_for("closed");
        assert!(closed.contains(" reason=eof "), "{closed}");
    }
    server.end();
}

#[test]
fn an_older_version_is_refused() {
    if lacks("openssl", "an_older_version_is_refused") {
        return;
    }
    let files = Files::new();
    let mut server = files.serve(&["upper", "--tls-min", "1.3"]);
    let mut old = client(&files, &server, &["-tls1_2"]);
    old.wait_for("alert protocol version");
    assert!(!old.end().success(), "{}", old.text());
    let refused = server.wait_for("refused");
    let end = " reason=tls error=\"no TLS version in common\"";
    assert!(refused.ends_with(end), "{refused}");
    let mut new = client(&files, &server, &["-tls1_3"]);
    is_served(&mut new);
    quit(new);
    server.end();
}

#[test]
fn openssl_resumes_sessions() {
    if lacks("openssl", "openssl_resumes_sessions") {
        return;
    }
    let files = Files::new();
    let mut server = files.serve(&["upper"]);
    // It connects again five times by itself, which works with TLS 1.2 only.
    let mut again = client(&files, &server, &["-tls1_2", "-reconnect"]);
    again.wait_for("New, TLSv1.2,");
    for _ in 0..5 {
        again.wait_for("Reused, TLSv1.2,");
    }
    is_served(&mut again);
    quit(again);

    let session = files.path("session");
    let mut first = client(&files, &server, &["-tls1_3", "-sess_out", &session]);
    is_served(&mut first);
    quit(first);
    for _ in 0..2 {
        let mut next = client(&files, &server, &["-tls1_3", "-sess_in", &session]);
        next.wait_for("Reused, TLSv1.3,");
        is_served(&mut next);
        quit(next);
    }
    server.end();
    assert_eq!(server.count("refused"), 0, "{:#?}", server.log);
}

#[test]
fn a_client_that_asks_for_new_handshakes_is_answered() {
    let name = "a_client_that_asks_for_new_handshakes_is_answered";
    if lacks("openssl", name) {
        return;
    }
    let files = Files::new();
    let mut server = files.serve(&["upper"]);
    let mut client = client(&files, &server, &["-tls1_2"]);
    is_served(&mut client);
    client.send("R\n");
    // Without an answer it would wait.
    client.wait_for("no renegotiation");
    assert!(!client.end().success());
    server.wait_for("closed");
    server.end();
}

#[test]
fn the_protocol_is_the_first_of_the_server_that_the_client_offers() {
    let name = "the_protocol_is_the_first_of_the_server_that_the_client_offers";
    if lacks("openssl", name) {
        return;
    }
    let files = Files::new();
    let mut server = files.serve(&["upper", "--tls-alpn", "h2", "--tls-alpn=http/1.1"]);
    for (offer, chosen) in [
        (&["-alpn", "http/1.1,h2"][..], "ALPN protocol: h2"),
        (&["-alpn", "x,http/1.1"], "ALPN protocol: http/1.1"),
        (&[], "No ALPN negotiated"),
    ] {
        let mut client = client(&files, &server, offer);
        client.wait_for(chosen);
        is_served(&mut client);
        quit(client);
    }
    let mut other = client(&files, &server, &["-alpn", "x"]);
    other.wait_for("alert no application protocol");
    assert!(!other.end().success());
    let refused = server.wait_for("refused");
    let end = " reason=tls error=\"no ALPN protocol in common\"";
    assert!(refused.ends_with(end), "{refused}");
}

#[test]
fn the_certificate_is_the_one_for_the_name() {
    if lacks("openssl", "the_certificate_is_the_one_for_the_name") {
        return;
    }
    let files = Files::new();
    let options = [
        files.options("default", &["localhost"]),
        files.options("exact", &["www.example.org", "a.example.net"]),
        files.options("wildcard", &["*.example.net"]),
    ];
    let options: Vec<&str> = options.iter().flatten().map(String::as_str).collect();
    let mut server = serve(&[&["upper"], &options[..]].concat());
    // A name that the client asks for, one that it expects, and the entry that has it.
    for (asked, expected, found) in [
        ("localhost", "localhost", "localhost"),
        ("www.example.org", "www.example.org", "www.example.org"),
        ("WWW.Example.ORG", "www.example.org", "www.example.org"),
        ("a.example.net", "www.example.org", "www.example.org"),
        ("b.example.net", "b.example.net", "*.example.net"),
        ("a.b.example.net", "localhost", "localhost"),
        ("example.net", "localhost", "localhost"),
        ("", "localhost", "localhost"),
    ] {
        let name = match asked {
            "" => &["-noservername"][..],
            asked => &["-servername", asked],
        };
        let mut client = client(
            &files,
            &server,
            &[name, &["-verify_hostname", expected]].concat(),
        );
        client.wait_for(&format!("Verified peername: {found}\n"));
        is_served(&mut client);
        quit(client);
    }
    server.end();
}

/// The options of a client with such a certificate.
fn certificate(files: &Files, name: &str, authority: &Authority) -> [String; 4] {
    let [cert, key] = files.leaf(name, &authority.client(name));
    ["-cert".to_owned(), cert, "-key".to_owned(), key]
}

fn with<'a>(version: &'a str, certificate: &'a [String]) -> Vec<&'a str> {
    let certificate = certificate.iter().map(String::as_str);
    [version].into_iter().chain(certificate).collect()
}

/// Asserts that the client gets an alert, and that the log has this error.
fn is_refused(server: &mut Halves, mut client: Session, error: &str) {
    client.wait_for("SSL alert number");
    assert!(!client.end().success());
    let refused = server.wait_for("refused");
    let end = format!(" reason=tls error=\"{error}\"");
    assert!(refused.ends_with(&end), "{refused}");
}

#[test]
fn a_client_certificate_is_required_or_optional() {
    if lacks("openssl", "a_client_certificate_is_required_or_optional") {
        return;
    }
    let files = Files::new();
    let ours = certificate(&files, "ours", &files.authority);
    let foreign = certificate(&files, "foreign", &Authority::new("Another CA"));
    let ca = files.ca();
    for auth in [
        &[][..],
        &["--tls-client-auth", "required"],
        &["--tls-client-auth=optional"],
    ] {
        let args = [&["upper", "--tls-client-ca", &ca], auth].concat();
        let mut server = files.serve(&args);
        for version in ["-tls1_2", "-tls1_3"] {
            let mut good = client(&files, &server, &with(version, &ours));
            is_served(&mut good);
            quit(good);
            let wrong = client(&files, &server, &with(version, &foreign));
            let error = "certificate is from an unknown issuer";
            is_refused(&mut server, wrong, error);
            let mut without = client(&files, &server, &[version]);
            if auth.contains(&"--tls-client-auth=optional") {
                is_served(&mut without);
                quit(without);
            } else {
                is_refused(&mut server, without, "peer sent no certificate");
            }
        }
        server.end();
    }
}
