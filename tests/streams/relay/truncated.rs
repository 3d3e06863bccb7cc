//! A side of TLS that ends without `close_notify`.

use std::io;
use std::rc::Rc;

use futures_lite::{AsyncWriteExt, future};
use halves::listener::memory::{self, MemoryConnection};
use halves::service::TruncatedResets;
use halves::{Executor, Server, service};

use super::{End, RESET, close, read};
use crate::support::conformance;
use crate::support::harness::World;
use crate::tls::{Ends, VERSIONS};

/// Relays between a client of TLS and an origin in memory. `end` ends the client.
async fn origin_reads(
    end: impl AsyncFnOnce(&mut crate::tls::Client) -> io::Result<()>,
) -> io::Result<(Vec<u8>, End, io::Result<()>)> {
    let (mut client, near) = Ends::new(VERSIONS[1]).with_client(1000).await?;
    let (far, mut origin) = memory::pair(1000);
    let relay = service::relay(near, far);
    let steps = async {
        client.write_all(b"hello").await?;
        end(&mut client).await?;
        close(&mut origin);
        io::Result::Ok(())
    };
    let (result, steps) = future::zip(relay, steps).await;
    steps?;
    let (bytes, end) = read(&mut origin);
    Ok((bytes, end, result))
}

#[test]
fn a_missing_close_notify_is_passed_on_as_an_end() -> io::Result<()> {
    smol::block_on(async {
        let whole = origin_reads(async |client| client.close().await).await?;
        let truncated = origin_reads(async |client| client.beneath.writer.close().await).await?;
        for (bytes, end, result) in [whole, truncated] {
            assert_eq!((&bytes[..], end), (&b"hello"[..], End::Closed));
            result?;
        }
        Ok(())
    })
}

/// Over sockets, where what was sent before the reset can still be read.
#[test]
fn a_reset_of_tls_is_passed_on_as_an_end() -> io::Result<()> {
    Executor::new().block_on(async {
        let (outer, inner) = conformance::connected("127.0.0.1:0").await?;
        let (mut client, near) = Ends::new(VERSIONS[1]).shake_hands(outer, inner).await?;
        let (far, mut origin): (_, MemoryConnection) = memory::pair(1000);
        let near_peer = near.peer.clone();
        client.writer.write_all(b"hello").await?;
        client.writer.flush().await?;
        client.peer.abort();
        close(&mut origin);
        service::relay(near, far).await?;
        assert_eq!(read(&mut origin), (b"hello".to_vec(), End::Closed));
        assert_eq!(near_peer.payload_in(), 5);
        Ok(())
    })
}

#[test]
fn a_missing_close_notify_becomes_a_reset_if_that_is_asked_for() -> io::Result<()> {
    smol::block_on(async {
        let (mut client, near) = Ends::new(VERSIONS[1]).with_client(1000).await?;
        let (far, mut origin) = memory::pair(1000);
        near.peer.set_extension(TruncatedResets);
        client.write_all(b"hello").await?;
        client.beneath.writer.close().await?;
        let error = service::relay(near, far).await.expect_err("truncated");
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(read(&mut origin).1, RESET);
        Ok(())
    })
}

/// A server of TLS that leaves without `close_notify`, behind a relay.
fn target_leaves(resets: bool) -> (Vec<u8>, End, Vec<String>) {
    let world = World::new();
    let ends = Rc::new(Ends::new(VERSIONS[1]));
    let handler = async move |client: MemoryConnection| {
        let (outer, inner) = memory::pair(1000);
        let (target, mut server) = ends.shake_hands(outer, inner).await?;
        if resets {
            target.peer.set_extension(TruncatedResets);
        }
        server.writer.write_all(b"answer").await?;
        server.writer.flush().await?;
        // Dropped without `close_notify`.
        drop(server);
        service::relay(client, target).await
    };
    let (served, connector) = world.serve_memory(Server::default(), handler);
    let mut client = world.connect(&connector);
    close(&mut client);
    world.settle();
    let (bytes, end) = read(&mut client);
    drop(client);
    world.settle();
    (bytes, end, served.events())
}

#[test]
fn a_target_without_close_notify_is_logged_at_its_client() {
    let (bytes, end, events) = target_leaves(false);
    assert_eq!((&bytes[..], end), (&b"answer"[..], End::Closed));
    assert_eq!(events, ["closed 1 truncated"]);
    let (_, end, events) = target_leaves(true);
    assert_eq!(end, RESET);
    let text = "the stream ended without the close_notify of TLS";
    assert_eq!(events, [format!("closed 1 truncated: {text}")]);
}
