//! Bytes and idle time of a connection of which a child has the socket.

use std::time::Duration;

use halves::{Server, Timeouts};

use super::{Peers, Started, gone, served, sh};
use crate::support::harness::sockets::{self, Family, eventually};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn the_kernel_counts_the_bytes_of_a_tcp_connection() {
    sockets::run(Family::Tcp, async |world| {
        let peers = Peers::default();
        let served = peers
            .serve(&world, Server::default(), sh("cat; echo end"))
            .await;
        let client = served.connect();
        client.send(&[b'a'; 10_000]);
        client.take(10_000).await;
        let counts = || {
            let connection = served.handle.connections().remove(0);
            (connection.bytes_in, connection.bytes_out)
        };
        assert_eq!(counts(), (10_000, 10_000));
        client.send(b"bc");
        client.take(2).await;
        let peer = peers.first();
        assert_eq!((peer.bytes_in(), peer.bytes_out()), (10_002, 10_002));
        client.end();
        assert_eq!(client.rest().await.0, b"end\n");
        assert_eq!(served.until_closed().await, ["closed 1 eof"]);
        assert_eq!((peer.bytes_in(), peer.bytes_out()), (10_002, 10_006));
        let stats = served.handle.stats();
        assert_eq!((stats.bytes_in, stats.bytes_out), (10_002, 10_006));
    });
}

#[test]
fn a_reset_does_not_clear_the_counts() {
    sockets::run(Family::Tcp, async |world| {
        let (peers, started) = (Peers::default(), Started::default());
        let exec = started.of(sh("cat"));
        let served = peers.serve(&world, Server::default(), exec).await;
        let client = served.connect();
        client.send(b"hello");
        client.take(5).await;
        assert!(served.handle.kill(1));
        assert_eq!(served.until_closed().await, ["closed 1 killed"]);
        let peer = peers.first();
        assert_eq!((peer.bytes_in(), peer.bytes_out()), (5, 5));
        gone(started.id().await).await;
    });
}

#[test]
fn the_bytes_of_a_unix_socket_are_not_counted() {
    sockets::run(Family::Unix, async |world| {
        let (served, client) = served(&world, sh("cat")).await;
        client.send(b"hello");
        client.take(5).await;
        let connection = served.handle.connections().remove(0);
        assert_eq!((connection.bytes_in, connection.bytes_out), (0, 0));
    });
}

/// A child of a Unix socket has pipes then.
#[test]
fn bytes_between_client_and_child_keep_a_connection_from_being_idle() {
    for family in super::FAMILIES {
        sockets::run(family, async |world| {
            let started = Started::default();
            let timeouts = Timeouts::default().idle(10 * SECOND);
            let server = Server::default().timeouts(timeouts);
            let served = started.serve(&world, server, sh("cat")).await;
            let client = served.connect();
            for _ in 0..3 {
                world.pass(9 * SECOND).await;
                client.send(b"a");
                client.take(1).await;
            }
            assert_eq!(served.handle.connections()[0].id, 1);
            world.pass(9 * SECOND).await;
            assert!(client.try_take(1).is_none(), "it is open");
            world.pass(SECOND).await;
            let (rest, end) = client.rest().await;
            end.expect("in order");
            assert!(rest.is_empty());
            client.end();
            assert_eq!(served.until_closed().await, ["closed 1 idle"]);
            gone(started.id().await).await;
        });
    }
}

#[test]
fn a_connection_without_bytes_is_idle() {
    for family in super::FAMILIES {
        sockets::run(family, async |world| {
            let started = Started::default();
            let timeouts = Timeouts::default().idle(10 * SECOND);
            let server = Server::default().timeouts(timeouts);
            let served = started.serve(&world, server, sh("exec sleep 1000")).await;
            let client = served.connect();
            let child = started.id().await;
            let idle = || served.handle.connections().pop().map(|one| one.idle);
            assert_eq!(eventually(idle).await, Duration::ZERO);
            world.pass(10 * SECOND - Duration::from_nanos(1)).await;
            assert!(client.try_take(1).is_none(), "it is open");
            world.pass(Duration::from_nanos(1)).await;
            client.rest().await.1.expect("in order");
            client.end();
            assert_eq!(served.until_closed().await, ["closed 1 idle"]);
            gone(child).await;
        });
    }
}
