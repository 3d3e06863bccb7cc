//! A connection that waits for its header: its deadline, a drain, and the errors that end it.

use futures_lite::{AsyncWriteExt, future};
use halves::Server;
use halves::connection::Phase;

use super::sources::{
    BALANCER, CLIENT_HEADER, MOMENT, SECOND, assert_echo, assert_end, send, serve,
};
use crate::support::harness::World;

const HANDSHAKE_TIMEOUT: std::time::Duration = SECOND.saturating_mul(10);
const DRAINED: &str = "drained: the server drains, and no PROXY header has arrived";

#[test]
fn a_header_has_to_arrive_before_the_handshake_deadline() {
    let world = World::new();
    let (served, clients) = serve(&world, Server::default());
    let mut slow = clients.connect(&world, BALANCER);
    let mut silent = clients.connect(&world, BALANCER);
    let (last, rest) = CLIENT_HEADER.split_last().expect("it is not empty");
    let step = HANDSHAKE_TIMEOUT / 64;
    for byte in rest {
        send(&world, &mut slow, &[*byte]);
        world.pass(step);
    }
    world.pass(HANDSHAKE_TIMEOUT - step * u32::try_from(rest.len()).expect("few") - MOMENT);
    assert_eq!(served.handle.connections()[1].phase, Phase::Handshake);
    send(&world, &mut slow, &[*last]);
    world.pass(MOMENT);
    assert_eq!(served.open(), 1);
    assert_end(&mut silent);
    drop(silent);
    world.settle();
    assert_eq!(served.events(), ["closed 2 handshake"]);
    world.pass(HANDSHAKE_TIMEOUT);
    assert_echo(&world, &mut slow);
}

#[test]
fn a_header_that_is_not_complete_at_the_deadline_is_too_late() {
    let world = World::new();
    let (served, clients) = serve(&world, Server::default());
    let mut client = clients.connect(&world, BALANCER);
    send(&world, &mut client, &CLIENT_HEADER[..20]);
    world.pass(HANDSHAKE_TIMEOUT);
    drop(client);
    world.settle();
    assert_eq!(served.events(), ["closed 1 handshake"]);
}

#[test]
fn a_drain_ends_connections_without_a_header_after_a_quiet_second() {
    for sent in [&b""[..], b"PROXY TCP4 "] {
        let world = World::new();
        let (served, clients) = serve(&world, Server::default());
        let mut client = clients.connect(&world, BALANCER);
        send(&world, &mut client, sent);
        served.handle.shutdown().drain();
        world.pass(SECOND - MOMENT);
        assert_eq!(served.handle.connections().len(), 1);
        world.pass(MOMENT);
        assert_end(&mut client);
        drop(client);
        world.settle();
        let closed = format!("closed 1 {DRAINED}");
        let expected = ["draining 1 within 30s", &closed, "ended 1 0"];
        assert_eq!(served.events(), expected);
    }
}

#[test]
fn a_header_that_arrives_during_a_drain_is_served() {
    let world = World::new();
    let (served, clients) = serve(&world, Server::default());
    let mut client = clients.connect(&world, BALANCER);
    served.handle.shutdown().drain();
    for piece in CLIENT_HEADER.chunks(10) {
        world.pass(SECOND - MOMENT);
        send(&world, &mut client, piece);
    }
    assert_echo(&world, &mut client);
    drop(client);
    world.settle();
    let events = served.events();
    assert_eq!(events[1..], ["closed 1 eof", "ended 1 0"], "{events:?}");
}

#[test]
fn an_error_says_what_was_in_the_place_of_the_header() {
    let world = World::new();
    let (served, clients) = serve(&world, Server::default());
    let long = [b"PROXY UNKNOWN ", &[b'x'; 107][..]].concat();
    for (sent, error) in [
        (&b"hello"[..], "no PROXY header"),
        (
            b"GET / HTTP/1.1\r\n",
            "expected a PROXY header, found an HTTP request",
        ),
        (
            b"\x16\x03\x01\x02\x00\x01",
            "expected a PROXY header, found a TLS handshake",
        ),
        (&long, "PROXY header of more than 107 bytes"),
        (
            b"PROXY TCP4 203.0.113.1 198.51.100.7 51234 65536\r\n",
            "PROXY header: invalid destination port",
        ),
        (
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x04abcd",
            "PROXY header: invalid length",
        ),
    ] {
        let mut client = clients.connect(&world, BALANCER);
        send(&world, &mut client, sent);
        assert_end(&mut client);
        drop(client);
        world.settle();
        let events = served.events();
        let id = events[0].split(' ').nth(1).expect("an id").to_owned();
        let expected =
            ["refused", "closed"].map(|event| format!("{event} {id} proxy_header: {error}"));
        assert_eq!(events, expected);
    }
}

#[test]
fn a_header_that_is_cut_is_an_error() {
    for length in 0..CLIENT_HEADER.len() {
        let world = World::new();
        let (served, clients) = serve(&world, Server::default());
        let mut client = clients.connect(&world, BALANCER);
        send(&world, &mut client, &CLIENT_HEADER[..length]);
        future::block_on(client.writer.close()).expect("no error");
        world.settle();
        assert_end(&mut client);
        let error = "the input ended before the end of the PROXY header";
        let expected =
            ["refused 1", "closed 1"].map(|event| format!("{event} proxy_header: {error}"));
        assert_eq!(served.events(), expected, "{length} bytes");
    }
}

#[test]
fn refusals_by_a_header_are_reported_ten_times_a_second_and_then_counted() {
    let world = World::new();
    let (served, clients) = serve(&world, Server::default());
    for _ in 0..30 {
        let mut client = clients.connect(&world, BALANCER);
        send(&world, &mut client, b"hello");
    }
    let events = served.events();
    let count = |word| {
        events
            .iter()
            .filter(|event| event.starts_with(word))
            .count()
    };
    assert_eq!((count("refused"), count("closed")), (10, 30));
    world.pass(SECOND);
    assert_eq!(served.events(), ["suppressed 20 0"]);
}
