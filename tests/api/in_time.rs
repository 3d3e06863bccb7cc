//! Input that was received in time counts, also if its task is polled only after the deadline.

use std::future::pending;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::time::Duration;

use futures_lite::future::yield_now;
use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use halves::connection::Phase;
use halves::listener::memory::MemoryConnection;
use halves::service::echo;
use halves::{Clock, Connection, Executor, Server, Timeouts, connect};

use crate::support::harness::World;
use crate::support::harness::network::echoes;
use crate::support::harness::sockets::{self, Client, Family};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);

/// Sends without running any task.
fn send(client: &mut MemoryConnection, text: &[u8]) {
    future::block_on(client.writer.write_all(text)).expect("it fits");
}

#[test]
fn a_byte_before_the_idle_timeout_is_read_after_it() {
    let world = World::new();
    let server = Server::default().timeouts(Timeouts::default().idle(HOUR));
    let (served, connector) = world.serve_memory(server, echoes);
    let mut client = world.connect(&connector);
    world.settle();
    send(&mut client, b"x");
    world.manual.advance(HOUR);
    world.settle();
    assert_eq!(served.events(), [""; 0]);
    let answer = future::block_on(client.reader.exactly(1));
    assert_eq!(answer.expect("it is served"), b"x");
    // It is idle only since then.
    world.pass(HOUR);
    drop(client);
    world.settle();
    assert_eq!(served.events(), ["closed 1 idle"]);
}

#[test]
fn a_handshake_that_was_sent_in_time_is_done() {
    let world = World::new();
    let handler = async |mut c: MemoryConnection| {
        let handshake = c.peer.handshake();
        c.reader.read_exact(&mut [0; 2]).await?;
        drop(handshake);
        pending().await
    };
    let (served, connector) = world.serve_memory(Server::default(), handler);
    let mut client = world.connect(&connector);
    world.settle();
    send(&mut client, b"ok");
    world.manual.advance(SECOND * 10);
    world.settle();
    let phases: Vec<_> = served.handle.connections();
    assert_eq!(phases[0].phase, Phase::Open);
}

#[test]
fn a_handler_whose_peer_ended_in_time_returns() {
    let world = World::new();
    let server = Server::default().timeouts(Timeouts::default().lifetime(HOUR));
    let (served, connector) = world.serve_memory(server, echoes);
    let client = world.connect(&connector);
    world.settle();
    drop(client);
    world.manual.advance(HOUR);
    world.settle();
    assert_eq!(served.events(), ["closed 1 eof"]);
}

#[test]
fn bytes_that_reach_the_rate_may_arrive_at_the_last_moment() {
    let world = World::new();
    let server = Server::default().timeouts(Timeouts::default().min_rate(1));
    let handler =
        async |mut c: MemoryConnection| c.reader.line().await.map(drop).map_err(Into::into);
    let (served, connector) = world.serve_memory(server, handler);
    let mut client = world.connect(&connector);
    send(&mut client, b"four");
    world.settle();
    send(&mut client, b"!");
    world.manual.advance(SECOND * 5);
    world.settle();
    assert_eq!(served.events(), [""; 0]);
}

/// The kernel has a byte of the client, and the reactor has not reported it yet.
#[test]
fn a_byte_that_only_the_kernel_has_counts() {
    for family in [Family::Tcp, Family::Unix] {
        sockets::run(family, async |world| {
            let server = Server::default().timeouts(Timeouts::default().idle(HOUR));
            let handler = async |c: Connection| echo(c.reader, c.writer).await;
            let served = world.serve(server, handler).await;
            let client = served.connect();
            client.send(b"a");
            assert_eq!(client.take(1).await, b"a");
            world.settle().await;
            client.send(b"b");
            world.manual.advance(HOUR);
            assert_eq!(client.take(1).await, b"b");
            assert_eq!(served.events(), [""; 0]);
        });
    }
}

#[test]
fn a_byte_that_only_the_kernel_has_is_answered_in_a_drain() {
    for family in [Family::Tcp, Family::Unix] {
        sockets::run(family, async |world| {
            let handler = async |c: Connection| echo(c.reader, c.writer).await;
            let served = world.serve(Server::default(), handler).await;
            let client = served.connect();
            client.send(b"a");
            assert_eq!(client.take(1).await, b"a");
            served.shutdown.drain();
            world.settle().await;
            client.send(b"b");
            world.manual.advance(SECOND);
            assert_eq!(client.take(1).await, b"b");
        });
    }
}

#[test]
#[cfg_attr(
    not(all(target_os = "linux", not(halves_portable))),
    ignore = "a thread of async-io reports readiness, maybe after the second poll"
)]
fn a_line_that_only_the_kernel_has_is_in_time_for_a_timeout() {
    let ex = Executor::new();
    let (clock, manual) = Clock::manual();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let at = listener.local_addr().expect("an address");
    ex.block_on(async {
        let mut near = connect(at).await.expect("it listens");
        let far = Client::new(listener.accept().expect("it has connected").0);
        let read = ex.spawn(async move {
            let line = clock.timeout(SECOND, near.reader.line()).await;
            let late = clock.timeout(SECOND, near.reader.line()).await;
            (line, late)
        });
        for _ in 0..10 {
            yield_now().await;
        }
        far.send(b"in time\n");
        manual.advance(SECOND);
        for _ in 0..10 {
            yield_now().await;
        }
        manual.advance(SECOND);
        let (line, late) = read.await;
        let line = line.expect("it came in time").expect("no error");
        assert_eq!(line.expect("no end"), b"in time\n");
        assert_eq!(late.expect_err("nothing").kind(), ErrorKind::TimedOut);
    });
}
