//! Bytes that are dropped unsent are reported once, and counted.

use std::io::ErrorKind;
use std::time::Duration;

use halves::listener::memory::MemoryConnection;
use halves::{Reason, Server};

use crate::support::harness::World;
use crate::support::harness::network::network_of;

const LINGER: Duration = Duration::from_secs(3);

#[test]
fn bytes_dropped_by_a_handler_are_reported_once() {
    let world = World::new();
    let (network, clients) = network_of(4);
    let handler = async |c: MemoryConnection| {
        let mut writer = c.writer.buffered();
        writer.write(b"0123456789")?;
        writer.ready().await
    };
    let served = world.serve(Server::default(), network, handler);
    let mut client = clients.connect(&world, "192.0.2.1:5");
    world.settle();
    let events = served.events();
    assert!(events[0].starts_with("Unsent"), "{events:?}");
    assert!(events[0].ends_with("bytes: 6 }"), "{events:?}");
    assert_eq!(events[1..], ["closed 1 handler"]);
    let stats = served.handle.stats();
    assert_eq!((stats.bytes_unsent, stats.bytes_out), (6, 4));
    // A cut answer does not look like a whole one.
    let received = world.now(async move { client.reader.line().await });
    let reset = std::io::Error::from(received.expect_err("a reset"));
    assert_eq!(reset.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_flushed_or_unused_writer_reports_no_loss() {
    let world = World::new();
    let (network, clients) = network_of(4);
    let handler = async |c: MemoryConnection| {
        let mut writer = c.writer.buffered();
        writer.write(b"0123")?;
        writer.flush().await?;
        drop(writer.into_inner().await?.buffered());
        Ok(())
    };
    let served = world.serve(Server::default(), network, handler);
    let client = clients.connect(&world, "192.0.2.1:5");
    world.pass(LINGER);
    assert_eq!(served.events(), ["closed 1 handler"]);
    assert_eq!(served.handle.stats().bytes_unsent, 0);
    drop(client);
}

#[test]
fn a_killed_connection_reports_its_unsent_bytes() {
    let world = World::new();
    let (network, clients) = network_of(4);
    let handler = async |c: MemoryConnection| {
        let mut writer = c.writer.buffered();
        writer.write(b"0123456789")?;
        let ended = writer.close().await.expect_err("it is killed");
        assert_eq!(ended.kind(), ErrorKind::ConnectionAborted);
        Ok(())
    };
    let served = world.serve(Server::default(), network, handler);
    let client = clients.connect(&world, "192.0.2.1:5");
    assert!(served.handle.kill(1));
    world.settle();
    let stats = served.handle.stats();
    assert_eq!((stats.ended[Reason::Killed], stats.bytes_unsent), (1, 6));
    drop(client);
}

/// In the middle of an answer: the client must not mistake a part for the whole.
#[test]
fn a_close_of_all_clients_resets_connections_with_unsent_bytes() {
    let world = World::new();
    let (network, clients) = network_of(4);
    let handler = async |mut c: MemoryConnection| {
        let mut writer = c.writer.buffered();
        writer.write(b"0123456789")?;
        let _ = c.reader.line().await?;
        Ok(())
    };
    let served = world.serve(Server::default(), network, handler);
    let mut client = clients.connect(&world, "192.0.2.1:5");
    served.handle.close_clients();
    world.settle();
    let received = world.now(async move { client.reader.line().await });
    let reset = std::io::Error::from(received.expect_err("a reset"));
    assert_eq!(reset.kind(), ErrorKind::ConnectionReset);
    let stats = served.handle.stats();
    assert_eq!((stats.ended[Reason::Closed], stats.bytes_unsent), (1, 6));
}
