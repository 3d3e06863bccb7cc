//! Listeners with TLS beside listeners without.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

use super::Files;
use super::openssl::{is_served, quit, s_client};
use crate::common::{Client, Halves, TIMEOUT, halves};
use crate::session::lacks;

/// Starts `serve upper` over TLS on these addresses.
fn start(files: &Files, addresses: &[&str]) -> Halves {
    let tls = files.options("server", &["localhost"]);
    let mut args = vec!["serve", "upper"];
    args.extend(tls.iter().map(String::as_str));
    args.extend(addresses.iter().flat_map(|address| ["--listen", address]));
    Halves::start(&mut halves(&args))
}

#[test]
fn a_listener_may_be_without_tls() {
    if lacks("openssl", "a_listener_may_be_without_tls") {
        return;
    }
    let files = Files::new();
    let (plain, secure) = ("127.0.0.1:0,tls=off", "127.0.0.1:0");
    for (addresses, is_plain) in [
        (&[secure, plain][..], &[false, true][..]),
        (&[plain, secure, plain], &[true, false, true]),
    ] {
        let mut server = start(&files, addresses);
        server.wait_until_listening(addresses.len());
        for (&at, is_plain) in server.at.iter().zip(is_plain) {
            if *is_plain {
                assert_eq!(Client::new(at).ask("hello"), "HELLO");
            } else {
                let mut client = s_client(&files, &at.to_string(), &[]);
                is_served(&mut client);
                quit(client);
            }
        }
        server.end();
        for (n, is_plain) in is_plain.iter().enumerate() {
            let layers = if *is_plain { "" } else { " layers=tls" };
            let line = format!("listening local={} service=upper{layers}", server.at[n]);
            assert!(server.log.contains(&line), "{line}: {:#?}", server.log);
        }
    }
}

#[test]
fn a_unix_socket_has_tls_unless_it_is_exempt() {
    if lacks("openssl", "a_unix_socket_has_tls_unless_it_is_exempt") {
        return;
    }
    let files = Files::new();
    let (secure, plain) = (files.path("secure.sock"), files.path("plain.sock"));
    let mut server = start(&files, &[&secure, &format!("{plain},tls=off")]);
    server.wait_for_local();
    server.wait_for_local();
    let mut client = UnixStream::connect(&plain).expect("it accepts");
    client.set_read_timeout(Some(TIMEOUT)).expect("a socket");
    client.write_all(b"hello").expect("it reads");
    client.shutdown(Shutdown::Write).expect("it is there");
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("it ends");
    assert_eq!(answer, "HELLO");
    let mut client = std::process::Command::new("openssl");
    client.args(["s_client", "-unix", &secure, "-CAfile", &files.ca()]);
    let mut client = crate::session::Session::start(client);
    is_served(&mut client);
    quit(client);
    let closed = server.wait_for("closed conn=2 peer=unix ");
    assert!(closed.contains(" reason=eof "), "{closed}");
    server.end();
}
