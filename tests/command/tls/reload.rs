//! HUP reads certificates and rules again: all of them, or none.

use std::fs;

use rustix::process::Signal;

use super::Files;
use super::openssl::{client, is_served, quit};
use crate::common::{Client, Halves, halves, serve};
use crate::session::{Session, lacks};
use crate::support::pki::Authority;

/// A new client, which expects a certificate for this name.
fn expecting(files: &Files, server: &Halves, name: &str) -> Session {
    let mut client = client(files, server, &["-verify_hostname", name]);
    client.wait_for(&format!("Verified peername: {name}\n"));
    is_served(&mut client);
    client
}

fn is_shown(files: &Files, server: &Halves, name: &str) {
    quit(expecting(files, server, name));
}

/// Sends HUP, and returns the next line about a reload.
fn reload(server: &mut Halves) -> String {
    server.signal(Signal::HUP);
    server.wait_for("reload")
}

fn serve_files(options: &[String]) -> Halves {
    let options = options.iter().map(String::as_str);
    let args: Vec<&str> = ["upper"].into_iter().chain(options).collect();
    serve(&args)
}

#[test]
fn a_renewed_certificate_is_for_new_connections() {
    let name = "a_renewed_certificate_is_for_new_connections";
    if lacks("openssl", name) {
        return;
    }
    let files = Files::new();
    let options = files.options("server", &["old.example"]);
    let mut server = serve_files(&options);
    let session = files.path("session");
    let mut early = client(&files, &server, &["-tls1_3", "-sess_out", &session]);
    is_served(&mut early);

    files.options("server", &["new.example"]);
    is_shown(&files, &server, "old.example");
    assert_eq!(reload(&mut server), "reloaded rules=0 certificates=1");
    is_shown(&files, &server, "new.example");
    is_served(&mut early);
    quit(early);
    // A ticket stays valid.
    let mut again = client(&files, &server, &["-tls1_3", "-sess_in", &session]);
    again.wait_for("Reused, TLSv1.3,");
    is_served(&mut again);
    quit(again);
    server.end();
    assert_eq!(server.count("closed"), 4);
}

#[test]
fn a_bad_certificate_changes_nothing() {
    if lacks("openssl", "a_bad_certificate_changes_nothing") {
        return;
    }
    let files = Files::new();
    let options = [
        files.options("first", &["localhost"]),
        files.options("second", &["www.example.org"]),
    ];
    let mut server = serve_files(&options.concat());
    let [cert, key] = ["second.pem", "second.key"].map(|name| files.path(name));
    let good = [&cert, &key].map(|path| fs::read_to_string(path).expect("text"));
    let foreign = files.authority.server(&["x.example"]).key;
    for (path, text, problem) in [
        (&cert, Some(""), "no certificate found".to_owned()),
        (&cert, None, "No such file or directory".to_owned()),
        (
            &key,
            Some(&*foreign),
            format!("the private key does not match {cert}"),
        ),
        (
            &key,
            Some("-----BEGIN PRIVATE KEY-----\n"),
            "bad PEM: ".to_owned(),
        ),
    ] {
        // The first one is good, and must not be taken alone.
        files.options("first", &["new.example"]);
        match text {
            Some(text) => fs::write(path, text).expect("a file"),
            None => fs::remove_file(path).expect("it is there"),
        }
        let line = reload(&mut server);
        let beginning = format!("reload_failed file={path} error=\"{problem}");
        assert!(line.starts_with(&beginning), "{line}");
        assert!(line.ends_with("\" (nothing is changed)"), "{line}");
        is_shown(&files, &server, "localhost");
        fs::write(&cert, &good[0]).expect("a file");
        fs::write(&key, &good[1]).expect("a file");
    }
    assert_eq!(reload(&mut server), "reloaded rules=0 certificates=2");
    is_shown(&files, &server, "new.example");
    server.end();
}

/// Returns true if the second listener, which is without TLS, serves a client from this address.
fn admits(server: &Halves, source: [u8; 4]) -> bool {
    let mut client = Client::from_source(source, server.at[1]);
    let asked = std::io::Write::write_all(&mut client.0, b"here");
    let mut answer = [0; 4];
    asked.is_ok() && std::io::Read::read_exact(&mut client.0, &mut answer).is_ok()
}

#[test]
fn rules_and_certificates_are_reloaded_together() {
    let name = "rules_and_certificates_are_reloaded_together";
    if lacks("openssl", name) {
        return;
    }
    let files = Files::new();
    let rules = files.write("deny", "127.0.0.5\n");
    let options = files.options("server", &["old.example"]);
    let deny = format!("--deny=@{rules}");
    let plain = [
        "serve",
        "upper",
        &deny,
        "--listen=127.0.0.1:0",
        "--listen=127.0.0.1:0,tls=off",
    ];
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let mut server = Halves::start(&mut halves(&[&plain, &options[..]].concat()));
    server.wait_until_listening(2);
    let state = |server: &Halves, name, denied: u8| {
        is_shown(&files, server, name);
        for last in [5, 6] {
            assert_eq!(admits(server, [127, 0, 0, last]), last != denied, "{last}");
        }
    };
    state(&server, "old.example", 5);

    files.options("server", &["new.example"]);
    files.write("deny", "127.0.0.6\n127.0.0\n");
    let line = reload(&mut server);
    assert!(
        line.starts_with(&format!("reload_failed file={rules} line=2 ")),
        "{line}"
    );
    state(&server, "old.example", 5);

    files.write("deny", "127.0.0.6\n");
    let key = files.write("server.key", "");
    let line = reload(&mut server);
    let error = format!("reload_failed file={key} error=\"no private key found\"");
    assert!(line.starts_with(&error), "{line}");
    state(&server, "old.example", 5);

    files.options("server", &["new.example"]);
    assert_eq!(reload(&mut server), "reloaded rules=1 certificates=1");
    state(&server, "new.example", 6);
}

#[test]
fn clients_of_a_ca_that_is_removed_are_refused_in_spite_of_tickets() {
    let name = "clients_of_a_ca_that_is_removed_are_refused_in_spite_of_tickets";
    if lacks("openssl", name) {
        return;
    }
    let files = Files::new();
    let other = Authority::new("Another CA");
    let clients = files.write("clients.pem", &files.authority.pem());
    let [cert, key] = files.leaf("client", &files.authority.client("one"));
    let session = files.path("session");
    let own = ["-tls1_3", "-cert", &cert, "-key", &key];
    let mut server = files.serve(&["upper", "--tls-client-ca", &clients]);
    let mut early = client(
        &files,
        &server,
        &[&own[..], &["-sess_out", &session]].concat(),
    );
    is_served(&mut early);

    files.write("clients.pem", &other.pem());
    assert_eq!(reload(&mut server), "reloaded rules=0 certificates=1");
    let mut late = client(
        &files,
        &server,
        &[&own[..], &["-sess_in", &session]].concat(),
    );
    late.wait_for("SSL alert number");
    assert!(!late.end().success());
    let refused = server.wait_for("refused");
    let end = "error=\"certificate is from an unknown issuer\"";
    assert!(refused.ends_with(end), "{refused}");
    is_served(&mut early);
    quit(early);
}
