//! Each timeout ends a connection, with its name as the reason.

use std::io::{Read, Write};
use std::time::Instant;

use crate::common::{Halves, TIMEOUT, serve};

/// The line about the end of the first connection, without its variable parts.
fn closed(server: &mut Halves) -> String {
    let line = server.wait_for("closed conn=1 ");
    let (_, rest) = line.split_once(" reason=").expect("a reason");
    let (rest, _) = rest.split_once(" ms=").expect("a time");
    rest.to_owned()
}

#[test]
fn an_idle_client_is_ended() {
    let mut server = serve(&["upper", "--idle-timeout", "300ms"]);
    let mut client = server.client();
    client.ask("here");
    assert_eq!(client.rest(), b"");
    assert_eq!(closed(&mut server), "idle in=4 out=4");
    server.end();
}

#[test]
fn a_lifetime_ends_a_client_that_is_not_idle() {
    let mut server = serve(&["upper", "--lifetime", "300ms", "--idle-timeout", "60s"]);
    let mut client = server.client();
    let mut answer = [0];
    let deadline = Instant::now() + TIMEOUT;
    // Until the server has ended it, in any of these calls.
    while client.0.write_all(b"x").is_ok() && client.0.read_exact(&mut answer).is_ok() {
        assert!(Instant::now() < deadline, "it is still served");
    }
    let closed = closed(&mut server);
    assert!(closed.starts_with("lifetime in="), "{closed}");
    server.end();
}

#[test]
fn a_drip_is_ended_and_silence_is_not() {
    // It never answers, so a request is never whole.
    let mut server = serve(&["discard", "--min-rate", "100"]);
    let silent = server.client();
    let mut client = server.client();
    // The silent client is the first.
    client.0.write_all(b"x").expect("written");
    assert_eq!(client.rest(), b"");
    let closed = server.wait_for("closed");
    assert!(closed.starts_with("closed conn=2 "), "{closed}");
    assert!(closed.contains(" reason=min_rate in=1 out=0 "), "{closed}");
    assert_eq!(silent.finish(), b"");
    server.end();
}

#[test]
fn plain_tcp_has_no_handshake_that_could_be_late() {
    let options = ["--handshake-timeout", "1ms", "--idle-timeout", "300ms"];
    let mut server = serve(&[&["upper"], &options[..]].concat());
    assert_eq!(server.client().rest(), b"");
    assert_eq!(closed(&mut server), "idle in=0 out=0");
    server.end();
}

#[test]
fn zero_turns_a_timeout_or_limit_off() {
    let off = [
        "--handshake-timeout=0",
        "--idle-timeout=0",
        "--lifetime=0",
        "--min-rate=0",
        "--max-per-source=0",
        "--accept-rate=0",
        "--drain-delay=0",
    ];
    let mut server = serve(&[&["upper"], &off[..]].concat());
    let mut clients: Vec<_> = (0..20).map(|_| server.client()).collect();
    for client in &mut clients {
        assert_eq!(client.ask("x"), "X");
    }
    drop(clients);
    server.end();
    assert_eq!(server.count("refused"), 0);
}
