//! Clients of the metrics listener that send wrong requests, or none.

use std::io::{Read, Write};

use super::{Answer, measured, request};
use crate::common::Client;

/// The most connections of the listener.
const MAX_CONNECTIONS: usize = 32;

/// Reads one response. Its head has the length of its body.
fn response(client: &mut Client) -> Answer {
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.0.read_exact(&mut byte).expect("it answers");
        text.push(byte[0]);
    }
    let head = String::from_utf8(text).expect("text");
    let (_, rest) = head.split_once("Content-Length: ").expect("a length");
    let length = rest
        .lines()
        .next()
        .expect("a length")
        .parse()
        .expect("a number");
    let mut body = vec![0; length];
    client.0.read_exact(&mut body).expect("a body");
    Answer::parse(&(head + &String::from_utf8(body).expect("text")))
}

#[test]
fn a_connection_is_used_again() {
    let server = measured(&["serve", "upper"]);
    let mut client = server.connect();
    for path in ["/healthz", "/nothing", "/readyz"] {
        client
            .0
            .write_all(request(path, "").as_bytes())
            .expect("it reads");
        let status = if path == "/nothing" { 404 } else { 200 };
        assert_eq!(response(&mut client).status(), status);
    }
    assert_eq!(client.finish(), b"");
}

#[test]
fn nonsense_is_refused_and_the_service_goes_on() {
    let server = measured(&["serve", "upper"]);
    let huge = request("/", &format!("A: {}\r\n", "a".repeat(100_000)));
    let tls = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n\n";
    for (bytes, status) in [
        (&b"\r\n\r\nnonsense\r\n\r\n"[..], 400),
        (tls, 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        (
            b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
            405,
        ),
        (huge.as_bytes(), 431),
    ] {
        let answer = server.connect().send(bytes);
        let answer = Answer::parse(&String::from_utf8(answer).expect("text"));
        assert_eq!(answer.status(), status, "{answer:?}");
        assert_eq!(answer.field("Connection"), "close");
    }
    assert_eq!(server.server.client().ask("hello"), "HELLO");
    assert_eq!(server.get("/healthz").status(), 200);
}

#[test]
fn a_flood_of_requests_is_answered_in_order() {
    let server = measured(&["serve", "upper"]);
    let mut client = server.connect();
    let mut writer = client.0.try_clone().expect("a socket");
    let sender = std::thread::spawn(move || {
        for _ in 0..200 {
            writer
                .write_all(request("/metrics", "").as_bytes())
                .expect("it reads");
        }
    });
    for _ in 0..200 {
        assert_eq!(response(&mut client).status(), 200);
    }
    sender.join().expect("it has sent all");
}

#[test]
fn further_clients_wait_and_the_service_does_not() {
    let server = measured(&["serve", "upper"]);
    let mut clients: Vec<_> = (0..MAX_CONNECTIONS).map(|_| server.connect()).collect();
    // Each is accepted, and stays.
    for client in &mut clients {
        client
            .0
            .write_all(request("/healthz", "").as_bytes())
            .expect("it reads");
        assert_eq!(response(client).status(), 200);
    }
    let mut late = server.connect();
    late.0
        .write_all(request("/readyz", "").as_bytes())
        .expect("it connects");
    late.0.set_nonblocking(true).expect("a socket");
    for _ in 0..100 {
        assert_eq!(server.server.client().ask("hello"), "HELLO");
        let early = late.0.read(&mut [0]).expect_err("no answer");
        assert_eq!(early.kind(), std::io::ErrorKind::WouldBlock);
    }
    late.0.set_nonblocking(false).expect("a socket");
    drop(clients.pop());
    assert_eq!(response(&mut late).status(), 200);
}

#[test]
fn clients_that_read_nothing_do_not_hold_up_the_end() {
    let mut server = measured(&["serve", "upper"]);
    let stuck: Vec<_> = (0..MAX_CONNECTIONS)
        .map(|_| {
            let mut client = server.connect();
            client
                .0
                .write_all(request("/", "").repeat(900).as_bytes())
                .expect("it reads");
            client
        })
        .collect();
    assert_eq!(server.server.client().ask("hello"), "HELLO");
    server.server.end();
    drop(stuck);
}
