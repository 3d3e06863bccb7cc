//! Any bytes in any pieces end in one reason, with one line of each event.

use fastrand::Rng;
use futures_lite::AsyncWriteExt;
use futures_lite::future::{block_on, poll_once};
use halves::proxy_protocol::Header;
use halves::{Endpoint, Server};

use super::check;
use super::sources::{BALANCER, CLIENT_HEADER, SECOND, serve};
use crate::support::harness::World;
use crate::support::seed::seed;

/// Bytes that often begin like a header.
fn random_input(random: &mut Rng) -> Vec<u8> {
    let header = Header::new(Endpoint::Memory, Endpoint::Memory);
    let mut bytes = match random.u8(..5) {
        0 => CLIENT_HEADER.to_vec(),
        1 => header.to_v2(true),
        2 => Header::local().to_v2(false),
        3 => b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec(),
        _ => Vec::new(),
    };
    let more = random.usize(..300);
    bytes.extend((0..more).map(|_| random.u8(..)));
    for _ in 0..random.usize(..3) {
        let position = random.usize(..=bytes.len());
        if let Some(byte) = bytes.get_mut(position) {
            *byte = random.u8(..);
        }
    }
    bytes
}

#[test]
fn each_connection_ends_with_one_reason_and_one_line_of_each_event() {
    let mut random = Rng::with_seed(seed());
    let world = World::new();
    let (served, clients) = serve(&world, Server::default());
    for id in 1..=2_000 {
        // Below the limit of ten refusals a second.
        world.pass(SECOND);
        drop(served.events());
        let mut client = clients.connect(&world, BALANCER);
        let input = random_input(&mut random);
        let mut sent = &input[..];
        while !sent.is_empty() {
            let (piece, rest) = sent.split_at(random.usize(1..=sent.len()));
            // The server may have ended the connection.
            let _ = block_on(poll_once(client.writer.write_all(piece)));
            world.settle();
            sent = rest;
        }
        drop(client);
        world.settle();
        let events = served.events();
        let (last, refused) = events.split_last().expect("an event");
        let mut words = last.split(' ');
        assert_eq!(words.next(), Some("closed"), "{events:?}");
        assert_eq!(words.next(), Some(&*id.to_string()), "{events:?}");
        let reason = words.next().expect("a reason").trim_end_matches(':');
        match reason {
            "proxy_header" => assert_eq!(refused.len(), 1, "{events:?}"),
            "eof" | "error" => assert!(refused.is_empty(), "{events:?}"),
            other => panic!("{other} after {input:?}"),
        }
    }
    assert_eq!(served.handle.stats().open, 0);
}

#[test]
fn the_bytes_that_are_received_are_those_of_the_header() {
    let mut random = Rng::with_seed(seed());
    for _ in 0..5_000 {
        check::check_received(&random_input(&mut random));
    }
}
