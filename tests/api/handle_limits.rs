//! Limits that a handle changes while connections are open: of all connections, and of each source.

use std::io;
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use halves::limits::Sources;
use halves::listener::memory::MemoryConnection;
use halves::{Reason, Server};

use crate::support::harness::network::{Clients, echoes, identified, network};
use crate::support::harness::{Served, World};

const SECOND: Duration = Duration::from_secs(1);

fn serve(world: &World, server: Server) -> (Served, Clients) {
    let (listener, clients) = network();
    (world.serve(server, listener, echoes), clients)
}

/// Sends a byte, and returns true if it is echoed without time passing.
fn is_served(world: &World, client: &mut MemoryConnection) -> bool {
    let asked = future::block_on(client.writer.write_all(b"x"));
    world.settle();
    let mut echo = [0; 16];
    let answer = future::block_on(future::poll_once(client.reader.read(&mut echo)));
    asked.is_ok() && matches!(answer, Some(Ok(1..)))
}

fn each(count: usize, mut client: impl FnMut(usize) -> MemoryConnection) -> Vec<MemoryConnection> {
    (0..count).map(&mut client).collect()
}

#[test]
fn a_higher_limit_lets_waiting_clients_in_and_no_more() {
    let world = World::new();
    let (served, clients) = serve(&world, Server::default().max_connections(2));
    let mut all = each(5, |_| clients.connect(&world, "192.0.2.1:1"));
    let handle = &served.handle;
    assert_eq!(handle.stats().accepted, 2);
    // The same limit changes nothing.
    handle.set_max_connections(2);
    world.settle();
    assert_eq!(handle.stats().accepted, 2);
    handle.set_max_connections(4);
    world.settle();
    assert_eq!(handle.stats().accepted, 4);
    let mut served_now = || -> Vec<bool> {
        let each = all.iter_mut().map(|client| is_served(&world, client));
        each.collect()
    };
    assert_eq!(served_now(), [true, true, true, true, false]);
    handle.set_max_connections(5);
    world.settle();
    assert_eq!(served_now(), [true; 5]);
    assert_eq!(
        served.events(),
        [
            "reached max_connections=2",
            "over max_connections=2",
            "reached max_connections=4",
            "over max_connections=4",
            "reached max_connections=5",
        ]
    );
}

#[test]
fn a_lower_limit_ends_none_and_new_clients_wait() {
    let world = World::new();
    let (served, clients) = serve(&world, Server::default().max_connections(10));
    let mut open = each(3, |_| clients.connect(&world, "192.0.2.1:1"));
    // It counts as 1.
    served.handle.set_max_connections(0);
    world.settle();
    assert!(open.iter_mut().all(|client| is_served(&world, client)));
    // The accept that waited already was below the old limit.
    let mut late = clients.connect(&world, "192.0.2.1:2");
    let mut last = clients.connect(&world, "192.0.2.1:3");
    assert!(!is_served(&world, &mut last));
    assert_eq!(served.events(), ["reached max_connections=1"]);
    let taken = is_served(&world, &mut late);
    while let Some(client) = open.pop() {
        assert!(!is_served(&world, &mut last), "{} are left", open.len());
        drop(client);
        world.settle();
    }
    assert!(!taken || !is_served(&world, &mut last));
    drop(late);
    world.settle();
    assert!(is_served(&world, &mut last));
    let ended = served.handle.stats().ended;
    assert_eq!(ended[Reason::Eof], ended.total());
}

#[test]
fn a_limit_that_is_lowered_while_clients_wait_holds_them_longer() {
    let world = World::new();
    let (served, clients) = serve(&world, Server::default().max_connections(2));
    let mut open = each(2, |_| clients.connect(&world, "192.0.2.1:1"));
    let mut waits = clients.connect(&world, "192.0.2.1:2");
    served.handle.set_max_connections(1);
    drop(open.pop());
    world.settle();
    assert!(!is_served(&world, &mut waits), "one is open");
    drop(open.pop());
    world.settle();
    assert!(is_served(&world, &mut waits));
    assert_eq!(
        served.events()[..3],
        [
            "reached max_connections=2",
            "over max_connections=2",
            "reached max_connections=1",
        ]
    );
}

#[test]
fn a_limit_set_before_the_server_runs_holds() {
    let world = World::new();
    let server = Server::default();
    server.handle().set_max_connections(1);
    server
        .handle()
        .set_sources(Sources::default().max_connections(1));
    let (served, clients) = serve(&world, server);
    let _open = each(2, |n| clients.connect(&world, &format!("192.0.2.{n}:1")));
    assert_eq!(served.handle.stats().accepted, 1);
    served.handle.set_max_connections(3);
    let mut same = clients.connect(&world, "192.0.2.0:1");
    assert!(!is_served(&world, &mut same));
    assert_eq!(served.handle.stats().ended[Reason::PerSource], 1);
}

/// Clients of one source connect until one is refused. Returns those that are served.
fn fill(world: &World, clients: &Clients, from: &str) -> Vec<MemoryConnection> {
    let mut all = Vec::new();
    loop {
        let mut client = clients.connect(world, from);
        if !is_served(world, &mut client) {
            return all;
        }
        all.push(client);
        assert!(all.len() < 100, "no limit");
    }
}

#[test]
fn open_connections_count_against_a_limit_that_is_set_later() {
    for limit in 1..=5 {
        let world = World::new();
        let (served, clients) = serve(&world, Server::default());
        let mut open = each(3, |_| clients.connect(&world, "192.0.2.1:1"));
        let handle = &served.handle;
        handle.set_sources(Sources::default().max_connections(limit));
        assert_eq!(handle.stats().open, 3, "none is closed");
        assert!(open.iter_mut().all(|client| is_served(&world, client)));
        let room = limit as usize;
        open.extend(fill(&world, &clients, "192.0.2.1:2"));
        assert_eq!(open.len(), room.max(3), "below, at or above {limit}");
        assert_eq!(fill(&world, &clients, "192.0.2.2:1").len(), room);
        world.settle();
        // Each count is given back once.
        open.truncate(room - 1);
        world.settle();
        open.extend(fill(&world, &clients, "192.0.2.1:3"));
        assert_eq!(open.len(), room);
        open.clear();
        world.settle();
        assert_eq!(fill(&world, &clients, "192.0.2.1:4").len(), room);
    }
}

#[test]
fn counts_follow_new_prefixes() {
    let world = World::new();
    let limits = |v4, most| Sources::default().v4_prefix(v4).max_connections(most);
    let (served, clients) = serve(&world, Server::default().sources(limits(32, 10)));
    let mut open = each(4, |n| clients.connect(&world, &format!("192.0.2.{n}:1")));
    // One network: as many as are open, one more, then none at all.
    for (prefix, most, more) in [(24, 4, 0), (24, 5, 1), (32, 2, 1), (24, 2, 0)] {
        served.handle.set_sources(limits(prefix, most));
        let new = fill(&world, &clients, "192.0.2.3:2");
        assert_eq!(new.len(), more, "/{prefix} with {most}");
        drop(new);
        world.settle();
    }
    open.truncate(1);
    world.settle();
    assert_eq!(fill(&world, &clients, "192.0.2.3:2").len(), 1);
    world.settle();
    // Without limits nothing is counted, and with new limits everything is.
    served.handle.set_sources(Sources::default());
    open.extend(each(5, |_| clients.connect(&world, "192.0.2.9:1")));
    drop(open.remove(0));
    world.settle();
    served.handle.set_sources(limits(32, 6));
    assert_eq!(fill(&world, &clients, "192.0.2.9:1").len(), 1);
    assert_eq!(fill(&world, &clients, "192.0.2.0:1").len(), 6);
}

#[test]
fn the_accept_rate_goes_on_if_sources_are_the_same() {
    for (prefix, more) in [(32, 0), (24, 3)] {
        let world = World::new();
        let rate = Sources::default().accept_rate(3);
        let (served, clients) = serve(&world, Server::default().sources(rate.clone()));
        assert_eq!(fill(&world, &clients, "192.0.2.0:1").len(), 3);
        served.handle.set_sources(rate.v4_prefix(prefix));
        assert_eq!(fill(&world, &clients, "192.0.2.0:1").len(), more);
        world.pass(SECOND);
        assert_eq!(fill(&world, &clients, "192.0.2.0:1").len(), 3);
    }
}

#[test]
fn a_client_that_is_named_later_counts_once_and_not_as_its_proxy() -> io::Result<()> {
    let world = World::new();
    let (listener, clients) = network();
    let served = world.serve(Server::default(), listener, identified);
    let mut early = clients.connect_by_proxy(&world, "192.0.2.1:1");
    let mut late = clients.connect_by_proxy(&world, "192.0.2.1:2");
    let name = |client: &mut MemoryConnection, line: &[u8]| {
        future::block_on(client.writer.write_all(line))?;
        world.settle();
        io::Result::Ok(())
    };
    name(&mut early, b"203.0.113.1:5\n")?;
    served
        .handle
        .set_sources(Sources::default().max_connections(2));
    name(&mut late, b"203.0.113.1:6\n")?;
    assert!(is_served(&world, &mut early) && is_served(&world, &mut late));
    let mut third = clients.connect_by_proxy(&world, "192.0.2.1:3");
    name(&mut third, b"203.0.113.1:7\n")?;
    assert!(!is_served(&world, &mut third));
    drop((early, late, third));
    world.settle();
    // Nothing is left, of the client and of the proxy.
    let mut again = Vec::new();
    for _ in 0..2 {
        let mut client = clients.connect_by_proxy(&world, "192.0.2.1:4");
        name(&mut client, b"203.0.113.1:8\n")?;
        assert!(is_served(&world, &mut client));
        again.push(client);
    }
    let mut third = clients.connect_by_proxy(&world, "192.0.2.1:5");
    name(&mut third, b"203.0.113.1:9\n")?;
    assert!(!is_served(&world, &mut third));
    Ok(())
}
