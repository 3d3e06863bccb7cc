//! A relay as the handler of a server: reasons, deadlines and the drain.

use std::time::Duration;

use halves::listener::memory::{self, Connector, MemoryConnection, MemoryListener};
use halves::{Listener, Server, Timeouts, service};

use super::{End, RESET, close, read, write};
use crate::support::harness::{Served, World, server};

const SECOND: Duration = Duration::from_secs(1);

/// A server that relays to an origin in memory.
fn relays(world: &World, server: Server) -> (Served, Connector, MemoryListener) {
    let (origins, connector) = memory::listener(100);
    let handler = async move |client: MemoryConnection| {
        let target = connector.connect().await?;
        service::relay(client, target).await
    };
    let (served, clients) = world.serve_memory(server, handler);
    (served, clients, origins)
}

/// A client, and the origin's end of its relay.
fn connect(
    world: &World,
    clients: &Connector,
    origins: MemoryListener,
) -> (MemoryConnection, MemoryConnection) {
    let client = world.connect(clients);
    world.settle();
    let mut origins = origins;
    let origin = world.now(async move { origins.accept().await });
    (client, origin.expect("open").expect("one has connected"))
}

#[test]
fn the_reason_is_the_end_or_the_error() {
    let world = World::new();
    let (served, clients, origins) = relays(&world, Server::default());
    let (mut client, mut origin) = connect(&world, &clients, origins);
    write(&mut client, b"question").expect("open");
    close(&mut client);
    world.settle();
    write(&mut origin, b"answer").expect("open");
    close(&mut origin);
    world.settle();
    assert_eq!(read(&mut client), (b"answer".to_vec(), End::Closed));
    assert_eq!(served.events(), ["closed 1 eof"]);

    for of_client in [true, false] {
        let (served, clients, origins) = relays(&world, Server::default());
        let (mut client, mut origin) = connect(&world, &clients, origins);
        let (resets, other) = if of_client {
            (&client, &mut origin)
        } else {
            (&origin, &mut client)
        };
        resets.peer.abort();
        world.settle();
        assert_eq!(read(other), (vec![], RESET));
        assert_eq!(served.events(), ["closed 1 error: connection reset"]);
    }
}

#[test]
fn an_idle_timeout_resets_both_sides_and_traffic_of_either_side_prevents_it() {
    let world = World::new();
    let server = Server::default().timeouts(Timeouts::default().idle(SECOND * 10));
    let (served, clients, origins) = relays(&world, server);
    let (mut client, mut origin) = connect(&world, &clients, origins);
    for round in 0..6 {
        world.pass(SECOND * 9);
        let (from, to) = if round % 2 == 0 {
            (&mut client, &mut origin)
        } else {
            (&mut origin, &mut client)
        };
        write(from, b"hello").expect("open");
        world.settle();
        assert_eq!(read(to), (b"hello".to_vec(), End::Open));
    }
    // Nothing is read: the last bytes wait in the relay.
    write(&mut client, &[7; 100]).expect("open");
    world.settle();
    write(&mut client, &[7; 100]).expect("open");
    world.pass(SECOND * 20);
    assert_eq!(served.events(), ["closed 1 idle"]);
    for end in [&mut client, &mut origin] {
        let (_, reset) = read(end);
        assert_eq!(reset, RESET);
    }
}

#[test]
fn a_stalled_reader_is_waited_for() {
    let world = World::new();
    let (served, clients, origins) = relays(&world, Server::default());
    let (mut client, mut origin) = connect(&world, &clients, origins);
    let sent = vec![7; 200];
    assert_eq!(write(&mut client, &sent).expect("open"), 200);
    close(&mut client);
    world.pass(SECOND * 100_000);
    let mut received = Vec::new();
    loop {
        let (bytes, end) = read(&mut origin);
        received.extend(bytes);
        world.settle();
        if end == End::Closed {
            break;
        }
    }
    assert_eq!(received, sent);
    assert!(served.events().is_empty());
}

#[test]
fn a_minimum_rate_leaves_a_slow_target_alone() {
    let world = World::new();
    let server = Server::default().timeouts(Timeouts::default().min_rate(1000));
    let (served, clients, origins) = relays(&world, server);
    let (mut client, mut origin) = connect(&world, &clients, origins);
    write(&mut client, b"question").expect("open");
    world.pass(SECOND * 100);
    assert_eq!(read(&mut origin), (b"question".to_vec(), End::Open));
    write(&mut origin, b"answer").expect("open");
    world.settle();
    assert_eq!(read(&mut client), (b"answer".to_vec(), End::Open));
    assert!(served.events().is_empty());
}

#[test]
fn a_drain_waits_for_the_ends_and_resets_at_the_deadline() {
    let world = World::new();
    let (server, shutdown) = server();
    let (served, clients, origins) = relays(&world, server.drain_timeout(SECOND * 30));
    let (mut client, mut origin) = connect(&world, &clients, origins);
    shutdown.drain();
    world.pass(SECOND * 29);
    write(&mut client, b"question").expect("open");
    world.settle();
    assert_eq!(read(&mut origin), (b"question".to_vec(), End::Open));
    world.pass(SECOND * 2);
    assert_eq!(read(&mut client), (vec![], RESET));
    assert_eq!(read(&mut origin), (vec![], RESET));
    let report = world.report(served);
    assert_eq!((report.finished, report.aborted), (0, 1));
}
