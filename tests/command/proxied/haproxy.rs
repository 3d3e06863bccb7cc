//! Behind `HAProxy`.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use super::{Balancer, SOURCE, TRUSTING, free_address, is_served_by_its_address};
use crate::common::{Halves, serve};
use crate::session::lacks;
use crate::support::place;

/// Starts `HAProxy` before a server, with these settings of its bind and server lines, and others.
pub(super) fn haproxy(server: &Halves, bind: &str, line: &str, others: &str) -> Balancer {
    haproxy_before(server.at[0], bind, line, others)
}

/// The same, before a server at this address.
pub(crate) fn haproxy_before(back: SocketAddr, bind: &str, line: &str, others: &str) -> Balancer {
    let (dir, at) = (place::dir(), free_address());
    let config = dir.path().join("haproxy.cfg");
    let text = format!(
        "defaults\n mode tcp\n timeout connect 30s\n timeout client 30s\n timeout server 30s\n\
         listen front\n bind {at} {bind}\n server back {back} {line}\n {others}\n"
    );
    fs::write(&config, text).expect("a file");
    // -db: in the foreground.
    let mut command = Command::new("haproxy");
    Balancer::start(command.arg("-db").arg("-f").arg(&config), at, dir)
}

fn serve_behind(version: &str, args: &[&str]) -> Halves {
    let version = format!("--proxy-protocol={version}");
    serve(&[&["upper", &version], &TRUSTING[..], args].concat())
}

/// Sends a request, and ends the connection in order; otherwise `HAProxy` resets it.
const CHECK: &str = "option tcp-check\n tcp-check connect default linger\n tcp-check send hello\n \
                     tcp-check expect string HELLO";
/// Everything that it adds to a header.
const OPTIONS: &str =
    "send-proxy-v2 proxy-v2-options crc32c,unique-id,authority,ssl,cert-cn,ssl-cipher";

#[test]
fn the_client_is_the_one_before_haproxy() {
    if lacks("haproxy", "the_client_is_the_one_before_haproxy") {
        return;
    }
    for (version, line) in [
        ("v1", "send-proxy"),
        ("v2", "send-proxy-v2"),
        ("v2", OPTIONS),
        ("any", "send-proxy"),
        ("any", "send-proxy-v2-ssl-cn"),
    ] {
        let mut server = serve_behind(version, &[]);
        let balancer = haproxy(&server, "", line, "");
        is_served_by_its_address(balancer.client(SOURCE), &mut server);
        let client = balancer.client(SOURCE);
        // A half-close passes through.
        assert_eq!(client.finish(), b"");
        server.wait_for("closed conn=2 peer=127.0.0.5:");
        server.end();
    }
}

#[test]
fn the_version_has_to_be_the_expected_one() {
    if lacks("haproxy", "the_version_has_to_be_the_expected_one") {
        return;
    }
    for (version, line) in [("v1", "send-proxy-v2"), ("v2", "send-proxy"), ("any", "")] {
        let mut server = serve_behind(version, &[]);
        let balancer = haproxy(&server, "", line, "");
        let mut client = balancer.client(SOURCE);
        let _ = std::io::Write::write_all(&mut client.0, b"hello\n");
        let mut rest = Vec::new();
        let _ = std::io::Read::read_to_end(&mut client.0, &mut rest);
        assert_eq!(rest, b"");
        let refused = server.wait_for("refused conn=1 peer=127.0.0.1:");
        assert!(refused.contains(" reason=proxy_header error="), "{refused}");
        server.end();
    }
}

#[test]
fn rules_are_for_the_client_before_haproxy() {
    if lacks("haproxy", "rules_are_for_the_client_before_haproxy") {
        return;
    }
    let mut server = serve_behind("v2", &["--deny", "127.0.0.5"]);
    let balancer = haproxy(&server, "", "send-proxy-v2", "");
    assert_eq!(balancer.client(SOURCE).rest(), b"");
    let refused = server.wait_for("refused conn=1 peer=127.0.0.5:");
    assert!(refused.ends_with(" reason=denied"), "{refused}");
    is_served_by_its_address(balancer.client([127, 0, 0, 6]), &mut server);
    server.end();
}

#[test]
fn limits_per_source_are_for_the_client_before_haproxy() {
    let name = "limits_per_source_are_for_the_client_before_haproxy";
    if lacks("haproxy", name) {
        return;
    }
    let mut server = serve_behind("v2", &["--max-per-source", "1"]);
    let balancer = haproxy(&server, "", "send-proxy-v2", "");
    let mut first = balancer.client(SOURCE);
    assert_eq!(first.ask("hello"), "HELLO");
    assert_eq!(balancer.client(SOURCE).rest(), b"");
    let refused = server.wait_for("refused conn=2 peer=127.0.0.5:");
    assert!(refused.ends_with(" reason=per_source"), "{refused}");
    is_served_by_its_address(balancer.client([127, 0, 0, 6]), &mut server);
    is_served_by_its_address(first, &mut server);
    is_served_by_its_address(balancer.client(SOURCE), &mut server);
    server.end();
}

#[test]
fn a_balancer_that_is_not_trusted_is_refused() {
    if lacks("haproxy", "a_balancer_that_is_not_trusted_is_refused") {
        return;
    }
    let args = ["upper", "--proxy-protocol=v2", "--trust-proxy", "127.0.0.8"];
    let mut server = serve(&args);
    let balancer = haproxy(&server, "", "send-proxy-v2 source 127.0.0.9", "");
    assert_eq!(balancer.client(SOURCE).rest(), b"");
    let refused = server.wait_for("refused conn=1 peer=127.0.0.9:");
    assert!(refused.contains(" reason=proxy_header error="), "{refused}");
    let balancer = haproxy(&server, "", "send-proxy-v2 source 127.0.0.8", "");
    is_served_by_its_address(balancer.client(SOURCE), &mut server);
    server.end();
}

#[test]
fn checks_of_health_are_served() {
    if lacks("haproxy", "checks_of_health_are_served") {
        return;
    }
    for (version, line) in [("v1", "send-proxy"), ("v2", "send-proxy-v2")] {
        // A rule against the client is none against its balancer.
        let mut server = serve_behind(version, &["--deny", "127.0.0.5"]);
        let balancer = haproxy(&server, "", &format!("{line} check inter 100ms"), CHECK);
        for _ in 0..2 {
            let closed = server.wait_for("closed");
            // The address of the transport, as there is none in the header.
            assert!(closed.contains(" peer=127.0.0.1:"), "{closed}");
            assert!(
                closed.contains(" reason=eof ") && closed.contains(" out=5 "),
                "{closed}"
            );
        }
        assert_eq!(balancer.client(SOURCE).rest(), b"");
        server.wait_for("refused");
        drop(balancer);
        server.end();
    }
}
