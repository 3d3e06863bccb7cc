//! The texts of events.

use std::future::Future;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use halves::connection::UnixName;
use halves::limits::Rules;
use halves::listener::memory::{self, MemoryConnection};
use halves::server::Limit;
use halves::{Endpoint, Event, Peer, Reason, Server};

use crate::support::harness::World;

/// The texts of all events while clients each send a line to this handler.
fn events_of<F>(
    lines: &[&'static str],
    handler: impl FnOnce(MemoryConnection) -> F + Clone + 'static,
) -> Vec<String>
where
    F: Future<Output = io::Result<()>> + 'static,
{
    let world = World::new();
    let (listener, connector) = memory::listener(64);
    let events = Arc::new(Mutex::new(Vec::new()));
    let received = events.clone();
    let server = Server::default()
        .clock(world.clock.clone())
        .on_event(move |event| received.lock().expect("no panic").push(event.to_string()));
    let shutdown = server.handle().shutdown().clone();
    let serving = world
        .ex
        .spawn(server.serve(world.ex.clone(), listener, handler));
    for &line in lines {
        let mut writer = world.connect(&connector).writer.buffered();
        let sent = world.now(async move {
            writer.write(line.as_bytes())?;
            writer.close().await
        });
        sent.expect("it listens");
    }
    shutdown.drain();
    world.now(serving).expect("it ends well");
    events.lock().expect("no panic").clone()
}

#[test]
fn a_closed_connection_and_the_end_are_reported_with_peer_and_reason() {
    let fails = async |mut c: MemoryConnection| match c.reader.line().await? {
        Some(word) => Err(io::Error::other(word.escape_ascii().to_string())),
        None => Ok(()),
    };
    assert_eq!(
        events_of(&["why\n", ""], fails),
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
fn no_input_of_a_client_makes_a_second_line() {
    let quotes = async |mut c: MemoryConnection| {
        let line = c.reader.line().await?.unwrap_or_default();
        let text = String::from_utf8_lossy(&line).into_owned();
        assert!(text.starts_with("error"), "{text}");
        Err(io::Error::other(text))
    };
    assert_eq!(
        events_of(
            &["error\rmemory connected\u{202e}\n", "panic\rx\u{1b}[2J\n"],
            quotes
        )[..4],
        [
            "memory connected",
            "memory disconnected: error (error\\rmemory connected\\u{202e}\\n)",
            "memory connected",
            "memory disconnected: panic (panic\\rx\\u{1b}[2J\\n)",
        ]
    );
}

#[test]
fn the_name_of_a_clients_socket_stays_in_its_line() {
    let name = Path::new("/tmp/a\n/tmp/b connected");
    let peer = Peer::new(
        Endpoint::Unix(UnixName::Path(name.into())),
        Endpoint::Unknown,
    );
    let text = Event::Opened(peer).to_string();
    assert_eq!(text, "unix:/tmp/a\\n/tmp/b connected connected");
}

#[test]
fn every_other_event_is_one_line() {
    let second = Duration::from_secs(1);
    let (peer, error) = (Peer::default, io::Error::other("no"));
    for (event, text) in [
        (
            Event::Unsent {
                peer: peer(),
                bytes: 7,
            },
            "unknown lost 7 unsent bytes",
        ),
        (
            Event::Refused {
                peer: peer(),
                reason: Reason::Denied,
                error: None,
            },
            "unknown refused: denied",
        ),
        (
            Event::Refused {
                peer: peer(),
                reason: Reason::Tls,
                error: Some("not\nTLS".to_owned()),
            },
            "unknown refused: tls (not\\nTLS)",
        ),
        (
            Event::Suppressed {
                refused: 3,
                accept_failed: 1,
            },
            "suppressed: 3 refused, 1 not accepted",
        ),
        (Event::AcceptFailed(error), "accept failed: no"),
        (
            Event::LimitReached(Limit::MaxConnections(5)),
            "max_connections=5 is reached: new clients wait",
        ),
        (
            Event::LimitOver(Limit::MaxConnections(5)),
            "max_connections=5 is no longer reached",
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
        assert_eq!(event.to_string(), text);
    }
}

#[test]
fn an_observer_may_call_the_handle_in_each_event() {
    let (done, ended) = mpsc::channel();
    // A lock that one thread takes twice would hang it.
    thread::spawn(move || {
        let world = World::new();
        let server = Server::default();
        let (handle, events) = (server.handle(), Arc::new(AtomicUsize::new(0)));
        let seen = events.clone();
        let server = server.clock(world.clock.clone()).on_event(move |_| {
            handle.set_rules(Rules::default());
            handle.close_clients();
            for connection in handle.connections() {
                handle.kill(connection.id);
            }
            let stats = handle.stats();
            assert!(stats.accepted >= stats.ended.total());
            seen.fetch_add(1, Ordering::Relaxed);
        });
        let shutdown = server.handle().shutdown().clone();
        let (listener, connector) = memory::listener(1);
        let handler = async |_: MemoryConnection| Ok(());
        let serving = world
            .ex
            .spawn(server.serve(world.ex.clone(), listener, handler));
        drop(world.connect(&connector));
        world.settle();
        shutdown.drain();
        world.now(serving).expect("it ends well");
        done.send(events.load(Ordering::Relaxed))
            .expect("a test waits");
    });
    let events = ended.recv_timeout(Duration::from_mins(1));
    assert_eq!(events, Ok(4), "opened, closed, draining, ended");
}

#[test]
fn no_byte_counts_twice_while_an_end_is_reported() {
    let world = World::new();
    let server = Server::default();
    let handle = server.handle();
    let (send, counts) = mpsc::channel();
    let server = server.clock(world.clock.clone()).on_event(move |event| {
        if let Event::Closed(_) = event {
            let live = handle.connections();
            let live_bytes: u64 = live.iter().map(|connection| connection.bytes_in).sum();
            send.send((handle.stats().bytes_in, live_bytes))
                .expect("the test waits");
        }
    });
    let (listener, connector) = memory::listener(1);
    let handler = async |MemoryConnection { mut reader, .. }| {
        let mut word = [0; 5];
        reader.read_exact(&mut word).await
    };
    let serving = world
        .ex
        .spawn(server.serve(world.ex.clone(), listener, handler));
    let mut client = world.connect(&connector);
    let client = world.now(async move {
        client.writer.write_all(b"hello").await.expect("room");
        client
    });
    world.settle();
    drop(client);
    world.settle();
    assert_eq!(counts.try_recv(), Ok((5, 0)));
    drop(serving);
}
