//! The handle of a running server: list, kill, close, abort.

use std::cell::Cell;
use std::future::pending;
use std::io;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use halves::connection::Phase;
use halves::listener::memory::{self, Connector, MemoryConnection};
use halves::server::ConnectionInfo;
use halves::service::echo;
use halves::{Endpoint, Executor, Handle, Reason, Server, Timeouts};

use crate::support::harness::network::{endpoint, network};
use crate::support::harness::{Served, World};

const SECOND: Duration = Duration::from_secs(1);
/// The capacity of the pipes in these tests, in bytes.
const PIPE_BYTES: usize = 100;

/// The first byte selects the action:
///
/// | byte | action |
/// |---|---|
/// | `h` | begins a handshake that never ends |
/// | `s` | waits for ever |
/// | `w` | writes more than the pipe holds |
/// | `r` | writes an answer and returns |
/// | `a` | writes an answer and waits for ever |
/// | another | echoes all later bytes |
async fn obedient(mut c: MemoryConnection) -> io::Result<()> {
    let mut order = [0];
    c.reader.read_exact(&mut order).await?;
    match &order {
        b"h" => {
            let _handshake = c.peer.handshake();
            pending().await
        }
        b"s" => pending().await,
        b"w" => c.writer.write_all(&[b'x'; 10 * PIPE_BYTES]).await,
        b"r" => c.writer.write_all(b"answer").await,
        b"a" => {
            c.writer.write_all(b"answer").await?;
            pending().await
        }
        _ => echo(c.reader, c.writer).await,
    }
}

fn serve(world: &World) -> (Served, Connector) {
    let (listener, connector) = memory::listener(PIPE_BYTES);
    let served = world.serve(Server::default(), listener, obedient);
    (served, connector)
}

/// A client that has sent its order.
fn send_order(world: &World, connector: &Connector, order: &str) -> MemoryConnection {
    let mut client = world.connect(connector);
    let written = future::block_on(client.writer.write_all(order.as_bytes()));
    written.expect("it fits");
    world.settle();
    client
}

/// All bytes until the end, and the kind of end. Panics if there is no end.
fn rest(client: &mut MemoryConnection) -> (Vec<u8>, Result<(), io::ErrorKind>) {
    let mut received = Vec::new();
    let mut reading = client.reader.read_to_end(&mut received);
    // Several polls: a long answer is read in turns.
    let mut polls = (0..100).map(|_| future::block_on(future::poll_once(&mut reading)));
    let end = polls.find_map(|end| end);
    let end = end.expect("an end without time passing");
    (received, end.map(drop).map_err(|error| error.kind()))
}

fn is_reset(mut client: MemoryConnection) -> bool {
    rest(&mut client).1 == Err(io::ErrorKind::ConnectionReset)
}

fn listed(handle: &Handle) -> Vec<ConnectionInfo> {
    let mut connections = handle.connections();
    connections.sort_by_key(|connection| connection.id);
    connections
}

fn phases(served: &Served) -> Vec<Phase> {
    let connections = listed(&served.handle);
    connections.iter().map(|info| info.phase).collect()
}

#[test]
fn the_list_has_all_open_connections_with_exact_figures() {
    let world = World::new();
    let (listener, clients) = network();
    let served = world.serve(Server::default(), listener, obedient);
    let at = |address: &str, order: &[u8]| {
        let mut client = clients.connect(&world, address);
        future::block_on(client.writer.write_all(order)).expect("it fits");
        world.settle();
        client
    };
    let talks = at("192.0.2.1:1", b"e");
    let gone = at("192.0.2.1:2", b"s");
    world.pass(SECOND * 3);
    let shakes = at("[2001:db8::1]:3", b"h");
    let mut talks = talks;
    future::block_on(talks.writer.write_all(b"hello")).expect("it fits");
    assert!(served.handle.kill(2));
    world.pass(SECOND * 2);
    let closes = at("192.0.2.4:4", b"r123");
    world.pass(SECOND);
    let lines = listed(&served.handle).into_iter().map(|info| {
        assert_eq!(info.local, Endpoint::Memory);
        let (age, idle) = (info.age.as_nanos(), info.idle.as_nanos());
        let (peer, bytes) = (info.peer, (info.bytes_in, info.bytes_out));
        (info.id, peer, age, idle, bytes, info.phase)
    });
    let second = SECOND.as_nanos();
    let expected = [
        (1, "192.0.2.1:1", 6, 3, (6, 5), Phase::Open),
        (3, "[2001:db8::1]:3", 3, 3, (1, 0), Phase::Handshake),
        (4, "192.0.2.4:4", 1, 1, (1, 6), Phase::Closing),
    ];
    let expected = expected.map(|(id, peer, age, idle, bytes, phase)| {
        (
            id,
            endpoint(peer),
            age * second,
            idle * second,
            bytes,
            phase,
        )
    });
    assert_eq!(lines.collect::<Vec<_>>(), expected);
    drop((talks, gone, closes));
    world.settle();
    assert_eq!(phases(&served), [Phase::Handshake]);
    drop(shakes);
}

#[test]
fn a_kill_resets_in_every_phase() {
    for (order, phase) in [
        ("", Phase::Open),
        ("h", Phase::Handshake),
        ("s", Phase::Open),
        ("a", Phase::Open),
        ("w", Phase::Open),
        ("r", Phase::Closing),
    ] {
        let world = World::new();
        let (served, connector) = serve(&world);
        let other = send_order(&world, &connector, "e");
        let client = send_order(&world, &connector, order);
        assert_eq!(phases(&served), [Phase::Open, phase], "{order}");
        assert!(served.handle.kill(2), "{order}");
        // The peer is reset before the executor runs.
        assert!(is_reset(client), "{order}");
        world.settle();
        assert_eq!(served.events(), ["closed 2 killed"], "{order}");
        assert_eq!(served.handle.stats().ended[Reason::Killed], 1);
        assert!(!served.handle.kill(2), "it is gone");
        assert_eq!(phases(&served), [Phase::Open], "the other stays");
        drop(other);
    }
}

#[test]
fn a_kill_before_the_first_poll_of_the_task_skips_the_handler() {
    let world = World::new();
    let (listener, clients) = network();
    let called = Rc::new(Cell::new(false));
    let seen = called.clone();
    let handler = move |_| {
        seen.set(true);
        async { Ok(()) }
    };
    let served = world.serve(Server::default(), listener, handler);
    let client = clients.try_connect("192.0.2.1:1").expect("it listens");
    while served.handle.connections().is_empty() {
        assert!(world.ex.try_tick());
    }
    assert!(served.handle.kill(1));
    assert!(is_reset(client));
    world.settle();
    assert!(!called.get());
    assert_eq!(served.events(), ["closed 1 killed"]);
}

#[test]
fn a_kill_of_an_unknown_connection_returns_false() {
    let world = World::new();
    let (served, connector) = serve(&world);
    assert!(!served.handle.kill(0) && !served.handle.kill(1));
    let gone = send_order(&world, &connector, "e");
    drop(gone);
    world.settle();
    assert_eq!(served.events(), ["closed 1 eof"]);
    assert!(!served.handle.kill(1) && !served.handle.kill(2));
    assert!(served.events().is_empty());
}

#[test]
fn a_kill_resets_a_connection_that_is_closing_for_another_reason() {
    let world = World::new();
    let timeouts = Timeouts::default().idle(SECOND);
    let (served, connector) = world.serve_memory(Server::default().timeouts(timeouts), obedient);
    let idle = send_order(&world, &connector, "s");
    world.pass(SECOND);
    let closed = send_order(&world, &connector, "s");
    served.handle.close_clients();
    world.settle();
    assert_eq!(phases(&served), [Phase::Closing, Phase::Closing]);
    assert!(served.handle.kill(1), "it is listed");
    served.handle.abort_clients();
    assert!(is_reset(idle) && is_reset(closed));
    world.settle();
    // Their reasons were decided before.
    assert_eq!(served.events(), ["closed 1 idle", "closed 2 closed"]);
}

#[test]
fn close_clients_delivers_written_bytes_and_the_server_goes_on() {
    let world = World::new();
    let (served, connector) = serve(&world);
    let mut shakes = send_order(&world, &connector, "h");
    let mut answered = send_order(&world, &connector, "a");
    let blocked = send_order(&world, &connector, "w");
    let mut returned = send_order(&world, &connector, "r");
    served.handle.close_clients();
    world.settle();
    assert_eq!(rest(&mut shakes), (vec![], Ok(())));
    assert_eq!(rest(&mut answered), (b"answer".to_vec(), Ok(())));
    assert!(is_reset(blocked), "a cut answer must not look whole");
    assert_eq!(rest(&mut returned), (b"answer".to_vec(), Ok(())));
    let new = send_order(&world, &connector, "ehello");
    drop((shakes, answered, returned));
    world.settle();
    let mut events = served.events();
    events.sort();
    let reasons = [
        "closed 1 closed",
        "closed 2 closed",
        "closed 3 closed",
        "closed 4 closed",
    ];
    assert_eq!(events, reasons);
    assert_eq!(served.open(), 1);
    assert_eq!(served.handle.connections()[0].bytes_out, 5);
    drop(new);
}

#[test]
fn close_ends_one_connection_in_order() {
    let world = World::new();
    let (served, connector) = serve(&world);
    let mut closed = send_order(&world, &connector, "a");
    let _other = send_order(&world, &connector, "a");
    assert!(served.handle.close(1) && !served.handle.close(3));
    world.settle();
    assert_eq!(rest(&mut closed), (b"answer".to_vec(), Ok(())));
    assert_eq!(phases(&served), [Phase::Closing, Phase::Open]);
}

#[test]
fn close_clients_before_the_first_poll_of_the_task_is_an_orderly_end() {
    let world = World::new();
    let (listener, clients) = network();
    let served = world.serve(Server::default(), listener, obedient);
    let mut client = clients.try_connect("192.0.2.1:1").expect("it listens");
    while served.handle.connections().is_empty() {
        assert!(world.ex.try_tick());
    }
    served.handle.close_clients();
    world.settle();
    assert_eq!(rest(&mut client), (vec![], Ok(())));
    drop(client);
    world.settle();
    assert_eq!(served.events(), ["closed 1 closed"]);
}

#[test]
fn close_clients_resets_a_write_that_only_waits_for_its_turn() {
    const CHUNK: usize = 4096;
    const CHUNKS: usize = 100;
    let world = World::new();
    let (listener, connector) = memory::listener(CHUNK * CHUNKS);
    let handler = async |mut c: MemoryConnection| {
        for _ in 0..CHUNKS {
            c.writer.write_all(&[0; CHUNK]).await?;
        }
        Ok(())
    };
    let served = world.serve(Server::default(), listener, handler);
    let connecting = async move { connector.connect().await };
    let client = future::block_on(connecting).expect("it listens");
    let written = || {
        served
            .handle
            .connections()
            .first()
            .map(|info| info.bytes_out)
    };
    while written().unwrap_or(0) == 0 {
        assert!(world.ex.try_tick());
    }
    let answer = (CHUNK * CHUNKS) as u64;
    assert!(written() < Some(answer), "it lets others run");
    served.handle.close_clients();
    world.settle();
    assert!(is_reset(client), "a cut answer must not look whole");
}

#[test]
fn abort_clients_resets_all_and_the_server_goes_on() {
    let world = World::new();
    let (served, connector) = serve(&world);
    let clients = ["h", "a", "w", "r", ""].map(|order| send_order(&world, &connector, order));
    served.handle.abort_clients();
    assert!(
        clients.into_iter().all(is_reset),
        "before the executor runs"
    );
    world.settle();
    assert_eq!(served.handle.stats().ended[Reason::Aborted], 5);
    assert!(served.handle.is_ready());
    let mut new = send_order(&world, &connector, "ehello");
    future::block_on(new.writer.close()).expect("it is open");
    world.settle();
    assert_eq!(rest(&mut new), (b"hello".to_vec(), Ok(())));
}

#[test]
fn a_lingering_connection_keeps_its_reason_when_a_deadline_passes() {
    let world = World::new();
    let timeouts = Timeouts::default().idle(SECOND).lifetime(SECOND);
    let server = Server::default().timeouts(timeouts);
    let (served, connector) = world.serve_memory(server, obedient);
    let client = send_order(&world, &connector, "r");
    world.pass(SECOND * 3);
    assert_eq!(served.events(), ["closed 1 handler"]);
    drop(client);
}

/// Ends the server when it is dropped, also if a check on its thread has failed.
struct Ends(Handle);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.shutdown().abort();
    }
}

/// Waits until `holds` returns true, with a limit.
fn until(mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < SECOND * 30, "it does not come");
        thread::yield_now();
    }
}

#[test]
fn a_handle_works_from_another_thread() {
    let ex = Executor::new();
    let (listener, connector) = memory::listener(PIPE_BYTES);
    let server = Server::default();
    let handle = server.handle();
    let other = thread::spawn(move || {
        let _ends = Ends(handle.clone());
        let connect = || {
            let client = future::block_on(connector.connect()).expect("it listens");
            until(|| !handle.connections().is_empty());
            client
        };
        let until_gone = || until(|| handle.stats().open == 0);
        let killed = connect();
        assert!(handle.kill(handle.connections()[0].id) && is_reset(killed));
        until_gone();
        let aborted = connect();
        handle.abort_clients();
        assert!(is_reset(aborted));
        until_gone();
        let mut closed = connect();
        handle.close_clients();
        let mut read = || future::block_on(future::poll_once(closed.reader.read(&mut [0])));
        until(|| matches!(read(), Some(Ok(0))));
        drop(closed);
        until_gone();
        assert!(handle.is_ready());
    });
    let report = ex.block_on(server.serve(&ex, listener, obedient));
    other.join().expect("all its checks hold");
    let ended = report.expect("no error of the listener").stats.ended;
    let reasons = [Reason::Killed, Reason::Aborted, Reason::Closed];
    assert_eq!(reasons.map(|reason| ended[reason]), [1, 1, 1]);
}
