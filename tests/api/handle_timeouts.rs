//! Timeouts that a handle changes while connections are open.

use std::future::pending;
use std::io;
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use halves::connection::Phase;
use halves::listener::memory::{Connector, MemoryConnection};
use halves::{Reason, Server, Timeouts};

use crate::support::harness::network::echoes;
use crate::support::harness::{Served, World};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);
const MOMENT: Duration = Duration::from_nanos(1);

fn serve(world: &World, timeouts: Timeouts) -> (Served, Connector) {
    world.serve_memory(Server::default().timeouts(timeouts), echoes)
}

fn idle(time: Duration) -> Timeouts {
    Timeouts::default().idle(time)
}

/// Sends text, and takes the echo.
fn talk(world: &World, client: &mut MemoryConnection, text: &[u8]) {
    future::block_on(client.writer.write_all(text)).expect("it fits");
    world.settle();
    let echo = future::block_on(client.reader.exactly(text.len()));
    assert_eq!(echo.expect("it is echoed"), text);
}

async fn lines(mut c: MemoryConnection) -> io::Result<()> {
    while let Some(line) = c.reader.line().await? {
        c.writer.write_all(&line).await?;
    }
    Ok(())
}

fn send(world: &World, client: &mut MemoryConnection, text: &[u8]) {
    future::block_on(client.writer.write_all(text)).expect("it fits");
    world.settle();
}

/// Asserts that the server has closed this connection with `reason`, and no other one.
#[track_caller]
fn assert_closed(world: &World, served: &Served, client: MemoryConnection, reason: &str) {
    drop(client);
    world.settle();
    assert_eq!(served.events(), [format!("closed 1 {reason}")]);
}

#[test]
fn a_new_idle_timeout_counts_from_the_last_byte() {
    // The server has no timeout, a longer one, or a shorter one.
    for before in [Duration::ZERO, HOUR, SECOND * 8] {
        let world = World::new();
        let (served, connector) = serve(&world, idle(before));
        let mut client = world.connect(&connector);
        world.pass(SECOND);
        talk(&world, &mut client, b"x");
        world.pass(SECOND * 5);
        served.handle.set_timeouts(idle(SECOND * 10));
        world.pass(SECOND * 5 - MOMENT);
        assert_eq!(served.open(), 1);
        world.pass(MOMENT);
        assert_eq!(served.open(), 0);
        assert_closed(&world, &served, client, "idle");
    }
}

#[test]
fn activity_after_the_change_moves_the_deadline() {
    let world = World::new();
    let (served, connector) = serve(&world, Timeouts::default());
    let mut client = world.connect(&connector);
    served.handle.set_timeouts(idle(SECOND * 10));
    for _ in 0..5 {
        world.pass(SECOND * 10 - MOMENT);
        talk(&world, &mut client, b"x");
    }
    world.pass(SECOND * 10 - MOMENT);
    assert_eq!(served.open(), 1);
    world.pass(MOMENT);
    assert_closed(&world, &served, client, "idle");
}

#[test]
fn a_connection_beyond_a_new_timeout_is_closed_at_once() {
    let world = World::new();
    let (served, connector) = serve(&world, Timeouts::default());
    let client = world.connect(&connector);
    world.pass(SECOND * 10);
    let mut fresh = world.connect(&connector);
    served.handle.set_timeouts(idle(SECOND * 10 + MOMENT));
    world.settle();
    assert_eq!(served.open(), 2, "below it");
    served.handle.set_timeouts(idle(SECOND * 10));
    world.settle();
    assert_eq!(served.open(), 1, "at it");
    assert_closed(&world, &served, client, "idle");
    talk(&world, &mut fresh, b"x");
}

#[test]
fn timeouts_that_are_off_end_nothing_and_can_be_set_again() {
    let world = World::new();
    let all = idle(SECOND).lifetime(SECOND * 2).min_rate(10);
    let (served, connector) = serve(&world, all);
    let client = world.connect(&connector);
    served.handle.set_timeouts(Timeouts::default());
    world.pass(HOUR);
    assert_eq!(served.events(), [""; 0]);
    served.handle.set_timeouts(idle(HOUR * 2));
    world.pass(HOUR);
    assert_closed(&world, &served, client, "idle");
}

#[test]
fn a_lifetime_counts_from_the_accept_with_the_same_part_each_time() {
    let lives = |changes: &[Duration]| {
        let world = World::new();
        let server = Server::default().seed(7);
        let server = server.timeouts(Timeouts::default().lifetime(HOUR));
        let (served, connector) = world.serve_memory(server, echoes);
        let clients: Vec<_> = (0..10).map(|_| world.connect(&connector)).collect();
        for &lifetime in changes {
            let timeouts = Timeouts::default().lifetime(lifetime);
            served.handle.set_timeouts(timeouts);
            world.pass(SECOND);
        }
        let mut order = Vec::new();
        while served.open() > 0 {
            let mut left = served.handle.connections();
            left.retain(|info| info.phase == Phase::Open);
            left.sort_by_key(|info| info.deadline.map(|deadline| deadline.left));
            order.push(left[0].id);
            let deadline = left[0].deadline.expect("it has a lifetime");
            assert_eq!(deadline.reason, Reason::Lifetime);
            let whole = deadline.left + left[0].age;
            assert!((HOUR * 9 / 10..=HOUR).contains(&whole), "{whole:?}");
            let open = served.open();
            world.pass(deadline.left - MOMENT);
            assert_eq!(served.open(), open);
            world.pass(MOMENT);
            assert!(served.open() < open);
        }
        drop(clients);
        order
    };
    let order = lives(&[]);
    assert_eq!(order, lives(&[HOUR]));
    assert_eq!(order, lives(&[Duration::ZERO, HOUR * 3, HOUR]));
}

#[test]
fn a_new_handshake_timeout_applies_to_handshakes_in_progress_only() {
    for before in [Duration::ZERO, SECOND * 10] {
        let world = World::new();
        let handler = async |mut c: MemoryConnection| {
            let handshake = c.peer.handshake();
            let word = c.reader.exactly(2).await.map_err(io::Error::other)?;
            drop((handshake, word));
            pending().await
        };
        let server = Server::default().timeouts(Timeouts::default().handshake(before));
        let (served, connector) = world.serve_memory(server, handler);
        let slow = world.connect(&connector);
        let mut quick = world.connect(&connector);
        future::block_on(quick.writer.write_all(b"ok")).expect("it fits");
        world.pass(SECOND);
        let timeouts = Timeouts::default().handshake(SECOND * 3);
        served.handle.set_timeouts(timeouts);
        world.pass(SECOND * 2 - MOMENT);
        assert_eq!(served.handle.stats().open, 2);
        assert_eq!(served.events(), [""; 0]);
        world.pass(MOMENT);
        assert_closed(&world, &served, slow, "handshake");
        assert_eq!(served.open(), 1);
    }
}

#[test]
fn a_new_minimum_rate_is_measured_from_the_change_on() {
    for before in [0, 1] {
        let world = World::new();
        let server = Server::default().timeouts(Timeouts::default().min_rate(before));
        let (served, connector) = world.serve_memory(server, lines);
        let mut slow = world.connect(&connector);
        let mut whole = world.connect(&connector);
        talk(&world, &mut slow, b"hello\n");
        send(&world, &mut slow, b"dripped");
        world.pass(SECOND * 4);
        served.handle.set_timeouts(Timeouts::default().min_rate(10));
        world.settle();
        send(&world, &mut slow, b"dripped");
        world.pass(SECOND * 5 - MOMENT);
        assert_eq!(served.open(), 2, "the time before does not count");
        talk(&world, &mut whole, b"a request\n");
        world.pass(MOMENT);
        assert_closed(&world, &served, slow, "min_rate");
        world.pass(HOUR);
        assert_eq!(served.open(), 1, "it only waits between requests");
    }
}

#[test]
fn a_wait_before_a_minimum_rate_is_set_again_does_not_count() {
    let world = World::new();
    let rate = Timeouts::default().min_rate(10);
    let server = Server::default().timeouts(rate.clone());
    let (served, connector) = world.serve_memory(server, lines);
    let mut client = world.connect(&connector);
    send(&world, &mut client, b"half a");
    served.handle.set_timeouts(Timeouts::default());
    send(&world, &mut client, b" request\n");
    world.pass(HOUR);
    served.handle.set_timeouts(rate);
    world.pass(SECOND * 4);
    // The first byte of a request, which is slow from now on.
    send(&world, &mut client, b"x");
    world.pass(SECOND * 5 - MOMENT);
    assert_eq!((served.open(), served.events()), (1, vec![]));
    world.pass(MOMENT);
    assert_closed(&world, &served, client, "min_rate");
}

#[test]
fn a_connection_that_closes_keeps_its_reason_and_its_time() {
    let world = World::new();
    let (served, connector) = serve(&world, idle(SECOND));
    let mut client = world.connect(&connector);
    world.pass(SECOND);
    served.handle.set_timeouts(idle(MOMENT).lifetime(MOMENT));
    world.pass(SECOND);
    // It lingers, and reads the end of the client.
    let end = future::block_on(future::poll_once(client.reader.read(&mut [0])));
    assert!(matches!(end, Some(Ok(0))), "{end:?}");
    assert_closed(&world, &served, client, "idle");
}
