//! A side of TLS that ends without `close_notify`.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use halves::listener::memory::{self, MemoryConnection};
use halves::service::TruncatedResets;
use halves::{Executor, Listener, Server, service};
#[cfg(target_os = "linux")]
use rustix::net::{AddressFamily, SocketType, sockopt};

use super::{End, RESET, close, read};
use crate::support::conformance;
use crate::support::harness::World;
use crate::support::tls_ends::{Ends, VERSIONS};

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
        let received = async {
            origin.reader.read_exact(&mut [0; 5]).await?;
            origin.reader.read(&mut [0]).await
        };
        let (result, received) = future::zip(service::relay(near, far), received).await;
        let error = result.expect_err("truncated");
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        let end = received.expect_err("a reset").kind();
        assert_eq!(end, io::ErrorKind::ConnectionReset);
        Ok(())
    })
}

/// The client reads late, so most of the bytes wait in the relay's system.
#[cfg(target_os = "linux")]
#[test]
fn a_reset_because_of_truncation_waits_until_the_bytes_have_arrived() -> io::Result<()> {
    use std::io::Read;

    const BYTES: usize = 300_000;
    Executor::new().block_on(async {
        let mut listeners = halves::bind("127.0.0.1:0").await?;
        let address = listeners.local_addrs()[0].socket_addr().expect("TCP");
        let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None)?;
        sockopt::set_socket_recv_buffer_size(&socket, 4096)?;
        rustix::net::connect(&socket, &address)?;
        let mut client = std::net::TcpStream::from(socket);
        let near = listeners.accept().await?.expect("a client");
        let (outer, inner) = conformance::connected("127.0.0.1:0").await?;
        let (target, mut server) = Ends::new(VERSIONS[1]).shake_hands(outer, inner).await?;
        target.peer.set_extension(TruncatedResets);
        let peer = near.peer.clone();
        let steps = async {
            server.writer.write_all(&vec![7; BYTES]).await?;
            server.writer.flush().await?;
            drop(server);
            while peer.bytes_out() < BYTES as u64 {
                future::yield_now().await;
            }
            // The relay reads the end.
            for _ in 0..100 {
                future::yield_now().await;
            }
            let received = smol::unblock(move || {
                let mut received = Vec::new();
                let end = client.read_to_end(&mut received);
                (received.len(), end.map_err(|error| error.kind()))
            });
            io::Result::Ok(received.await)
        };
        let (result, received) = future::zip(service::relay(near, target), steps).await;
        let error = result.expect_err("truncated");
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(received?, (BYTES, Err(io::ErrorKind::ConnectionReset)));
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
    let (bytes, _) = read(&mut client);
    // The relay looks again.
    world.pass(Duration::from_millis(5));
    let (more, end) = read(&mut client);
    assert!(more.is_empty());
    drop(client);
    world.settle();
    (bytes, end, served.events())
}

#[test]
fn a_target_without_close_notify_is_logged_at_its_client() {
    let (bytes, end, events) = target_leaves(false);
    assert_eq!((&bytes[..], end), (&b"answer"[..], End::Closed));
    assert_eq!(events, ["closed 1 truncated"]);
    let (bytes, end, events) = target_leaves(true);
    assert_eq!((&bytes[..], end), (&b"answer"[..], RESET));
    let text = "the stream ended without the close_notify of TLS";
    assert_eq!(events, [format!("closed 1 truncated: {text}")]);
}
