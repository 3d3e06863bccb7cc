//! TLS and the PROXY header in front of the bytes.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use halves::tls::rustls::{ServerConnection, StreamOwned};
use halves::tls::{Acceptor, ServerSettings};

use super::{answer, ask, complaint, server};
use crate::common::serve;
use crate::support::pki::{Authority, Leaf};
use crate::tls::Files;

/// The server's side of a TLS connection.
type Served = StreamOwned<ServerConnection, TcpStream>;

fn acceptor(leaf: &Leaf) -> Acceptor {
    let settings = ServerSettings::new().certificate_pem(&leaf.certificate, &leaf.key);
    settings.load().expect("a certificate")
}

fn accept(acceptor: &Acceptor, client: TcpStream) -> Served {
    let session = ServerConnection::new(Arc::clone(&acceptor.config()));
    StreamOwned::new(session.expect("a config"), client)
}

#[test]
fn bytes_and_both_ends_pass_through_tls() {
    let files = Files::new();
    let server = files.serve(&["upper"]);
    for host in ["127.0.0.1", "localhost"] {
        let target = format!("{host}:{},tls,ca={}", server.at[0].port(), files.ca());
        assert_eq!(answer(&ask(&[&target], b"hello")), "HELLO");
    }
    let target = format!("{},tls,verify=off,alpn=x", server.at[0]);
    assert_eq!(answer(&ask(&[&target], b"hello")), "HELLO");
}

#[test]
fn the_facts_of_tls_are_in_the_json_and_in_the_lines() {
    let files = Files::new();
    let server = files.serve(&["upper", "--tls-alpn", "h2"]);
    let target = format!("{},tls,alpn=h2,ca={}", server.at[0], files.ca());
    let output = ask(&[&target, "--json"], b"");
    let object = String::from_utf8(output.stderr).expect("text");
    for fact in [
        r#""tls":{"version":""#,
        r#""server_name":"127.0.0.1","alpn":"h2","subject":""#,
        r#""sha256":""#,
    ] {
        assert!(object.contains(fact), "{object}");
    }
    let (_, times) = object.split_once(r#""ms":{"#).expect("times");
    assert!(!times.contains(r#""tls":null"#), "{object}");

    let output = ask(&[&target, "-v"], b"hello");
    let lines = String::from_utf8(output.stderr).expect("text");
    let lines: Vec<_> = lines.lines().collect();
    assert!(
        lines[0].starts_with("opened ") && lines[0].ends_with(" alpn=h2"),
        "{lines:?}"
    );
    let closed = "closed reason=complete in=5 out=5 ms=";
    assert!(lines[1].starts_with(closed), "{lines:?}");
}

#[test]
fn a_client_certificate_is_sent() {
    let files = Files::new();
    let server = files.serve(&["upper", "--tls-client-ca", &files.ca()]);
    let [cert, key] = files.leaf("client", &files.authority.client("ann"));
    let target = format!("{},tls,ca={}", server.at[0], files.ca());
    let with = format!("{target},cert={cert},key={key}");
    assert_eq!(answer(&ask(&[&with], b"hello")), "HELLO");
    // The server refuses after the handshake of the client.
    let line = complaint(&ask(&[&target], b"hello"), 13);
    assert!(
        line.contains("alert from the peer: certificate_required"),
        "{line}"
    );
}

#[test]
fn a_handshake_that_fails_is_13() {
    let (address, serving) = server(|mut client| {
        client.write_all(b"220 mail\r\n").expect("sent");
        let _ = client.read_to_end(&mut Vec::new());
    });
    let line = complaint(&ask(&[&format!("{address},tls,verify=off")], b""), 13);
    let text = format!("TLS with {address} failed: not TLS: it begins with '220 mail\\r\\n'");
    assert_eq!(line, text);
    serving.join().expect("it serves");
}

#[test]
fn a_silent_server_is_12() {
    let (address, serving) = server(|mut client| {
        let _ = client.read_to_end(&mut Vec::new());
    });
    let target = format!("{address},tls,verify=off");
    let line = complaint(&ask(&[&target, "--connect-timeout=100ms"], b""), 12);
    assert_eq!(
        line,
        format!("TLS with {address} failed: no answer within 100ms")
    );
    serving.join().expect("it serves");
}

#[test]
fn a_rejected_certificate_is_14() {
    let (files, stranger) = (Files::new(), Authority::new("Another CA"));
    let other = files.write("other.pem", &stranger.pem());
    let server = files.serve(&["upper"]);
    let address = server.at[0];
    for (settings, reason) in [
        (
            format!("ca={other}"),
            "certificate is from an unknown issuer",
        ),
        (
            format!("ca={},sni=example.org", files.ca()),
            "certificate is not for 'example.org' but for 'localhost', '127.0.0.1'",
        ),
    ] {
        let line = complaint(&ask(&[&format!("{address},tls,{settings}")], b""), 14);
        assert_eq!(line, format!("TLS with {address} failed: {reason}"));
    }
}

#[test]
fn an_end_without_close_notify_is_16_and_what_came_before_is_printed() {
    let files = Files::new();
    let acceptor = acceptor(&files.authority.server(&["127.0.0.1"]));
    let (address, serving) = server(move |client| {
        let mut served = accept(&acceptor, client);
        let mut request = Vec::new();
        served.read_to_end(&mut request).expect("close_notify");
        served.write_all(&request).expect("sent");
        // Dropped without close_notify.
    });
    let output = ask(&[&format!("{address},tls,ca={}", files.ca())], b"hello");
    assert_eq!(output.stdout, b"hello");
    let line = complaint(&output, 16);
    assert_eq!(
        line,
        format!("{address},tls: TLS ended without close_notify, so bytes may be missing")
    );
    serving.join().expect("it serves");
}

#[test]
fn a_proxy_header_comes_first_also_before_tls() {
    let files = Files::new();
    let trust = ["--proxy-protocol", "any", "--trust-proxy", "127.0.0.0/8"];
    for (version, tls) in [("v1", false), ("v2", false), ("v1", true), ("v2", true)] {
        let args = [&["upper"], &trust[..]].concat();
        let mut server = if tls {
            files.serve(&args)
        } else {
            serve(&args)
        };
        let layer = if tls {
            format!(",tls,ca={}", files.ca())
        } else {
            String::new()
        };
        let target = format!("{},send-proxy={version}{layer}", server.at[0]);
        let output = ask(&[&target, "--source", "127.0.0.5"], b"hello");
        assert_eq!(answer(&output), "HELLO");
        let closed = server.wait_for("closed");
        assert!(closed.contains(" peer=127.0.0.5:"), "{closed}");
    }
}
