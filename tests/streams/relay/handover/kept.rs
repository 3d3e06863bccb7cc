//! State of a relay that moves with it, and relays that stay.

use std::io::Read;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use halves::listener::memory;
use halves::service::{Handover, Relay, Target};
use halves::{Clock, Listeners, Reason, Server, Timeouts, bind, connect};

use super::{World, channel, end, pass, run};
use crate::support::place;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_relay_goes_on_elsewhere_with_its_counts() {
    for unix in [false, true] {
        run(unix, async |mut world: World| {
            let old = world.first().await;
            let (mut client, mut origin) = world.connect(&old).await;
            pass(&mut client, &mut origin, b"question").await;
            pass(&mut origin, &mut client, b"answer").await;
            let (new, done) = world.move_all(&old).await;
            assert_eq!((done.moved, done.left), (1, 0));
            assert_eq!(old.until_closed(1).await, ["handover in=8 out=6"]);
            assert_eq!(old.handle.stats().ended[Reason::Handover], 1);
            assert_eq!(old.open(), 0);

            pass(&mut client, &mut origin, b"more").await;
            pass(&mut origin, &mut client, b"of both").await;
            let moved = &new.handle.connections()[0];
            assert_eq!((moved.bytes_in, moved.bytes_out), (12, 13));
            assert_eq!(moved.peer, client.peer.local());
            let (stats, before) = (new.handle.stats(), old.handle.stats());
            assert_eq!((stats.accepted, stats.bytes_in, stats.bytes_out), (1, 4, 7));
            assert_eq!((before.bytes_in, before.bytes_out), (8, 6));
            end(&mut client, &mut origin).await;
            end(&mut origin, &mut client).await;
            assert_eq!(new.until_closed(1).await, ["eof in=12 out=13"]);
            let stats = new.handle.stats();
            assert_eq!((stats.bytes_in, stats.bytes_out), (4, 7));
            assert_eq!((old.end().await.aborted, new.end().await.aborted), (0, 0));
        });
    }
}

#[test]
fn a_half_closed_relay_passes_the_rest_and_the_other_end() {
    for of_client in [true, false] {
        for moves in 1..3 {
            run(of_client, async |mut world: World| {
                let mut process = world.first().await;
                let (mut client, mut origin) = world.connect(&process).await;
                let (first, other) = if of_client {
                    (&mut client, &mut origin)
                } else {
                    (&mut origin, &mut client)
                };
                pass(first, other, b"last").await;
                end(first, other).await;
                for moved in 0..moves {
                    // The second time, the relay may not have begun yet.
                    let (new, done) = world.move_all(&process).await;
                    assert!(done.moved == 1 || moved > 0);
                    process.until_open(0).await;
                    process = new;
                }
                process.until_open(1).await;
                pass(other, first, b"the answer").await;
                end(other, first).await;
                assert!(process.until_closed(1).await[0].starts_with("eof "));
            });
        }
    }
}

#[test]
fn a_relay_that_begins_after_the_move_follows() {
    run(false, async |mut world: World| {
        let old = world.first().await;
        let (new, done) = world.move_all(&old).await;
        assert_eq!(done.moved, 0);
        let (mut client, mut origin) = world.connect(&old).await;
        pass(&mut client, &mut origin, b"a").await;
        new.until_open(1).await;
        old.until_open(0).await;
        pass(&mut origin, &mut client, b"b").await;
        assert_eq!(new.handle.stats().accepted, 1);
    });
}

#[test]
fn an_end_that_is_sent_during_the_move_is_passed_on() {
    run(false, async |mut world: World| {
        let old = world.first().await;
        let (mut client, mut origin) = world.connect(&old).await;
        pass(&mut client, &mut origin, b"a").await;
        let (ours, theirs) = channel();
        let moving = old.handover.send(ours);
        client.writer.close().await.expect("open");
        let new = world.successor(theirs, Server::default());
        assert_eq!(moving.await.expect("a channel").moved, 1);
        assert_eq!(origin.reader.read(&mut [0]).await.expect("an end"), 0);
        end(&mut origin, &mut client).await;
        assert!(new.until_closed(1).await[0].starts_with("eof "));
    });
}

#[test]
fn resets_pass_in_the_new_process() {
    for of_client in [true, false] {
        run(false, async |mut world: World| {
            let old = world.first().await;
            let (mut client, mut origin) = world.connect(&old).await;
            pass(&mut client, &mut origin, b"a").await;
            let (new, _) = world.move_all(&old).await;
            let (resets, other) = if of_client {
                (&client, &mut origin)
            } else {
                (&origin, &mut client)
            };
            resets.peer.abort();
            assert!(other.reader.read(&mut [0]).await.is_err(), "a reset");
            assert_eq!(new.until_closed(1).await.len(), 1);
        });
    }
}

#[test]
fn the_age_and_the_idle_time_go_on() {
    run(false, async |mut world: World| {
        let (clock, manual) = Clock::manual();
        let timeouts = Timeouts::default().idle(SECOND * 10);
        let server = || {
            Server::default()
                .clock(clock.clone())
                .timeouts(timeouts.clone())
        };
        let listeners = bind("127.0.0.1:0").await.expect("a free port");
        let old = world.process(listeners, server());
        let (mut client, mut origin) = world.connect(&old).await;
        manual.advance(SECOND * 5);
        pass(&mut client, &mut origin, b"a").await;
        manual.advance(SECOND * 6);
        let (ours, theirs) = channel();
        let new = world.successor(theirs, server());
        old.handover.send(ours).await.expect("a channel");
        new.until_open(1).await;
        let moved = &new.handle.connections()[0];
        assert_eq!((moved.age, moved.idle), (SECOND * 11, SECOND * 6));
        manual.advance(SECOND * 4);
        assert!(new.until_closed(1).await[0].starts_with("idle "));
    });
}

#[test]
fn a_relay_with_a_side_that_is_no_socket_stays() {
    run(false, async |world: World| {
        let (clients, connector) = memory::listener(100);
        let old = world.process(Listeners::from(clients), Server::default());
        let mut world = world;
        let (client, origin) = future::zip(connector.connect(), async {
            halves::Listener::accept(&mut world.origin).await
        })
        .await;
        let mut client = client.expect("it listens").erase();
        let mut origin = origin.expect("it listens").expect("a relay");
        let (_new, done) = world.move_all(&old).await;
        assert_eq!((done.moved, done.left), (0, 1));
        assert!(done.error.is_none());
        pass(&mut client, &mut origin, b"still here").await;
        assert_eq!(old.open(), 1);
    });
}

#[test]
fn a_relay_that_connects_moves_when_it_is_connected() {
    run(true, async |world: World| {
        let dir = place::dir();
        let path = dir.path().join("full");
        let origin = UnixListener::bind(&path).expect("a free path");
        rustix::net::listen(&origin, 0).expect("it listens");
        // The queue of the origin has room for one.
        let _first = UnixStream::connect(&path).expect("room");
        let target = Target::new(&*path).expect("an address");
        let world = World { target, ..world };
        let old = world.first().await;
        old.until_listening().await;
        let address = old.handle.local_addrs()[0].to_string();
        let mut client = connect(address).await.expect("it listens");
        old.until_open(1).await;
        // The task of the client begins to connect.
        future::yield_now().await;
        client.writer.write_all(b"early").await.expect("it reads");
        let (ours, theirs) = channel();
        let new = world.successor(theirs, Server::default());
        let mut moving = Box::pin(old.handover.send(ours));
        for _ in 0..20 {
            assert!(
                future::poll_once(&mut moving).await.is_none(),
                "it connects"
            );
            future::yield_now().await;
        }
        drop(origin.accept().expect("the first"));
        assert_eq!(moving.await.expect("a channel").moved, 1);
        let (mut origin, _) = origin.accept().expect("the relay");
        new.until_open(1).await;
        let mut received = [0; 5];
        origin.read_exact(&mut received).expect("a relay");
        assert_eq!(&received, b"early");
    });
}

#[test]
fn a_moved_relay_has_its_target_again() {
    run(false, async |mut world: World| {
        let old = world.first().await;
        let (mut client, mut origin) = world.connect(&old).await;
        pass(&mut client, &mut origin, b"a").await;
        let (ours, theirs) = channel();
        // No target of the new process.
        let relay = Relay::to(Target::new("127.0.0.1:9").expect("an address"))
            .handover(&Handover::default());
        let listener = halves::service::HandoverListener::new(Listeners::default(), theirs);
        let errors = Arc::new(std::sync::Mutex::new(Vec::new()));
        let seen = errors.clone();
        let server = Server::default().on_event(move |event| {
            if let halves::Event::Closed(closed) = event {
                let error = closed.error.as_ref().map(ToString::to_string);
                seen.lock().expect("no panic").extend(error);
            }
        });
        let serving = server.serve(world.ex.clone(), listener.expect("a channel"), move |c| {
            relay.serve(c)
        });
        let serving = world.ex.spawn(serving);
        assert_eq!(old.handover.send(ours).await.expect("a channel").moved, 1);
        pass(&mut client, &mut origin, b"a").await;
        origin.peer.abort();
        assert!(client.reader.read(&mut [0]).await.is_err(), "a reset");
        drop(old);
        serving.await.expect("no error");
        let target = world.origin.local_addrs()[0].to_string();
        let errors = errors.lock().expect("no panic");
        assert!(
            errors[0].starts_with(&format!("target {target}: ")),
            "{errors:?}"
        );
    });
}
