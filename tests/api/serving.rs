//! The accept loop survives errors, does not hang, and keeps to its limit.

use std::cell::RefCell;
use std::future::pending;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use halves::listener::memory::{self, MemoryConnection};
use halves::{Connection, Reason, Server};
use rustix::io::Errno;

use crate::support::harness::World;
use crate::support::harness::script::{Script, ask, uppercase};

#[test]
fn errors_of_one_connection_are_passed_over_at_once() {
    let world = World::new();
    let script = Script::default();
    let served = world.serve(Server::default(), script.clone(), uppercase);
    for errno in [Errno::CONNABORTED, Errno::PROTO, Errno::PERM, Errno::INTR] {
        script.fail(errno);
    }
    let client = script.connect();
    assert_eq!(world.now(ask(client, "still here")), "STILL HERE");
    assert_eq!(served.handle.stats().accept_errors, 4);
    let events = served.events();
    assert_eq!(events.len(), 5, "{events:?}");
    assert_eq!(events[4], "closed 1 eof");
}

#[test]
fn any_other_error_ends_the_server_after_a_drain() {
    let world = World::new();
    let script = Script::default();
    let served = world.serve(Server::default(), script.clone(), uppercase);
    let client = script.connect();
    world.settle();
    script.fail(Errno::BADF);
    world.settle();
    assert!(!served.serving.is_finished(), "the client is not cut");
    assert_eq!(world.now(ask(client, "let me finish")), "LET ME FINISH");
    let error = world
        .now(served.serving)
        .expect_err("the listener is broken");
    assert_eq!(error.raw_os_error(), Some(Errno::BADF.raw_os_error()));
}

#[test]
fn a_client_behind_an_error_that_ends_the_server_is_served() {
    let world = World::new();
    let script = Script::default();
    let served = world.serve(Server::default(), script.clone(), uppercase);
    script.fail(Errno::BADF);
    let client = script.connect();
    assert_eq!(world.now(ask(client, "me too")), "ME TOO");
    let error = world.now(served.serving).expect_err("it is returned");
    assert_eq!(error.raw_os_error(), Some(Errno::BADF.raw_os_error()));
}

#[test]
fn an_error_that_persists_is_retried_after_pauses() {
    let world = World::new();
    let script = Script::default();
    let served = world.serve(Server::default(), script.clone(), uppercase);
    for _ in 0..44 {
        script.fail(Errno::ACCESS);
    }
    world.settle();
    assert_eq!(script.polls(), 33, "so many are passed over at once");
    let mut pauses = Vec::new();
    for _ in 0..12 {
        let (polls, at) = (script.polls(), world.clock.now());
        while script.polls() == polls {
            assert!(world.manual.advance_to_next(), "the server sleeps");
            world.settle();
        }
        pauses.push((world.clock.now() - at).as_millis());
    }
    assert_eq!(pauses[..8], [5, 10, 20, 40, 80, 160, 320, 640]);
    assert_eq!(pauses[8..], [1000; 4]);
    let events = served.events();
    let failed = |event: &&String| event.starts_with("accept failed");
    assert!(events.iter().filter(failed).count() < 20, "{events:#?}");
    // A success resets the count of errors.
    let client = script.connect();
    for _ in 0..31 {
        script.fail(Errno::ACCESS);
    }
    let other = script.connect();
    world.pass(Duration::from_secs(1));
    assert_eq!(world.now(ask(client, "back")), "BACK");
    assert_eq!(world.now(ask(other, "me too")), "ME TOO");
    assert_eq!(served.handle.stats().accept_errors, 75);
}

#[test]
fn errors_of_accept_are_reported_ten_times_a_second_and_then_counted() {
    let world = World::new();
    let script = Script::default();
    let served = world.serve(Server::default(), script.clone(), uppercase);
    for _ in 0..31 {
        script.fail(Errno::CONNABORTED);
    }
    world.settle();
    assert_eq!(served.events().len(), 10);
    world.pass(Duration::from_secs(1));
    assert_eq!(served.events(), ["suppressed 0 21"]);
}

#[test]
fn a_peer_of_two_connections_is_an_error_of_the_listener() {
    for ended in [false, true] {
        let world = World::new();
        let script = Script::default();
        let served = world.serve(Server::default(), script.clone(), uppercase);
        let (near, far) = memory::pair(64);
        let twin = memory::pair(64).1.with_peer(far.peer.clone());
        script.push(Ok(Some(far)));
        let near = (!ended).then_some(near);
        world.settle();
        script.push(Ok(Some(twin)));
        world.settle();
        if let Some(near) = near {
            assert_eq!(world.now(ask(near, "first")), "FIRST");
        }
        let error = world.now(served.serving).expect_err("it is returned");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains("Peer"), "{error}");
    }
}

#[test]
fn the_loop_is_polled_only_when_its_own_waker_was_called() {
    let world = World::new();
    let script = Script::default();
    // The serving future drives the executor itself, so every wake-up polls it.
    let ex = world.ex.clone();
    let shutdown = halves::Shutdown::default();
    let server = Server::default().shutdown(shutdown.clone());
    let serving = server.serve(&*ex, script.clone(), uppercase);
    let mut client = script.connect();
    let polls = smol::block_on(ex.run(async {
        let test = async {
            let mut answer = [0; 1];
            client.writer.write_all(b"a").await?;
            client.reader.read_exact(&mut answer).await?;
            let before = script.polls();
            for _ in 0..1000 {
                client.writer.write_all(b"a").await?;
                client.reader.read_exact(&mut answer).await?;
            }
            let polls = script.polls() - before;
            shutdown.abort();
            drop(client);
            io::Result::Ok(polls)
        };
        futures_lite::future::try_zip(serving, test).await
    }));
    assert_eq!(polls.expect("no error").1, 0);
}

#[test]
fn no_connection_is_accepted_before_there_is_room_for_it() {
    let world = World::new();
    let script = Script::default();
    let served = world.serve(
        Server::default().max_connections(2),
        script.clone(),
        uppercase,
    );
    let one = script.connect();
    world.settle();
    let polls = script.polls();
    let two = script.connect();
    let three = script.connect();
    world.settle();
    assert_eq!(script.polls(), polls + 1, "the third is not asked for");
    assert_eq!(served.handle.stats().open, 2);
    assert_eq!(served.events(), ["reached max_connections=2"]);
    assert_eq!(world.now(ask(two, "b")), "B");
    assert_eq!(served.handle.stats().accepted, 3);
    assert_eq!(world.now(ask(three, "c")), "C");
    assert_eq!(world.now(ask(one, "a")), "A");
    assert_eq!(served.handle.stats().open, 0);
    world.pass(Duration::from_secs(1));
    let events = served.events();
    let over = events.iter().filter(|event| event.starts_with("over"));
    assert_eq!(over.count(), 1, "{events:?}");
}

#[test]
fn with_a_limit_of_one_two_listeners_are_served_in_turn() {
    let world = World::new();
    let (first, one) = memory::listener(64);
    let (second, two) = memory::listener(64);
    let listeners = halves::Listeners::from(first).and(second);
    let order = Rc::new(RefCell::new(Vec::new()));
    let received = order.clone();
    let handler = async move |mut connection: Connection| {
        let mut name = String::new();
        connection.reader.read_to_string(&mut name).await?;
        received.borrow_mut().push(name);
        Ok(())
    };
    let served = world.serve(Server::default().max_connections(1), listeners, handler);
    // The first client of each waits for the end of its input; the others are in the queue.
    let mut clients = Vec::new();
    for n in 0..3 {
        for (name, connector) in [("one", &one), ("two", &two)] {
            let mut client = world.connect(connector);
            clients.push(world.now(async move {
                client
                    .writer
                    .write_all(format!("{name} {n}").as_bytes())
                    .await
                    .expect("it fits");
                client
            }));
        }
    }
    drop(clients);
    world.settle();
    let turns: Vec<_> = order
        .borrow()
        .iter()
        .map(|name| name[..3].to_string())
        .collect();
    assert_eq!(turns, ["one", "two", "one", "two", "one", "two"]);
    assert_eq!(served.handle.stats().ended.total(), 6);
}

#[test]
fn a_hundred_thousand_short_connections_leave_nothing_behind() {
    let world = World::new();
    let served = world.serve_memory(Server::default().max_connections(10), uppercase);
    let (served, connector) = served;
    for _ in 0..100 {
        for _ in 0..1000 {
            drop(world.connect(&connector));
        }
        world.settle();
    }
    let stats = served.handle.stats();
    assert_eq!((stats.accepted, stats.open), (100_000, 0));
    assert_eq!(stats.ended[Reason::Eof], 100_000);
}

#[test]
fn tasks_of_a_dropped_executor_release_their_places() {
    let world = World::new();
    let ex = Rc::new(smol::LocalExecutor::new());
    let (listener, connector) = memory::listener(64);
    let server = Server::default().clock(world.clock.clone());
    let handle = server.handle();
    let handler = async |_connection: MemoryConnection| pending().await;
    // The accept loop runs here, the tasks of connections on another executor.
    let serving = world.ex.spawn(server.serve(ex.clone(), listener, handler));
    let client = world.connect(&connector);
    world.settle();
    while ex.try_tick() {}
    assert_eq!(handle.stats().open, 1);
    drop((serving, world));
    drop(ex);
    assert_eq!(handle.stats().open, 0);
    assert_eq!(handle.stats().ended[Reason::Aborted], 1);
    drop(client);
}

#[test]
fn a_batch_of_clients_is_accepted_in_several_turns() {
    let world = World::new();
    let script = Script::default();
    let clients: Vec<_> = (0..100).map(|_| script.connect()).collect();
    let server = Server::default().clock(world.clock.clone());
    let serving = server.serve(world.ex.clone(), script.clone(), uppercase);
    let serving = world.ex.spawn(serving);
    assert!(world.ex.try_tick());
    assert_eq!(script.polls(), 32, "then others get a turn");
    world.settle();
    assert_eq!(script.polls(), 101);
    drop((clients, serving));
}

#[test]
fn a_listener_that_only_fails_does_not_hold_up_a_drain() {
    let (world, script) = (World::new(), Script::default());
    for _ in 0..10_000 {
        script.fail(Errno::CONNABORTED);
    }
    let server = Server::default();
    server.handle().shutdown().drain();
    let served = world.serve(server, script.clone(), uppercase);
    assert_eq!(script.polls(), 32, "it is not asked on and on");
    assert_eq!(served.handle.stats().accept_errors, 32);
    assert_eq!(world.report(served).finished, 0);
}
