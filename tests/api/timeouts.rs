//! The deadlines of a connection: each takes effect exactly at its time, with its reason.

use std::future::pending;
use std::io;
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use halves::connection::Phase;
use halves::listener::memory::{self, Connector, MemoryConnection};
use halves::{Reason, Server, Timeouts};

use crate::support::harness::network::echoes;
use crate::support::harness::script::read_to_end;
use crate::support::harness::{Served, World};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);
const MOMENT: Duration = Duration::from_nanos(1);

fn serve(world: &World, timeouts: Timeouts) -> (Served, Connector) {
    world.serve_memory(Server::default().timeouts(timeouts), echoes)
}

/// Sends a byte, and takes the echo.
fn talk(world: &World, mut client: MemoryConnection, bytes: usize) -> MemoryConnection {
    world.now(async move {
        let mut echo = vec![0; bytes];
        client.writer.write_all(&echo).await.expect("it is read");
        client
            .reader
            .read_exact(&mut echo)
            .await
            .expect("it is echoed");
        client
    })
}

#[test]
fn an_idle_connection_is_closed_in_order_at_the_timeout_and_not_before() {
    let world = World::new();
    let (served, connector) = serve(&world, Timeouts::default().idle(HOUR));
    let client = world.connect(&connector);
    world.pass(HOUR - MOMENT);
    assert!(served.events().is_empty());
    world.pass(MOMENT);
    assert_eq!(world.now(read_to_end(client)).expect("an orderly end"), b"");
    assert_eq!(served.events(), ["closed 1 idle"]);
    assert_eq!(served.handle.stats().ended[Reason::Idle], 1);
}

#[test]
fn bytes_in_either_direction_restart_the_idle_timeout() {
    let world = World::new();
    let server = Server::default().timeouts(Timeouts::default().idle(HOUR));
    // The handler writes by its own clock; the client sends nothing.
    let clock = world.clock.clone();
    let handler = async move |mut c: MemoryConnection| {
        loop {
            clock.sleep(HOUR / 2).await;
            c.writer.write_all(b"tick").await?;
        }
    };
    let (speaks, one) = world.serve_memory(server, handler);
    let (listens, two) = serve(&world, Timeouts::default().idle(HOUR));
    let _quiet = world.connect(&one);
    let mut talks = world.connect(&two);
    for _ in 0..10 {
        world.pass(HOUR / 2);
        talks = talk(&world, talks, 1);
    }
    assert!(speaks.events().is_empty() && listens.events().is_empty());
    world.pass(HOUR - MOMENT);
    assert!(listens.events().is_empty(), "counted from the last byte");
    world.pass(MOMENT);
    assert_eq!(listens.open(), 0);
    drop(talks);
    world.settle();
    assert_eq!(listens.events(), ["closed 1 idle"]);
}

#[test]
fn a_writer_that_waits_for_its_peer_is_idle_and_its_connection_is_reset() {
    let world = World::new();
    let (listener, connector) = memory::listener(100);
    let server = Server::default().timeouts(Timeouts::default().idle(SECOND));
    let served = world.serve(server, listener, async |mut c: MemoryConnection| {
        c.writer.write_all(&[0; 1000]).await
    });
    let client = world.connect(&connector);
    world.pass(SECOND);
    assert_eq!(served.events(), ["closed 1 idle"]);
    let cut = world
        .now(read_to_end(client))
        .expect_err("a cut answer must not look whole");
    assert_eq!(cut.kind(), io::ErrorKind::ConnectionReset);
}

#[test]
fn a_lifetime_ends_between_nine_tenths_and_the_whole_idle_or_not() {
    let world = World::new();
    let timeouts = Timeouts::default().lifetime(HOUR);
    let server = Server::default().timeouts(timeouts).seed(1);
    let (served, connector) = world.serve_memory(server, echoes);
    let clients: Vec<_> = (0..100).map(|_| world.connect(&connector)).collect();
    world.pass(HOUR * 9 / 10 - MOMENT);
    let mut open = vec![served.open()];
    for _ in 0..10 {
        world.pass(HOUR / 100);
        open.push(served.open());
    }
    world.pass(MOMENT);
    open.push(served.open());
    assert_eq!((open[0], open[11]), (100, 0));
    assert!(open.windows(2).all(|pair| pair[0] >= pair[1]), "{open:?}");
    assert!(
        (20..80).contains(&open[5]),
        "spread over the tenth: {open:?}"
    );
    drop(clients);
    world.settle();
    assert_eq!(served.handle.stats().ended[Reason::Lifetime], 100);
}

#[test]
fn the_same_seed_gives_the_same_lifetimes() {
    let ends = |seed| {
        let world = World::new();
        let server = Server::default()
            .timeouts(Timeouts::default().lifetime(HOUR))
            .seed(seed);
        let (served, connector) = world.serve_memory(server, echoes);
        let _clients: Vec<_> = (0..10).map(|_| world.connect(&connector)).collect();
        let mut order = Vec::new();
        while served.handle.stats().open > 0 {
            world.pass(SECOND);
            order.extend(served.events());
        }
        order
    };
    assert_eq!(ends(1), ends(1));
    assert_ne!(ends(1), ends(2));
}

#[test]
fn a_handshake_has_ten_seconds_from_accept() {
    let world = World::new();
    let handler = async |mut c: MemoryConnection| {
        let handshake = c.peer.handshake();
        let mut word = [0; 2];
        c.reader.read_exact(&mut word).await?;
        drop(handshake);
        pending().await
    };
    let (served, connector) = world.serve_memory(Server::default(), handler);
    let mut quick = world.connect(&connector);
    let mut slow = world.connect(&connector);
    let phases = || {
        let mut connections = served.handle.connections();
        connections.sort_by_key(|connection| connection.id);
        connections
            .iter()
            .map(|connection| connection.phase)
            .collect::<Vec<_>>()
    };
    world.settle();
    assert_eq!(phases(), [Phase::Handshake, Phase::Handshake]);
    world.pass(SECOND * 10 - MOMENT);
    let (quick, slow) = world.now(async move {
        quick.writer.write_all(b"ok").await.expect("it is read");
        slow.writer.write_all(b"o").await.expect("it is read");
        (quick, slow)
    });
    assert_eq!(phases(), [Phase::Open, Phase::Handshake]);
    world.pass(MOMENT);
    assert_eq!(served.events(), Vec::<String>::new());
    drop(slow);
    world.settle();
    assert_eq!(served.events(), ["closed 2 handshake"]);
    world.pass(HOUR);
    assert_eq!(phases(), [Phase::Open]);
    drop(quick);
}

#[test]
fn a_handshake_deadline_comes_before_a_later_idle_one() {
    let world = World::new();
    let handler = async |c: MemoryConnection| {
        let _handshake = c.peer.handshake();
        pending().await
    };
    let timeouts = Timeouts::default().idle(HOUR).handshake(SECOND);
    let (served, connector) = world.serve_memory(Server::default().timeouts(timeouts), handler);
    let client = world.connect(&connector);
    world.settle();
    world.pass(SECOND);
    assert_eq!(served.handle.stats().ended[Reason::Handshake], 0);
    drop(client);
    world.settle();
    assert_eq!(served.events(), ["closed 1 handshake"]);
}

#[test]
fn nothing_sleeps_for_a_connection_that_has_ended() {
    let world = World::new();
    let timeouts = Timeouts::default()
        .idle(HOUR)
        .lifetime(HOUR * 2)
        .min_rate(1);
    let (served, connector) = serve(&world, timeouts);
    for _ in 0..1000 {
        drop(world.connect(&connector));
        world.pass(Duration::from_millis(1));
    }
    assert_eq!(served.handle.stats().ended[Reason::Eof], 1000);
    assert!(!world.manual.advance_to_next());
}
