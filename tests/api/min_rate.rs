//! The minimum rate: only the time counts in which the handler waits for the rest of a request that
//! has begun.

use std::future::Future;
use std::io;
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use halves::listener::memory::{self, Connector, MemoryConnection};
use halves::{Server, Timeouts};

use crate::support::harness::{Served, World};

const SECOND: Duration = Duration::from_secs(1);
const MOMENT: Duration = Duration::from_nanos(1);
const REQUEST: &[u8] = b"GET /a\n";

type Handler = fn(MemoryConnection) -> future::Boxed<io::Result<()>>;

/// Echo handlers that read lines, and chunks.
const HANDLERS: [Handler; 2] = [
    |mut c| {
        Box::pin(async move {
            while let Some(line) = c.reader.line().await? {
                c.writer.write_all(&line).await?;
            }
            Ok(())
        })
    },
    |mut c| {
        Box::pin(async move {
            let (mut line, mut buf) = (Vec::new(), [0; 64]);
            loop {
                let n = c.reader.read(&mut buf).await?;
                if n == 0 {
                    return Ok(());
                }
                line.extend(&buf[..n]);
                if line.ends_with(b"\n") {
                    c.writer.write_all(&line).await?;
                    line.clear();
                }
            }
        })
    },
];

fn serve<H, F>(world: &World, rate: u64, handler: H) -> (Served, Connector)
where
    H: FnOnce(MemoryConnection) -> F + Clone + 'static,
    F: Future<Output = io::Result<()>> + 'static,
{
    let server = Server::default().timeouts(Timeouts::default().min_rate(rate));
    world.serve_memory(server, handler)
}

fn send(world: &World, client: &mut MemoryConnection, text: &[u8]) {
    future::block_on(client.writer.write_all(text)).expect("it fits");
    world.settle();
}

/// The bytes that are there for the client.
fn take(client: &mut MemoryConnection, n: usize) -> Vec<u8> {
    future::block_on(client.reader.exactly(n)).expect("it is sent")
}

/// Asserts that the client was closed for being slow.
#[track_caller]
fn assert_slow(world: &World, served: &Served, client: MemoryConnection) {
    drop(client);
    world.settle();
    assert_eq!(served.events(), ["closed 1 min_rate"]);
}

#[test]
fn small_requests_that_are_whole_are_never_slow() {
    for handler in HANDLERS {
        let world = World::new();
        let (served, connector) = serve(&world, 1000, handler);
        let mut client = world.connect(&connector);
        for _ in 0..100 {
            send(&world, &mut client, REQUEST);
            assert_eq!(take(&mut client, REQUEST.len()), REQUEST);
            world.pass(SECOND * 2);
        }
        assert_eq!(served.events(), [""; 0]);
    }
}

#[test]
fn a_request_that_drips_is_ended_and_one_at_the_rate_is_not() {
    for handler in HANDLERS {
        let world = World::new();
        let (served, connector) = serve(&world, 10, handler);
        let (mut drips, mut steady) = (world.connect(&connector), world.connect(&connector));
        // Earlier whole requests do not change the rate.
        send(&world, &mut drips, REQUEST);
        world.pass(SECOND * 7);
        for second in 1..=5 {
            send(&world, &mut drips, &[b'a'; 8]);
            send(&world, &mut steady, &[b'a'; 10]);
            world.pass(SECOND - MOMENT);
            assert_eq!(served.events(), [""; 0], "after {second}");
            assert_eq!(served.open(), 2);
            world.pass(MOMENT);
        }
        assert_eq!(served.open(), 1);
        assert_slow(&world, &served, drips);
        for _ in 0..20 {
            send(&world, &mut steady, &[b'a'; 10]);
            world.pass(SECOND);
        }
        assert_eq!(served.events(), [""; 0]);
    }
}

#[test]
fn a_drip_between_answers_adds_up() {
    for handler in HANDLERS {
        let world = World::new();
        let (served, connector) = serve(&world, 10, handler);
        let mut client = world.connect(&connector);
        for _ in 0..4 {
            send(&world, &mut client, b"a");
            world.pass(SECOND);
            send(&world, &mut client, b"\n");
            // No request has begun: this time does not count.
            world.pass(SECOND * 3);
        }
        send(&world, &mut client, b"a");
        assert_eq!(served.open(), 1);
        world.pass(SECOND);
        assert_eq!(served.open(), 0);
        assert_slow(&world, &served, client);
    }
}

#[test]
fn whole_lines_without_an_answer_are_one_request() {
    let world = World::new();
    let handler = async |mut c: MemoryConnection| {
        while c.reader.line().await?.is_some_and(|line| line != b"\n") {}
        c.writer.write_all(b"200 OK\n").await
    };
    let (served, connector) = serve(&world, 10, handler);
    let mut client = world.connect(&connector);
    send(&world, &mut client, b"GET /\n");
    for _ in 0..4 {
        world.pass(SECOND);
        send(&world, &mut client, b"a: b\n");
    }
    assert_eq!(served.open(), 1);
    world.pass(SECOND);
    assert_eq!(served.open(), 0);
    assert_slow(&world, &served, client);
}

#[test]
fn a_handler_can_mark_the_end_of_a_message_without_an_answer() {
    let world = World::new();
    let handler = async |mut c: MemoryConnection| {
        while c.reader.more_or_drain().await? {
            c.reader.line().await?;
        }
        Ok(())
    };
    let (served, connector) = serve(&world, 10, handler);
    let mut client = world.connect(&connector);
    for _ in 0..20 {
        send(&world, &mut client, b"message\n");
        world.pass(SECOND * 2);
    }
    assert_eq!(served.open(), 1);
    send(&world, &mut client, b"mess");
    // Earlier bytes count for the first five seconds.
    world.pass(SECOND * 5);
    send(&world, &mut client, b"age");
    world.pass(SECOND * 5);
    assert_eq!(served.open(), 0);
    assert_slow(&world, &served, client);
}

#[test]
fn a_silent_client_is_not_slow() {
    for handler in HANDLERS {
        let world = World::new();
        let (served, connector) = serve(&world, 1000, handler);
        let mut client = world.connect(&connector);
        for _ in 0..100 {
            world.pass(SECOND);
        }
        // In the middle of a request, too: the idle timeout handles that.
        send(&world, &mut client, &[b'a'; 5000]);
        for _ in 0..100 {
            world.pass(SECOND);
        }
        assert_eq!(served.events(), [""; 0]);
    }
}

#[test]
fn one_byte_less_than_the_rate_is_slow() {
    let world = World::new();
    let (served, connector) = serve(&world, 1, HANDLERS[0]);
    let (mut short, mut enough) = (world.connect(&connector), world.connect(&connector));
    send(&world, &mut short, b"four");
    send(&world, &mut enough, b"five!");
    world.pass(SECOND * 5);
    assert_eq!(served.open(), 1);
    assert_slow(&world, &served, short);
}

#[test]
fn the_time_of_a_handshake_does_not_count() {
    let world = World::new();
    let handler = async |mut c: MemoryConnection| {
        let handshake = c.peer.handshake();
        c.reader.exactly(2).await?;
        drop(handshake);
        c.reader.line().await?;
        Ok(())
    };
    let (served, connector) = serve(&world, 10, handler);
    let mut client = world.connect(&connector);
    send(&world, &mut client, b"ok");
    world.pass(SECOND * 20);
    assert_eq!(served.events(), [""; 0]);
}

#[test]
fn time_in_which_the_handler_works_does_not_count() {
    let world = World::new();
    let clock = world.clock.clone();
    let handler = async move |mut c: MemoryConnection| {
        while let Some(line) = c.reader.line().await? {
            clock.sleep(SECOND * 60).await;
            c.writer.write_all(&line).await?;
        }
        Ok(())
    };
    let (served, connector) = serve(&world, 1000, handler);
    let mut client = world.connect(&connector);
    for _ in 0..3 {
        send(&world, &mut client, REQUEST);
        for _ in 0..60 {
            world.pass(SECOND);
        }
        assert_eq!(take(&mut client, REQUEST.len()), REQUEST);
    }
    assert_eq!(served.events(), [""; 0]);
}

#[test]
fn time_in_which_our_own_write_waits_does_not_count() {
    let world = World::new();
    let (listener, connector) = memory::listener(100);
    let server = Server::default().timeouts(Timeouts::default().min_rate(20));
    // It reads and writes at the same time.
    let handler = async |mut c: MemoryConnection| {
        let read = async { c.reader.line().await.map_err(Into::into) };
        let write = async { c.writer.write_all(&[0; 150]).await };
        future::try_zip(read, write).await.map(drop)
    };
    let served = world.serve(server, listener, handler);
    let mut client = world.connect(&connector);
    send(&world, &mut client, b"part");
    for _ in 0..60 {
        world.pass(SECOND);
    }
    assert_eq!(served.open(), 1);
    assert_eq!(take(&mut client, 100), [0; 100]);
    world.settle();
    // It is checked again within a second.
    world.pass(SECOND * 5 - MOMENT);
    assert_eq!(served.open(), 1);
    world.pass(SECOND);
    assert_eq!(served.open(), 0);
    assert_slow(&world, &served, client);
}

#[test]
fn a_write_in_between_does_not_complete_a_frame() {
    let world = World::new();
    let clock = world.clock.clone();
    let handler = async move |mut c: MemoryConnection| {
        let read = async { c.reader.line().await.map(drop).map_err(Into::into) };
        let tick = async {
            loop {
                clock.sleep(SECOND / 2).await;
                c.writer.write_all(b"tick").await?;
            }
        };
        future::or(read, tick).await
    };
    let (served, connector) = serve(&world, 10, handler);
    let mut client = world.connect(&connector);
    for _ in 0..5 {
        assert_eq!(served.open(), 1);
        send(&world, &mut client, b"a");
        world.pass(SECOND / 2);
        world.pass(SECOND / 2);
    }
    assert_eq!(served.open(), 0);
    assert_slow(&world, &served, client);
}
