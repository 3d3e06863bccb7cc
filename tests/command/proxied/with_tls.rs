//! A PROXY header, and TLS behind it or before it.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::process::Command;

use super::haproxy::haproxy;
use super::nginx::nginx;
use super::{SOURCE, TRUSTING, free_address};
use crate::common::{Client, Halves};
use crate::session::{Session, lacks};
use crate::tls::Files;
use crate::tls::openssl::{is_served, quit};

/// Waits until there is a balancer at this address.
fn wait_for(balancer: SocketAddr) {
    drop(Client::from_source_in_time([127, 0, 0, 9], balancer));
}

/// A client over TLS, from a port of its own.
fn secure(files: &Files, at: SocketAddr) -> (Session, SocketAddr) {
    let own = free_address();
    let mut command = Command::new("openssl");
    command
        .args([
            "s_client",
            "-bind",
            &own.to_string(),
            "-connect",
            &at.to_string(),
        ])
        .args(["-CAfile", &files.ca(), "-verify_return_error"]);
    (Session::start(command), own)
}

/// Asserts that the client is served over TLS, and that the log has its own address.
fn is_served_over_tls(files: &Files, at: SocketAddr, server: &mut Halves) {
    wait_for(at);
    let (mut client, own) = secure(files, at);
    is_served(&mut client);
    quit(client);
    // The client above fails, and is refused.
    let closed = server.wait_for("closed");
    assert!(
        closed.contains(&format!(" peer={own} reason=eof ")),
        "{closed}"
    );
}

#[test]
fn tls_follows_the_header_of_haproxy_and_nginx() {
    let name = "tls_follows_the_header_of_haproxy_and_nginx";
    if lacks("openssl", name) {
        return;
    }
    let files = Files::new();
    let start = || files.serve(&[&["upper", "--proxy-protocol=any"], &TRUSTING[..]].concat());
    if !lacks("haproxy", name) {
        for line in ["send-proxy", "send-proxy-v2"] {
            let mut server = start();
            let balancer = haproxy(&server, "", line, "");
            is_served_over_tls(&files, balancer.at, &mut server);
        }
    }
    let mut server = start();
    if let Some(balancer) = nginx(&server, name) {
        is_served_over_tls(&files, balancer.at, &mut server);
    }
}

#[test]
fn haproxy_may_end_tls_itself() {
    let name = "haproxy_may_end_tls_itself";
    if lacks("openssl", name) || lacks("haproxy", name) {
        return;
    }
    let files = Files::new();
    let leaf = files.authority.server(&["localhost"]);
    let both = files.write("both.pem", &(leaf.certificate + &leaf.key));
    let args = [&["upper", "--proxy-protocol=v2"], &TRUSTING[..]].concat();
    for line in ["send-proxy-v2-ssl", "send-proxy-v2-ssl-cn"] {
        let mut server = crate::common::serve(&args);
        let balancer = haproxy(&server, &format!("ssl crt {both}"), line, "");
        wait_for(balancer.at);
        let (mut client, own) = secure(&files, balancer.at);
        is_served(&mut client);
        quit(client);
        let closed = server.wait_for("closed");
        assert!(
            closed.contains(&format!(" peer={own} reason=eof ")),
            "{closed}"
        );
        server.end();
    }
}

#[test]
fn garbage_behind_a_header_is_refused_with_the_address_of_the_client() {
    let name = "garbage_behind_a_header_is_refused_with_the_address_of_the_client";
    if lacks("haproxy", name) {
        return;
    }
    let files = Files::new();
    let args = [&["upper", "--proxy-protocol=v2"], &TRUSTING[..]].concat();
    let mut server = files.serve(&args);
    assert!(
        server.log[0].ends_with(" layers=proxy,tls"),
        "{:#?}",
        server.log
    );
    let balancer = haproxy(&server, "", "send-proxy-v2", "");
    let mut client = balancer.client(SOURCE);
    client
        .0
        .write_all(b"GET / HTTP/1.0\r\n\r\n")
        .expect("it reads");
    let _ = client.0.read_to_end(&mut Vec::new());
    let refused = server.wait_for("refused conn=1 peer=127.0.0.5:");
    let end = " reason=tls error=\"not TLS: it looks like HTTP\"";
    assert!(refused.ends_with(end), "{refused}");
    // A client of TLS without a header in front has another reason.
    let mut direct = Client::new(server.at[0]);
    direct.0.write_all(b"\x16\x03\x01\x02\0").expect("it reads");
    let _ = direct.0.read_to_end(&mut Vec::new());
    let refused = server.wait_for("refused conn=2 peer=127.0.0.1:");
    assert!(refused.contains(" reason=proxy_header error="), "{refused}");
    server.end();
}
