//! Shutdown: connections finish, those left at the deadline are reset, and both are reported.

use std::future::pending;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use halves::listener::memory::{self, MemoryConnection};
use halves::service::{discard, echo, upper};
use halves::{Connection, Event, Executor, Reason, Server};

use crate::support::harness::script::read_to_end;
use crate::support::harness::script::uppercase;
use crate::support::harness::server;
use crate::support::harness::{Drops, World};
use crate::support::place;

const SECOND: Duration = Duration::from_secs(1);
const MOMENT: Duration = Duration::from_nanos(1);

/// A handler that never ends by itself.
async fn stuck(connection: MemoryConnection) -> io::Result<()> {
    let _kept = connection;
    pending().await
}

#[test]
fn without_connections_the_end_is_immediate() {
    let world = World::new();
    let (server, shutdown) = server();
    let (served, connector) = world.serve_memory(server, uppercase);
    shutdown.drain();
    world.settle();
    assert_eq!(served.events(), ["draining 0 within 30s", "ended 0 0"]);
    let refused = world.now(async move { connector.connect().await });
    assert_eq!(
        refused.expect_err("closed").kind(),
        io::ErrorKind::ConnectionRefused
    );
    assert_eq!(world.report(served).finished, 0);
}

#[test]
fn an_idle_client_of_a_service_is_closed_after_an_idle_second() {
    type Service = fn(MemoryConnection) -> future::Boxed<io::Result<()>>;
    let services: [Service; 3] = [
        |c| Box::pin(upper(c.reader, c.writer)),
        |c| Box::pin(echo(c.reader, c.writer)),
        |c| Box::pin(discard(c.reader, c.writer)),
    ];
    for service in services {
        let world = World::new();
        let (server, shutdown) = server();
        let (served, connector) = world.serve_memory(server, service);
        let client = world.connect(&connector);
        shutdown.drain();
        let hearing = world.ex.spawn(read_to_end(client));
        world.pass(SECOND - MOMENT);
        assert!(!hearing.is_finished(), "it is not woken before");
        world.pass(MOMENT);
        let received = world.now(hearing).expect("an orderly end");
        assert!(received.is_empty());
        assert_eq!(
            served.events(),
            ["draining 1 within 30s", "closed 1 drained", "ended 1 0"]
        );
        let report = world.report(served);
        assert_eq!((report.finished, report.aborted), (1, 0));
    }
}

#[test]
fn an_active_client_is_answered_during_the_drain() {
    let world = World::new();
    let (server, shutdown) = server();
    let (served, connector) = world.serve_memory(server, uppercase);
    let mut client = world.connect(&connector);
    shutdown.drain();
    for _ in 0..20 {
        // Less than a second after the last byte, each time.
        world.pass(SECOND - MOMENT);
        client = world.now(async move {
            let mut answer = [0; 4];
            client.writer.write_all(b"more").await.expect("it is read");
            client
                .reader
                .read_exact(&mut answer)
                .await
                .expect("an answer");
            assert_eq!(&answer, b"MORE");
            client
        });
    }
    drop(client);
    assert_eq!(world.report(served).finished, 1);
}

#[test]
fn a_connection_in_the_middle_of_a_write_loses_nothing() {
    let world = World::new();
    let (server, shutdown) = server();
    let (listener, connector) = memory::listener(100);
    let served = world.serve(server, listener, async |mut c: MemoryConnection| {
        c.writer.write_all(&vec![b'x'; 100_000]).await
    });
    let client = world.connect(&connector);
    world.settle();
    shutdown.drain();
    world.pass(SECOND * 29);
    let answer = world.now(read_to_end(client)).expect("an orderly end");
    assert_eq!(answer.len(), 100_000);
    let report = world.report(served);
    assert_eq!((report.finished, report.aborted), (1, 0));
}

#[test]
fn connections_left_at_the_deadline_are_reset_and_counted() {
    let world = World::new();
    let (server, shutdown) = server();
    let drops = Drops::default();
    let dropped = drops.clone();
    let handler = async move |connection| {
        let _guard = dropped.guard();
        stuck(connection).await
    };
    let (served, connector) = world.serve_memory(server.drain_timeout(SECOND * 12), handler);
    let clients = [world.connect(&connector), world.connect(&connector)];
    shutdown.drain();
    for _ in 0..11 {
        world.pass(SECOND);
    }
    world.pass(SECOND - MOMENT);
    let events = ["draining 2 within 12s", "still 2 for 7s", "still 2 for 2s"];
    assert_eq!(served.events(), events);
    assert_eq!(drops.count(), 0);
    world.pass(MOMENT);
    assert_eq!(drops.count(), 2, "the handlers are dropped");
    assert_eq!(
        served.events(),
        ["closed 1 aborted", "closed 2 aborted", "ended 0 2"]
    );
    for client in clients {
        let received = world.now(read_to_end(client)).expect_err("a reset");
        assert_eq!(received.kind(), io::ErrorKind::ConnectionReset);
    }
    let report = world.report(served);
    assert_eq!((report.finished, report.aborted), (0, 2));
    assert_eq!(report.stats.ended[Reason::Aborted], 2);
}

#[test]
fn a_second_signal_forces_the_end_without_time_passing() {
    let world = World::new();
    let (server, shutdown) = server();
    let (served, connector) = world.serve_memory(server, stuck);
    let client = world.connect(&connector);
    shutdown.drain();
    world.settle();
    shutdown.abort();
    world.settle();
    assert_eq!(
        served.events(),
        ["draining 1 within 30s", "closed 1 aborted", "ended 0 1"]
    );
    assert_eq!(world.report(served).aborted, 1);
    drop(client);
}

#[test]
fn connections_that_linger_at_the_deadline_count_as_finished() {
    let world = World::new();
    let (server, shutdown) = server();
    let handler = async |c: MemoryConnection| {
        c.peer.shutdown().requested().await;
        Ok(())
    };
    let (served, connector) = world.serve_memory(server.drain_timeout(SECOND), handler);
    // It has nothing unsent; its client never closes.
    let mut client = world.connect(&connector);
    shutdown.drain();
    world.pass(SECOND);
    assert_eq!(
        served.events(),
        ["draining 1 within 1s", "closed 1 handler", "ended 1 0"]
    );
    let end = world.now(async move { client.reader.read(&mut [0]).await });
    assert_eq!(end.expect("an orderly end"), 0);
}

#[test]
fn clients_that_are_connected_already_are_served() {
    let world = World::new();
    let (server, shutdown) = server();
    let (listener, connector) = memory::listener(100);
    let mut clients: Vec<_> = (0..100).map(|_| world.connect(&connector)).collect();
    shutdown.drain();
    let served = world.serve(server, listener, uppercase);
    assert_eq!(served.handle.stats().accepted, 100);
    for client in &mut clients {
        future::block_on(client.writer.write_all(b"x")).expect("it fits");
    }
    drop(clients);
    assert_eq!(world.report(served).finished, 100);
}

#[test]
fn a_handler_can_notice_the_drain() {
    let world = World::new();
    let (server, shutdown) = server();
    let handler = async |mut c: MemoryConnection| {
        c.peer.shutdown().requested().await;
        c.writer.write_all(b"goodbye").await
    };
    let (served, connector) = world.serve_memory(server, handler);
    let client = world.connect(&connector);
    shutdown.drain();
    let words = world.now(read_to_end(client)).expect("an orderly end");
    assert_eq!(words, b"goodbye");
    assert_eq!(world.report(served).finished, 1);
}

#[test]
fn a_handle_ends_its_own_server_and_no_other() {
    let world = World::new();
    let (server, shutdown) = server();
    let (first, _one) = world.serve_memory(server, uppercase);
    let (second, _two) =
        world.serve_memory(Server::default().shutdown(shutdown.clone()), uppercase);
    first.handle.shutdown().drain();
    world.settle();
    assert!(first.serving.is_finished());
    assert!(!second.serving.is_finished());
    shutdown.drain();
    world.settle();
    assert!(second.serving.is_finished());
}

#[test]
fn the_answer_of_a_handler_that_leaves_input_unread_is_delivered() -> io::Result<()> {
    // Over TCP, where a close with unread input is a reset, which can overtake the answer.
    let ex = Executor::new();
    let (server, shutdown) = server();
    let answer = vec![b'x'; 300_000];
    let sent = answer.clone();
    let handler = async move |mut c: Connection| c.writer.write_all(&sent).await;
    ex.block_on(async {
        let listener = halves::bind("127.0.0.1:0").await?;
        let address = listener.local_addrs()[0].socket_addr().expect("it is TCP");
        let serving = server.serve(&ex, listener, handler);
        let clients = async {
            for _ in 0..50 {
                let mut client = halves::connect(address).await?;
                client.writer.write_all(&[b'y'; 10_000]).await?;
                let mut received = Vec::new();
                client.reader.read_to_end(&mut received).await?;
                assert!(received == answer, "{} bytes", received.len());
            }
            shutdown.drain();
            io::Result::Ok(())
        };
        let (report, ()) = future::try_zip(serving, clients).await?;
        assert_eq!(report.stats.ended[Reason::Handler], 50);
        Ok(())
    })
}

#[test]
fn a_peer_that_is_kept_does_not_keep_the_stream_open() -> io::Result<()> {
    let ex = Executor::new();
    let (server, shutdown) = server();
    let peers = Arc::new(Mutex::new(Vec::new()));
    let held = peers.clone();
    let server = server.on_event(move |event| {
        if let Event::Opened(peer) = event {
            held.lock().expect("no panic").push(peer.clone());
        }
    });
    // It reads to the end of input, and leaves the close to the server.
    let handler = async |mut c: Connection| {
        let mut received = Vec::new();
        c.reader.read_to_end(&mut received).await?;
        c.writer.write_all(&received).await
    };
    ex.block_on(async {
        let listener = halves::bind("127.0.0.1:0").await?;
        let address = listener.local_addrs()[0].socket_addr().expect("it is TCP");
        let serving = server.serve(&ex, listener, handler);
        let client = async {
            let mut client = halves::connect(address).await?;
            client.writer.write_all(b"hello").await?;
            client.writer.close().await?;
            let mut received = Vec::new();
            client.reader.read_to_end(&mut received).await?;
            assert_eq!(received, b"hello");
            shutdown.drain();
            io::Result::Ok(())
        };
        future::try_zip(serving, client).await
    })?;
    assert_eq!(peers.lock().expect("no panic").len(), 1);
    Ok(())
}

#[test]
fn a_lingering_close_discards_a_mebibyte_and_no_more() {
    const LIMIT: usize = 1 << 20;
    for (sends, waits) in [(LIMIT - 1, true), (LIMIT, false)] {
        let world = World::new();
        let (listener, connector) = memory::listener(2 * LIMIT);
        let served = world.serve(Server::default(), listener, async |_| Ok(()));
        let mut client = world.connect(&connector);
        let client = world.now(async move {
            client
                .writer
                .write_all(&vec![0; sends])
                .await
                .map(|()| client)
        });
        let open = served.handle.stats().open;
        assert_eq!(open == 1, waits, "after {sends} bytes");
        drop(client);
        world.settle();
        assert_eq!(served.events(), ["closed 1 handler"]);
    }
}

#[test]
fn a_handler_that_forgets_to_flush_loses_nothing() -> io::Result<()> {
    let dir = place::dir();
    let (request, reply) = (dir.path().join("request"), dir.path().join("reply"));
    std::fs::write(&request, b"")?;
    let ex = Executor::new();
    ex.block_on(async {
        let listener = halves::Once::new(halves::listener::files(&request, &reply).await?);
        let handler = async |mut c: Connection| c.writer.write_all(&vec![b'x'; 100_000]).await;
        halves::serve(&ex, listener, handler).await
    })?;
    assert_eq!(std::fs::read(&reply)?.len(), 100_000);
    Ok(())
}

#[test]
fn dropping_the_serving_future_resets_every_connection_at_once() {
    let world = World::new();
    let drops = Drops::default();
    let dropped = drops.clone();
    let handler = async move |connection| {
        let _guard = dropped.guard();
        stuck(connection).await
    };
    let (listener, connector) = memory::listener(64);
    let clients = [world.connect(&connector), world.connect(&connector)];
    let server = Server::default().clock(world.clock.clone());
    let handle = server.handle();
    let mut serving = Box::pin(server.serve(world.ex.clone(), listener, handler));
    assert!(future::block_on(future::poll_once(&mut serving)).is_none());
    world.settle();
    assert_eq!(handle.stats().open, 2);

    drop(serving);
    // No task has run since, and the clients are reset already.
    for client in clients {
        let received = future::block_on(read_to_end(client)).expect_err("a reset");
        assert_eq!(received.kind(), io::ErrorKind::ConnectionReset);
    }
    let refused = future::block_on(connector.connect());
    assert!(refused.is_err(), "the listener is gone as well");
    assert_eq!(drops.count(), 0);
    world.settle();
    assert_eq!(drops.count(), 2, "the tasks end when the executor runs");
    assert_eq!(handle.stats().ended[Reason::Aborted], 2);
}
