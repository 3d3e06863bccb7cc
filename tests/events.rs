//! What a server tells, in words.

mod harness;

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use halves::listener::memory::{self, MemoryConnection};
use halves::{Event, Limit, Peer, Reason, Server};
use harness::World;

#[test]
fn a_connection_and_the_end_are_told_with_who_it_was_and_why() {
    let world = World::new();
    let (listener, connector) = memory::listener(64);
    let said = Arc::new(Mutex::new(Vec::new()));
    let heard = said.clone();
    let server = Server::default()
        .clock(world.clock.clone())
        .on_event(move |event| heard.lock().expect("no panic").push(event.to_string()));
    let shutdown = server.handle().shutdown().clone();
    let fails = async |mut c: MemoryConnection| match c.reader.line().await? {
        Some(word) => Err(io::Error::other(word.escape_ascii().to_string())),
        None => Ok(()),
    };
    let serving = world
        .ex
        .spawn(server.serve(world.ex.clone(), listener, fails));
    for word in [&b"why\n"[..], b""] {
        let mut writer = world.connect(&connector).writer.buffered();
        let said = world.now(async move {
            writer.write(word)?;
            writer.close().await
        });
        said.expect("it listens");
    }
    shutdown.drain();
    world.now(serving).expect("it ends well");
    assert_eq!(
        *said.lock().expect("no panic"),
        [
            "memory connected",
            "memory disconnected: error (why\\n)",
            "memory connected",
            "memory disconnected: eof",
            "draining 0 connections within 30s",
            "ended: 0 finished in the drain, 0 aborted",
        ]
    );
}

#[test]
fn everything_else_is_a_line_too() {
    let second = Duration::from_secs(1);
    let (peer, error) = (Peer::default, io::Error::other("no"));
    for (event, said) in [
        (
            Event::Unsent {
                peer: peer(),
                bytes: 7,
            },
            "unknown did not get the last 7 bytes",
        ),
        (
            Event::Refused {
                peer: peer(),
                reason: Reason::Denied,
                unsaid: 3,
            },
            "unknown refused: denied (after 3 others)",
        ),
        (
            Event::AcceptFailed(error),
            "a connection was not accepted: no",
        ),
        (
            Event::LimitReached(Limit::MaxConnections(5)),
            "max_connections=5 is reached: new clients wait",
        ),
        (
            Event::LimitOver(Limit::MaxConnections(5)),
            "max_connections=5 is over",
        ),
        (
            Event::Delaying { delay: second },
            "not ready, draining in 1s",
        ),
        (
            Event::StillDraining {
                connections: 2,
                left: second,
            },
            "still draining 2 connections, 1s left",
        ),
    ] {
        assert_eq!(event.to_string(), said);
    }
}
