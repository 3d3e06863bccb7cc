//! Bytes accepted by a writer are sent, whatever happens to the writer.

use std::io;
use std::net::TcpListener;

use super::*;

use crate::support::harness::sockets::{TIMEOUT, run};

#[test]
fn unsent_bytes_are_sent_when_the_client_reads_whatever_the_handler_does() {
    for then in [
        Then::Returns,
        Then::WaitsForSomethingElse,
        Then::Flushes,
        Then::Closes,
        Then::DropsItsWriterAndReads,
        Then::KeepsItsHalvesInAnotherTask,
        Then::FlushesInAnotherTask,
    ] {
        for family in FAMILIES {
            run(family, async |world| {
                let (served, client, n) = stuffed(&world, Server::default(), then).await;
                assert_bytes(0, &client.take(n).await);
                let waits = [Then::WaitsForSomethingElse, Then::DropsItsWriterAndReads];
                if !waits.contains(&then) {
                    let (rest, end) = client.rest().await;
                    assert!(rest.is_empty() && end.is_ok(), "{then:?}");
                }
                drop(client);
                let reason = match then {
                    Then::WaitsForSomethingElse => {
                        served.handle.abort_clients();
                        "aborted"
                    }
                    Then::DropsItsWriterAndReads => "eof",
                    _ => "handler",
                };
                let events = served.until_closed().await;
                assert_eq!(events, [format!("closed 1 {reason}")], "{then:?}");
            });
        }
    }
}

#[test]
fn the_connection_keeps_its_place_until_all_is_sent() {
    for family in FAMILIES {
        run(family, async |world| {
            let server = Server::default().max_connections(1);
            let (served, client, n) = left(&world, server).await;
            let _next = served.connect();
            world.settle().await;
            let stats = served.handle.stats();
            assert_eq!((stats.accepted, stats.open), (1, 1));
            assert_bytes(0, &client.take(n).await);
            drop(client);
            eventually(|| (served.handle.stats().accepted == 2).then_some(())).await;
            let events = served.events();
            assert!(events.contains(&"closed 1 handler".into()), "{events:?}");
        });
    }
}

#[test]
fn a_client_of_ours_may_drop_its_halves() {
    for n in [3, 100_000, 6_000_000] {
        run(Family::Tcp, async |world| {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
            let at = listener.local_addr().expect("an address");
            let writes = world.ex.spawn(async move {
                let mut c = halves::connect(at).await.expect("it listens");
                for from in (0..n).step_by(1000) {
                    let piece = bytes(from, 1000.min(n - from));
                    c.writer.write_all(&piece).await.expect("written");
                }
            });
            listener.set_nonblocking(true).expect("set");
            let peer = eventually(|| listener.accept().ok()).await.0;
            let (received, end) = Client::new(peer).rest().await;
            assert_eq!((received.len(), end.ok()), (n, Some(())));
            assert_bytes(0, &received);
            writes.await;
        });
    }
}

#[test]
fn unsent_bytes_are_sent_after_their_loop_has_ended() {
    for much in [true, false] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let at = listener.local_addr().expect("an address");
        let ex = halves::Executor::new();
        let written = ex.block_on(async {
            let mut c = halves::connect(at).await.expect("it listens");
            if much {
                return stuff(&mut c.writer).await;
            }
            c.writer.write_all(&bytes(0, 3)).await.expect("written");
            c.writer.write_all(&bytes(3, 5)).await.expect("written");
            8
        });
        drop(ex);
        let (mut peer, _) = listener.accept().expect("it has connected");
        peer.set_read_timeout(Some(TIMEOUT)).expect("set");
        let mut received = Vec::new();
        io::Read::read_to_end(&mut peer, &mut received).expect("an orderly end");
        assert_eq!(received.len(), written);
        assert_bytes(0, &received);
    }
}
