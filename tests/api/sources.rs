//! Limits of one source: connections up to the limit are served, others are closed at once and
//! counted.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use halves::connection::Phase;
use halves::limits::{Rules, Sources};
use halves::listener::memory::MemoryConnection;
use halves::{Reason, Server, Timeouts};
use smol::channel;

use crate::support::harness::network::{Clients, echoes, endpoint, identified, network};
use crate::support::harness::{Served, World};

const SECOND: Duration = Duration::from_secs(1);
const MOMENT: Duration = Duration::from_nanos(1);

fn serve(world: &World, sources: Sources) -> (Served, Clients) {
    let (listener, clients) = network();
    let served = world.serve(Server::default().sources(sources), listener, echoes);
    (served, clients)
}

fn is_served(world: &World, client: &mut MemoryConnection) -> bool {
    let mut echo = [0];
    let asked = future::block_on(client.writer.write_all(b"x"));
    world.settle();
    let answer = future::block_on(client.reader.read(&mut echo));
    asked.is_ok() && matches!(answer, Ok(1))
}

#[test]
fn a_connection_beyond_the_limit_of_its_source_is_closed_at_once() {
    let world = World::new();
    let (served, clients) = serve(&world, Sources::default().max_connections(3));
    let mut first: Vec<_> = (1..=3)
        .map(|port| clients.connect(&world, &format!("192.0.2.1:{port}")))
        .collect();
    let mut fourth = clients.connect(&world, "192.0.2.1:4");
    let mut other = clients.connect(&world, "192.0.2.2:1");
    assert!(first.iter_mut().all(|client| is_served(&world, client)));
    assert!(!is_served(&world, &mut fourth));
    assert!(is_served(&world, &mut other));
    assert_eq!(served.events(), ["refused 4 per_source"]);
    let stats = served.handle.stats();
    assert_eq!(
        (stats.accepted, stats.open, stats.ended[Reason::PerSource]),
        (5, 4, 1)
    );
    // One leaves, and another may connect.
    drop(first.pop());
    world.settle();
    let mut fifth = clients.connect(&world, "192.0.2.1:5");
    assert!(is_served(&world, &mut fifth));
}

#[test]
fn a_source_is_a_network_of_the_given_prefix() {
    for (sources, one, same, other) in [
        (
            Sources::default(),
            "192.0.2.1:1",
            "[::ffff:192.0.2.1]:2",
            "192.0.2.2:1",
        ),
        (
            Sources::default().v4_prefix(24),
            "192.0.2.1:1",
            "192.0.2.255:1",
            "192.0.3.0:1",
        ),
        (
            Sources::default().v4_prefix(0),
            "192.0.2.1:1",
            "10.0.0.1:1",
            "[2001:db8::1]:1",
        ),
        (
            Sources::default(),
            "[2001:db8::1]:1",
            "[2001:db8::ffff:1]:1",
            "[2001:db8:0:1::1]:1",
        ),
        (
            Sources::default().v6_prefix(128),
            "[2001:db8::1]:1",
            "[2001:db8::1]:2",
            "[2001:db8::2]:1",
        ),
        (
            Sources::default().v6_prefix(48),
            "[2001:db8::1]:1",
            "[2001:db8:0:1::1]:1",
            "[2001:db8:1::1]:1",
        ),
    ] {
        let world = World::new();
        let (_served, clients) = serve(&world, sources.max_connections(1));
        let mut clients = [one, same, other].map(|from| clients.connect(&world, from));
        let answers = clients.each_mut().map(|client| is_served(&world, client));
        assert_eq!(answers, [true, false, true], "{one} {same} {other}");
    }
}

#[test]
fn a_source_may_connect_as_often_as_its_rate_allows() {
    let world = World::new();
    let (served, clients) = serve(&world, Sources::default().accept_rate(4));
    let connect = || is_served(&world, &mut clients.connect(&world, "192.0.2.1:1"));
    let at_once: Vec<_> = (0..5).map(|_| connect()).collect();
    assert_eq!(at_once, [true, true, true, true, false]);
    assert!(
        is_served(&world, &mut clients.connect(&world, "192.0.2.2:1")),
        "another source"
    );
    world.pass(SECOND / 4 - MOMENT);
    assert!(!connect(), "its quarter of a second is not over");
    world.pass(MOMENT);
    assert!(connect() && !connect());
    world.pass(SECOND * 10);
    let after_a_rest: Vec<_> = (0..5).map(|_| connect()).collect();
    assert_eq!(
        after_a_rest,
        [true, true, true, true, false],
        "no more than that is saved up"
    );
    assert_eq!(served.handle.stats().ended[Reason::AcceptRate], 4);
}

#[test]
fn rules_are_applied_and_changed_while_serving() {
    let world = World::new();
    let (listener, clients) = network();
    let deny = |net: &str| Rules::default().deny(net.parse().expect(net));
    let server = Server::default().rules(deny("192.0.2.0/24"));
    let served = world.serve(server, listener, echoes);
    let connect = |from| clients.connect(&world, from);
    assert!(!is_served(&world, &mut connect("192.0.2.255:1")));
    assert!(!is_served(&world, &mut connect("[::ffff:192.0.2.7]:1")));
    let mut stays = connect("192.0.3.0:1");
    assert!(is_served(&world, &mut stays));
    served.handle.set_rules(deny("192.0.3.0/24"));
    assert!(is_served(&world, &mut connect("192.0.2.1:1")));
    assert!(!is_served(&world, &mut connect("192.0.3.1:1")));
    assert!(is_served(&world, &mut stays), "open connections stay");
    assert_eq!(served.handle.stats().ended[Reason::Denied], 3);
}

#[test]
fn checks_apply_to_the_client_that_a_proxy_names() {
    let world = World::new();
    let (listener, clients) = network();
    let server = Server::default()
        .sources(Sources::default().max_connections(1))
        .rules(Rules::default().deny("198.51.100.0/24".parse().expect("a network")));
    let served = world.serve(server, listener, identified);
    let connect = |real: &str| {
        let client = clients.connect_by_proxy(&world, "192.0.2.1:1");
        let line = format!("{real}\n");
        world.now(async move {
            let mut client = client;
            client
                .writer
                .write_all(line.as_bytes())
                .await
                .expect("it is read");
            client
        })
    };
    let mut first = connect("203.0.113.1:5");
    let mut second = connect("203.0.113.2:5");
    assert!(
        is_served(&world, &mut first) && is_served(&world, &mut second),
        "not the proxy is counted"
    );
    let peers: Vec<_> = served
        .handle
        .connections()
        .iter()
        .map(|info| info.peer.to_string())
        .collect();
    assert_eq!(peers, ["203.0.113.1:5", "203.0.113.2:5"]);
    let mut third = connect("203.0.113.2:6");
    assert!(!is_served(&world, &mut third));
    let mut denied = connect("198.51.100.7:6");
    assert!(!is_served(&world, &mut denied));
    drop((third, denied));
    world.settle();
    assert_eq!(
        served.events(),
        [
            "refused 3 per_source",
            "closed 3 per_source",
            "refused 4 denied",
            "closed 4 denied",
        ]
    );
    // The place of the ended connection is free again, and no other.
    drop(first);
    world.settle();
    assert!(is_served(&world, &mut connect("203.0.113.1:7")));
    assert!(!is_served(&world, &mut connect("203.0.113.2:7")));
}

#[test]
fn a_client_that_is_not_named_in_time_exceeds_the_handshake_timeout() {
    let world = World::new();
    let (listener, clients) = network();
    let served = world.serve(Server::default(), listener, identified);
    let client = clients.connect_by_proxy(&world, "192.0.2.1:1");
    world.pass(SECOND * 10 - MOMENT);
    assert_eq!(served.handle.connections()[0].phase, Phase::Handshake);
    world.pass(MOMENT);
    drop(client);
    world.settle();
    assert_eq!(served.events(), ["closed 1 handshake"]);
}

#[test]
fn a_name_from_an_untrusted_peer_is_refused() {
    let world = World::new();
    let (listener, clients) = network();
    let received = Rc::new(RefCell::new(None));
    let kept = received.clone();
    let handler = async move |connection: MemoryConnection| {
        let real: SocketAddr = "203.0.113.1:5".parse().expect("an address");
        *kept.borrow_mut() = Some(connection.identify(real).map_err(|error| error.kind()));
        assert_eq!(connection.peer.endpoint(), endpoint("192.0.2.1:1"));
        Ok(())
    };
    let _served = world.serve(Server::default(), listener, handler);
    drop(clients.connect(&world, "192.0.2.1:1"));
    world.settle();
    assert_eq!(received.take(), Some(Err(io::ErrorKind::InvalidInput)));
}

#[test]
fn the_real_client_is_set_once() {
    let world = World::new();
    let (listener, clients) = network();
    let handler = async |connection: MemoryConnection| {
        for n in [1, 2] {
            connection.identify(SocketAddr::from(([203, 0, 113, n], 5)))?;
        }
        Ok(())
    };
    let served = world.serve(Server::default(), listener, handler);
    drop(clients.connect_by_proxy(&world, "192.0.2.1:1"));
    world.settle();
    let closed = "closed 1 error: cannot set the real client: not asked for, or set already";
    assert_eq!(served.events(), [closed]);
}

#[test]
fn every_place_is_released_however_a_connection_ends() {
    let world = World::new();
    let (listener, clients) = network();
    let handler = async |mut connection: MemoryConnection| {
        let mut how = [0];
        connection.reader.read_exact(&mut how).await?;
        match &how {
            b"p" => panic!("as ordered"),
            b"e" => Err(io::Error::other("as ordered")),
            _ => future::pending().await,
        }
    };
    let server = Server::default().sources(Sources::default().max_connections(1));
    let served = world.serve(server, listener, handler);
    for how in ["p", "e", "kill", "close", "abort", "gone"] {
        let mut client = clients.connect(&world, "192.0.2.1:1");
        let _ = future::block_on(client.writer.write_all(&how.as_bytes()[..1]));
        world.settle();
        let id = served.handle.connections().first().map(|info| info.id);
        match how {
            "kill" => assert!(served.handle.kill(id.expect("it is open"))),
            "close" => served.handle.close_clients(),
            "abort" => served.handle.abort_clients(),
            "gone" => {
                served.handle.kill(id.expect("it is open"));
            }
            _ => {}
        }
        drop(client);
        world.settle();
        assert_eq!(served.handle.stats().open, 0, "after {how}");
    }
    let ended = served.handle.stats().ended;
    assert_eq!((ended[Reason::PerSource], ended.total()), (0, 6));
    assert_eq!(
        (
            ended[Reason::Killed],
            ended[Reason::Closed],
            ended[Reason::Aborted]
        ),
        (2, 1, 1)
    );
}

#[test]
fn a_client_that_is_named_after_the_end_takes_no_place() {
    let world = World::new();
    let (listener, clients) = network();
    let (ex, names) = (world.ex.clone(), channel::unbounded::<SocketAddr>());
    let named = names.1;
    let handler = async move |connection: MemoryConnection| {
        // The handler returns, and a task of it goes on.
        let naming = async move {
            let real = named.recv().await.expect("a name");
            connection.identify(real).expect("it is asked for once");
        };
        ex.spawn(naming).detach();
        Ok(())
    };
    let server = Server::default().sources(Sources::default().max_connections(1));
    let served = world.serve(server, listener, handler);
    for _ in 0..3 {
        drop(clients.connect_by_proxy(&world, "192.0.2.1:1"));
        world.settle();
        let real = "203.0.113.1:5".parse().expect("an address");
        names.0.try_send(real).expect("it is awaited");
        world.settle();
    }
    let ended = ["closed 1 handler", "closed 2 handler", "closed 3 handler"];
    assert_eq!(served.events(), ended);
}

#[test]
fn a_hundred_thousand_connections_under_every_limit_leave_all_counts_at_zero() {
    let world = World::new();
    let (listener, clients) = network();
    let timeouts = Timeouts::default()
        .idle(SECOND * 60)
        .lifetime(SECOND * 600)
        .min_rate(1);
    let server = Server::default()
        .max_connections(5)
        .sources(Sources::default().max_connections(1).accept_rate(1000))
        .timeouts(timeouts);
    let served = world.serve(server, listener, echoes);
    for n in 0..100_000_u32 {
        drop(clients.connect(&world, &format!("192.0.2.{}:1", n % 200)));
        if n % 1000 == 0 {
            world.pass(SECOND);
        }
    }
    world.settle();
    let stats = served.handle.stats();
    assert_eq!((stats.accepted, stats.open), (100_000, 0));
    assert_eq!(stats.ended[Reason::Eof], 100_000);
    // All places are free.
    let mut client = clients.connect(&world, "192.0.2.0:1");
    assert!(is_served(&world, &mut client));
}
