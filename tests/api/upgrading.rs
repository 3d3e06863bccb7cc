//! A layer that is added to a connection in use: its handshake has a deadline of its own, its bytes
//! count, and what it learns stays on the connection.

use std::future::pending;
use std::io;
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use halves::connection::{Phase, Waits};
use halves::listener::memory::{MemoryConnection, pair};
use halves::{Connection, Endpoint, Peer, Server, Timeouts};

use crate::support::harness::World;
use crate::support::receipts::Receipts;

const HOUR: Duration = Duration::from_hours(1);
const MOMENT: Duration = Duration::from_nanos(1);

fn server() -> Server {
    Server::default().timeouts(Timeouts::default().handshake(HOUR))
}

/// Reads a byte in clear text, then begins a handshake that reads one byte and writes two.
async fn upgrades(mut c: MemoryConnection) -> io::Result<()> {
    c.reader.read_exact(&mut [0]).await?;
    let peer = c.peer.clone();
    let handshake = async |mut reader, mut writer| {
        AsyncReadExt::read_exact(&mut reader, &mut [0]).await?;
        AsyncWriteExt::write_all(&mut writer, b"ok").await?;
        Ok(Receipts::new(reader, writer))
    };
    let upgraded = c.upgrade(handshake).await?;
    assert_eq!((peer.bytes_in(), peer.bytes_out()), (2, 2));
    assert_eq!((peer.payload_in(), peer.payload_out()), (0, 0));
    pending::<()>().await;
    drop(upgraded);
    Ok(())
}

fn send(world: &World, mut client: MemoryConnection) -> MemoryConnection {
    world.now(async move {
        client.writer.write_all(b"x").await.expect("it is read");
        client
    })
}

#[test]
fn the_deadline_of_a_late_handshake_counts_from_its_begin() {
    let world = World::new();
    let (served, connector) = world.serve_memory(server(), upgrades);
    let client = world.connect(&connector);
    world.pass(10 * HOUR);
    let client = send(&world, client);
    assert_eq!(served.handle.connections()[0].phase, Phase::Handshake);
    world.pass(HOUR - MOMENT);
    assert!(served.events().is_empty());
    world.pass(MOMENT);
    drop(client);
    world.settle();
    assert_eq!(served.events(), ["closed 1 handshake"]);
}

#[test]
fn a_handshake_that_ends_in_time_has_no_deadline_any_more() {
    let world = World::new();
    let (served, connector) = world.serve_memory(server(), upgrades);
    let client = world.connect(&connector);
    let client = send(&world, client);
    world.pass(HOUR - MOMENT);
    let client = send(&world, client);
    assert_eq!(served.handle.connections()[0].phase, Phase::Open);
    world.pass(10 * HOUR);
    assert!(served.events().is_empty());
    drop(client);
}

#[test]
fn nested_handshakes_count_from_the_first() {
    let world = World::new();
    let clock = world.clock.clone();
    let handler = async move |c: MemoryConnection| {
        clock.sleep(HOUR).await;
        let first = c.peer.handshake();
        clock.sleep(HOUR / 2).await;
        let second = c.peer.handshake();
        drop(first);
        pending::<()>().await;
        drop(second);
        Ok(())
    };
    let (served, connector) = world.serve_memory(server(), handler);
    let client = world.connect(&connector);
    world.pass(HOUR);
    world.pass(HOUR / 2);
    world.pass(HOUR / 2 - MOMENT);
    assert!(served.events().is_empty());
    world.pass(MOMENT);
    drop(client);
    world.settle();
    assert_eq!(served.events(), ["closed 1 handshake"]);
}

#[test]
fn bytes_of_a_handshake_are_activity() {
    let world = World::new();
    let timeouts = Timeouts::default().idle(HOUR).handshake(Duration::ZERO);
    let server = Server::default().timeouts(timeouts);
    let handler = async |c: MemoryConnection| {
        let never = async |mut reader, _| {
            AsyncReadExt::read_exact(&mut reader, &mut [0; 100]).await?;
            Err(io::ErrorKind::Unsupported.into())
        };
        let upgraded: io::Result<Connection<_, _>> = c.upgrade(never).await;
        let _: Connection<_, halves::connection::WriteHalf<async_net::TcpStream>> = upgraded?;
        Ok(())
    };
    let (served, connector) = world.serve_memory(server, handler);
    let mut client = world.connect(&connector);
    for _ in 0..3 {
        world.pass(HOUR - MOMENT);
        client = send(&world, client);
    }
    let waits = served.handle.connections().pop().map(|info| info.waits);
    assert_eq!(waits, Some(Waits::Read));
    world.pass(HOUR - MOMENT);
    assert!(served.events().is_empty());
    world.pass(MOMENT);
    drop(client);
    world.settle();
    assert_eq!(served.events(), ["closed 1 idle"]);
}

#[test]
fn wire_and_payload_count_apart_above_a_layer_and_together_without() {
    let (near, mut far) = pair(1024);
    smol::block_on(async {
        far.writer.write_all(b"clear\n0123456789").await?;
        let mut near = near;
        assert_eq!(near.reader.line().await?.as_deref(), Some(&b"clear\n"[..]));
        let peer = near.peer.clone();
        // A reader of lines counts what it has read ahead.
        assert_eq!((peer.bytes_in(), peer.payload_in()), (16, 16));
        let (mut beneath, mut writer, peer) = near.into_parts();
        // A layer with four bytes of its own in front.
        beneath.read_exact(&mut [0; 4]).await?;
        writer.write_all(b"head").await?;
        let mut above = Connection::from_parts(beneath, writer, peer.clone());
        above.reader.read_exact(&mut [0; 5]).await?;
        above.writer.write_all(b"tail...").await?;
        assert_eq!((peer.bytes_in(), peer.payload_in()), (16, 5));
        assert_eq!((peer.bytes_out(), peer.payload_out()), (11, 7));
        io::Result::Ok(())
    })
    .expect("all is read");
}

#[test]
fn bytes_below_two_layers_count_once() {
    let (near, mut far) = pair(1024);
    smol::block_on(async {
        far.writer.write_all(b"hello").await?;
        let (reader, writer, peer) = near.into_parts();
        let (reader, writer, peer) = Connection::from_parts(reader, writer, peer).into_parts();
        let mut above = Connection::from_parts(reader, writer, peer.clone());
        above.reader.read_exact(&mut [0; 5]).await?;
        above.writer.write_all(b"no").await?;
        assert_eq!((peer.bytes_in(), peer.payload_in()), (5, 5));
        assert_eq!((peer.bytes_out(), peer.payload_out()), (2, 2));
        io::Result::Ok(())
    })
    .expect("all is read");
}

#[test]
fn extensions_have_one_value_of_a_type_and_follow_the_connection() {
    let (near, _far) = pair(64);
    let peer = near.peer.clone();
    peer.set_extension(1_u8);
    peer.set_extension("text");
    peer.set_extension(2_u8);
    assert_eq!(peer.extension::<u8>().as_deref(), Some(&2));
    assert_eq!(peer.extension::<u16>(), None);
    let other = Peer::new(Endpoint::Memory, Endpoint::Memory);
    other.set_extension("own");
    let near = near.with_peer(other);
    assert_eq!(near.peer.extension::<u8>().as_deref(), Some(&2));
    assert_eq!(near.peer.extension::<&str>().as_deref(), Some(&"own"));
    let (reader, writer, peer) = near.into_parts();
    let above = Connection::from_stream(Receipts::new(reader, writer), peer);
    assert_eq!(above.peer.extension::<u8>().as_deref(), Some(&2));
}
