//! The time that an idle client delays a drain.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_lite::{AsyncWriteExt, future};
use halves::listener::memory::MemoryConnection;
use halves::{Connection, Server};

use crate::support::harness::World;
use crate::support::harness::script::read_to_end;
use crate::support::harness::script::uppercase;
use crate::support::harness::server;
use crate::support::harness::sockets::{self, Family, eventually};
use crate::support::receipts::Receipts;

const SECOND: Duration = Duration::from_secs(1);
const MOMENT: Duration = Duration::from_nanos(1);

#[test]
fn an_idle_client_that_never_closes_delays_a_drain_by_one_second() {
    let world = World::new();
    let (server, shutdown) = server();
    let (served, connector) = world.serve_memory(server, uppercase);
    let client = world.connect(&connector);
    shutdown.drain();
    world.pass(SECOND - MOMENT);
    assert_eq!(served.events(), ["draining 1 within 30s"]);
    world.pass(MOMENT);
    assert_eq!(served.events(), ["closed 1 drained", "ended 1 0"]);
    drop((served, client));
}

#[test]
fn an_idle_client_of_a_socket_delays_a_drain_by_one_second() {
    for family in [Family::Tcp, Family::Unix] {
        sockets::run(family, async |world| {
            // Nothing is written, as the kernel acknowledges at any time.
            let begun = Arc::new(AtomicBool::new(false));
            let sink = begun.clone();
            let handler = async move |mut c: Connection| {
                let (peer, mut buf) = (c.peer.clone(), [0; 10]);
                loop {
                    let mut read = pin!(c.reader.read_or_drain(&mut buf));
                    let read = poll_fn(|cx| {
                        let polled = read.as_mut().poll(cx);
                        let quiet = polled.is_pending() && peer.shutdown().is_draining();
                        sink.fetch_or(quiet, Ordering::Relaxed);
                        polled
                    });
                    if read.await? == 0 {
                        return Ok(());
                    }
                }
            };
            let served = world.serve(Server::default(), handler).await;
            let client = served.connect();
            client.send(b"hello");
            let connections = || served.handle.connections();
            let read = || connections().first().is_some_and(|c| c.bytes_in == 5);
            eventually(|| read().then_some(())).await;
            served.shutdown.drain();
            eventually(|| begun.load(Ordering::Relaxed).then_some(())).await;
            world.pass(SECOND - MOMENT).await;
            assert_eq!(served.events(), ["draining 1 within 30s"]);
            world.pass(MOMENT).await;
            assert_eq!(served.until_closed().await[0], "closed 1 drained");
            let (rest, end) = client.rest().await;
            assert!(rest.is_empty() && end.is_ok());
        });
    }
}

/// A reset that follows could overtake the answer.
#[test]
fn an_idle_client_that_has_not_read_its_answer_delays_a_drain_by_two_seconds_more() {
    let world = World::new();
    let (server, shutdown) = server();
    let (served, connector) = world.serve_memory(server, uppercase);
    let mut client = world.connect(&connector);
    future::block_on(client.writer.write_all(b"hello")).expect("it fits");
    world.settle();
    shutdown.drain();
    world.pass(SECOND);
    world.pass(SECOND * 2 - MOMENT);
    assert_eq!(served.events(), ["draining 1 within 30s"]);
    world.pass(MOMENT);
    assert_eq!(served.events(), ["closed 1 drained", "ended 1 0"]);
    assert_eq!(
        world.now(read_to_end(client)).expect("an orderly end"),
        b"HELLO"
    );
}

#[test]
fn a_client_of_a_layer_is_not_quiet_while_it_sends_a_part_of_a_record() {
    let world = World::new();
    let (server, shutdown) = server();
    let handler = async |c: MemoryConnection| {
        let layer = async |reader, writer| Ok(Receipts::new(reader, writer));
        let mut c = c.upgrade(layer).await?;
        while c.reader.read_or_drain(&mut [0]).await? > 0 {}
        Ok(())
    };
    let (served, connector) = world.serve_memory(server, handler);
    let mut client = world.connect(&connector);
    shutdown.drain();
    world.pass(SECOND - MOMENT);
    // The record has another byte.
    future::block_on(client.writer.write_all(b"d")).expect("it fits");
    world.pass(SECOND - MOMENT);
    assert_eq!(served.open(), 1);
    future::block_on(client.writer.write_all(b"x")).expect("it fits");
    world.pass(SECOND - MOMENT);
    assert_eq!(served.open(), 1);
    world.pass(MOMENT);
    assert_eq!(served.open(), 0);
    drop(client);
    world.settle();
    assert_eq!(served.events()[1], "closed 1 drained");
}
