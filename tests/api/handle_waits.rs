//! The list of connections: the event that each waits for, its unsent bytes, its next deadline.

use std::future::pending;
use std::io;
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use halves::connection::{Phase, Waits};
use halves::listener::memory::{self, Connector, MemoryConnection};
use halves::server::ConnectionInfo;
use halves::{Clock, Connection, Reason, Server, Timeouts};

use crate::support::harness::sockets::{self, Family, eventually};
use crate::support::harness::{Served, World};

const SECOND: Duration = Duration::from_secs(1);
/// The capacity of the pipes in these tests, in bytes.
const PIPE_BYTES: usize = 100;

/// Each byte selects an action, after which the next byte is read:
///
/// | byte | action |
/// |---|---|
/// | `h` | reads another byte in a handshake |
/// | `s` | sleeps for 10 seconds |
/// | `t` | reads another byte for at most 10 seconds |
/// | `w` | writes more than the pipe holds |
/// | `q` | queues 7 bytes in a buffered writer, and waits for ever |
/// | `o` | waits for ever |
/// | `r` | writes an answer and returns |
async fn obedient(c: MemoryConnection, clock: Clock) -> io::Result<()> {
    let Connection {
        mut reader,
        mut writer,
        peer,
        ..
    } = c;
    loop {
        let mut order = [0];
        reader.read_exact(&mut order).await?;
        match &order {
            b"h" => {
                let handshake = peer.handshake();
                reader.read_exact(&mut order).await?;
                drop(handshake);
            }
            b"s" => clock.sleep(SECOND * 10).await,
            b"t" => {
                let read = reader.read_exact(&mut order);
                let _ = clock.timeout(SECOND * 10, read).await;
            }
            b"w" => writer.write_all(&[b'x'; 2 * PIPE_BYTES]).await?,
            b"q" => {
                let mut writer = writer.buffered();
                writer.write(&[b'x'; PIPE_BYTES + 7])?;
                return pending().await;
            }
            b"o" => return pending().await,
            _ => return writer.write_all(b"answer").await,
        }
    }
}

fn serve(world: &World, timeouts: Timeouts) -> (Served, Connector) {
    let (listener, connector) = memory::listener(PIPE_BYTES);
    let clock = world.clock.clone();
    let handler = async move |c: MemoryConnection| obedient(c, clock).await;
    let server = Server::default().timeouts(timeouts);
    (world.serve(server, listener, handler), connector)
}

fn send(world: &World, client: &mut MemoryConnection, order: &str) {
    let written = future::block_on(client.writer.write_all(order.as_bytes()));
    written.expect("it fits");
    world.settle();
}

/// The only connection.
fn info(served: &Served) -> ConnectionInfo {
    let connections = served.handle.connections();
    let [info] = &*connections else {
        panic!("{} connections", connections.len());
    };
    let one = served.handle.connection(info.id).expect("it is open");
    assert_eq!((one.id, one.waits), (info.id, info.waits));
    info.clone()
}

#[test]
fn a_connection_waits_for_input_a_write_a_sleep_or_something_else() {
    for (orders, waits) in [
        ("", Waits::Read),
        ("h", Waits::Read),
        ("hx", Waits::Read),
        ("s", Waits::Timer),
        ("t", Waits::Read),
        ("tx", Waits::Read),
        ("txo", Waits::Other),
        ("txs", Waits::Timer),
        ("w", Waits::Write),
        ("o", Waits::Other),
        ("hxo", Waits::Other),
        ("r", Waits::Read),
    ] {
        let world = World::new();
        let (served, connector) = serve(&world, Timeouts::default());
        let mut client = world.connect(&connector);
        world.pass(SECOND * 2);
        send(&world, &mut client, orders);
        world.pass(SECOND);
        let info = info(&served);
        assert_eq!(info.waits, waits, "after {orders:?}");
        let waiting = if orders.is_empty() { 3 } else { 1 };
        assert_eq!(info.waiting, SECOND * waiting, "after {orders:?}");
    }
}

#[test]
fn the_next_wait_replaces_the_last_one() {
    let world = World::new();
    let (served, connector) = serve(&world, Timeouts::default());
    let mut client = world.connect(&connector);
    let mut seen = vec![info(&served).waits];
    for orders in ["s", "", "w"] {
        send(&world, &mut client, orders);
        seen.push(info(&served).waits);
        world.pass(SECOND * 10);
    }
    // It reads what is written, and waits for the next order.
    let read = future::block_on(client.reader.exactly(PIPE_BYTES));
    world.settle();
    assert_eq!(read.expect("it is written").len(), PIPE_BYTES);
    seen.push(info(&served).waits);
    let expected = [
        Waits::Read,
        Waits::Timer,
        Waits::Read,
        Waits::Write,
        Waits::Read,
    ];
    assert_eq!(seen, expected);
}

#[test]
fn a_blocked_write_counts_its_own_time() {
    let world = World::new();
    let (served, connector) = serve(&world, Timeouts::default());
    let mut client = world.connect(&connector);
    send(&world, &mut client, "sw");
    world.pass(SECOND * 10);
    world.pass(SECOND * 3);
    let info = info(&served);
    assert_eq!((info.waits, info.waiting), (Waits::Write, SECOND * 3));
    assert_eq!((info.idle, info.unsent), (SECOND * 3, Some(PIPE_BYTES)));
}

#[test]
fn a_connection_after_its_handler_waits_for_the_end_of_its_peer() {
    let world = World::new();
    let (served, connector) = serve(&world, Timeouts::default().idle(SECOND * 60));
    let mut client = world.connect(&connector);
    send(&world, &mut client, "r");
    let info = info(&served);
    assert_eq!((info.phase, info.waits), (Phase::Closing, Waits::Read));
    assert_eq!(info.unsent, Some(6), "the client has not read it");
    assert_eq!(info.deadline, None, "lingering has its own limit");
}

#[test]
fn unsent_bytes_include_those_that_are_queued() {
    let world = World::new();
    let (served, connector) = serve(&world, Timeouts::default());
    let mut client = world.connect(&connector);
    assert_eq!(info(&served).unsent, Some(0));
    send(&world, &mut client, "q");
    let queued = info(&served);
    assert_eq!(queued.unsent, Some(PIPE_BYTES + 7));
    assert_eq!(queued.waits, Waits::Write, "the task sends the queue");
    let read = future::block_on(client.reader.exactly(PIPE_BYTES));
    world.settle();
    assert_eq!(read.expect("it is sent").len(), PIPE_BYTES);
    assert_eq!(info(&served).unsent, Some(7));
}

/// The reason of the next deadline, and the time left in seconds.
fn deadline(served: &Served) -> Option<(Reason, u64)> {
    let deadline = info(served).deadline?;
    assert_eq!(deadline.left.subsec_nanos(), 0);
    Some((deadline.reason, deadline.left.as_secs()))
}

#[test]
fn the_next_deadline_is_the_first_of_those_that_apply() {
    let world = World::new();
    let (served, connector) = serve(&world, Timeouts::default());
    let mut client = world.connect(&connector);
    assert_eq!(deadline(&served), None);
    send(&world, &mut client, "h");
    world.pass(SECOND * 3);
    assert_eq!(deadline(&served), Some((Reason::Handshake, 7)));
    let idle = |seconds| Timeouts::default().idle(SECOND * seconds);
    served.handle.set_timeouts(idle(9));
    assert_eq!(deadline(&served), Some((Reason::Idle, 6)));
    served.handle.set_timeouts(idle(11));
    assert_eq!(deadline(&served), Some((Reason::Handshake, 7)));
    send(&world, &mut client, "x");
    assert_eq!(deadline(&served), Some((Reason::Idle, 11)));
    world.pass(SECOND * 4);
    assert_eq!(deadline(&served), Some((Reason::Idle, 7)));
    served.handle.set_timeouts(idle(4).lifetime(SECOND));
    // Not judged yet, and a lifetime is up to a tenth shorter.
    let info = info(&served).deadline.expect("one has passed");
    assert_eq!((info.reason, info.left), (Reason::Lifetime, Duration::ZERO));
    world.settle();
    assert_eq!(deadline(&served), None, "it closes");
    drop(client);
    world.settle();
    assert_eq!(served.events(), ["closed 1 lifetime"]);
}

#[test]
fn the_minimum_rate_is_the_next_deadline_while_the_peer_is_too_slow() {
    let world = World::new();
    let (listener, connector) = memory::listener(PIPE_BYTES);
    let lines = async |mut c: MemoryConnection| {
        while let Some(line) = c.reader.line().await? {
            c.writer.write_all(&line).await?;
        }
        Ok(())
    };
    let server = Server::default().timeouts(Timeouts::default().min_rate(2));
    let served = world.serve(server, listener, lines);
    let mut client = world.connect(&connector);
    assert_eq!(deadline(&served), None, "nothing is sent");
    send(&world, &mut client, "drip");
    assert_eq!(deadline(&served), Some((Reason::MinRate, 5)));
    world.pass(SECOND * 2);
    assert_eq!(deadline(&served), Some((Reason::MinRate, 3)));
    send(&world, &mut client, "enough");
    assert_eq!(deadline(&served), None, "ten bytes in five seconds");
    send(&world, &mut client, "\n");
    world.pass(SECOND * 60);
    assert_eq!(deadline(&served), None, "the message is over");
    send(&world, &mut client, "drip");
    assert_eq!(deadline(&served), None, "fifteen in two seconds so far");
    world.pass(SECOND * 3);
    assert_eq!(deadline(&served), None, "nothing in the next five");
    send(&world, &mut client, "x");
    assert_eq!(deadline(&served), Some((Reason::MinRate, 5)));
    world.pass(SECOND * 5);
    drop(client);
    world.settle();
    assert_eq!(served.events(), ["closed 1 min_rate"]);
}

#[test]
fn a_connection_over_a_socket_waits_for_input_a_write_or_a_sleep() {
    const MANY: usize = 64 << 20;
    for family in [Family::Tcp, Family::Unix] {
        sockets::run(family, async |world| {
            let clock = world.clock.clone();
            let handler = async move |mut c: Connection| {
                let mut order = [0];
                while c.reader.read(&mut order).await? > 0 {
                    match &order {
                        b"s" => clock.sleep(SECOND).await,
                        b"t" => {
                            let read = c.reader.read(&mut order);
                            clock.timeout(SECOND, read).await??;
                            return pending().await;
                        }
                        _ => c.writer.write_all(&vec![0; MANY]).await?,
                    }
                }
                Ok(())
            };
            let served = world.serve(Server::default(), handler).await;
            let client = served.connect();
            let until = async |waits| {
                let info = || {
                    let info = served.handle.connections().pop()?;
                    (info.waits == waits).then_some(info)
                };
                eventually(info).await
            };
            assert_eq!(until(Waits::Read).await.unsent, Some(0));
            client.send(b"s");
            until(Waits::Timer).await;
            world.manual.advance(SECOND);
            until(Waits::Read).await;
            client.send(b"w");
            let blocked = until(Waits::Write).await;
            assert!(blocked.unsent > Some(0), "{blocked:?}");
            assert!(served.handle.stats().bytes_out >= blocked.bytes_out);
            served.handle.abort_clients();
            let client = served.connect();
            client.send(b"t");
            until(Waits::Read).await;
            world.settle().await;
            client.send(b"x");
            until(Waits::Other).await;
            served.handle.abort_clients();
            eventually(|| served.handle.connections().is_empty().then_some(())).await;
        });
    }
}
