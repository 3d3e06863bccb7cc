//! The addresses of `--metrics`.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;

use super::request;
use crate::common::{Client, Halves, halves, run};
use crate::support::place;

#[test]
fn a_unix_socket_has_its_mode_and_is_removed() {
    let folder = place::dir();
    let path = folder.path().join("metrics");
    let address = format!("{},mode=0640", path.display());
    let words = [
        "serve",
        "upper",
        "--listen=127.0.0.1:0",
        "--metrics",
        &address,
    ];
    let mut server = Halves::start(&mut halves(&words));
    server.wait_for("listening local=unix:");
    let mode = path.metadata().expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    let mut client = UnixStream::connect(&path).expect("it accepts");
    let text = request("/healthz", "Connection: close\r\n").replace("localhost", "any.example");
    std::io::Write::write_all(&mut client, text.as_bytes()).expect("it reads");
    let answer = std::io::read_to_string(client).expect("text");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    server.end();
    assert!(!path.exists());
}

#[test]
fn an_address_that_cannot_be_is_bad_usage() {
    for (words, problem) in [
        (
            &["--metrics=-"][..],
            "standard input and output have one client",
        ),
        (&["--metrics=:"], "there is no port"),
        (
            &["--listen=8080", "--metrics=:8080"],
            "take the same address and port: give one of them",
        ),
        (
            &["--metrics=50007"],
            "take the same address and port: give one of them",
        ),
        (
            &["--control=/x", "--metrics=/x"],
            "overlap: give one of them",
        ),
        (&["--metrics=1", "--metrics=2"], "duplicate"),
    ] {
        let output = run(&[&["serve", "upper"], words].concat());
        let message = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(2), "{words:?}: {message}");
        assert!(message.contains(problem), "{words:?}: {message}");
    }
}

#[test]
fn an_address_in_use_is_exit_1() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = taken.local_addr().expect("an address").to_string();
    let output = run(&["serve", "upper", "--listen=127.0.0.1:0", "--metrics", &at]);
    let message = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(1));
    assert!(message.contains(&at), "{message}");
    drop(Client::new(taken.local_addr().expect("an address")));
}
