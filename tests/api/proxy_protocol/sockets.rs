//! Headers on sockets of the system.

use std::io;

use halves::proxy_protocol::{Header, ProxyProtocol, Version};
use halves::service::echo;
use halves::{Connection, Server, bind};

use crate::support::harness::network::endpoint;
use crate::support::harness::sockets::{Client, Family, Served, World, eventually, run};
use crate::support::place;

/// More than one read takes.
const LONG_INPUT_BYTES: usize = 100 * 1024;

/// Serves an echo behind headers from 127.0.0.1 and from Unix sockets.
async fn serve(world: &World) -> Served {
    let proxy = ProxyProtocol::new(Version::Any).trust("127.0.0.1".parse().expect("a network"));
    let dir = place::dir();
    let listeners = match world.family {
        Family::Tcp => bind("127.0.0.1:0").await,
        Family::Unix => bind(&*dir.path().join("socket")).await,
    };
    let listeners = listeners.expect("the address is free");
    let at = listeners.local_addrs().remove(0);
    let handler = async |c: Connection| -> io::Result<()> { echo(c.reader, c.writer).await };
    let serve = async move |ex, server: Server| {
        let (listener, handler) = (proxy.listen(listeners), proxy.wrap(handler));
        server.serve(&ex, listener, handler).await
    };
    world.serve_by(at, dir, Server::default(), serve)
}

async fn assert_echo(client: &Client) {
    client.send(b"hello");
    assert_eq!(client.take(5).await, b"hello");
}

#[test]
fn a_header_names_the_client_of_a_socket() {
    for family in [Family::Tcp, Family::Unix] {
        run(family, async |world| {
            let served = serve(&world).await;
            let header = Header::new(endpoint("203.0.113.1:5"), endpoint("198.51.100.7:443"));
            for sent in [header.to_v1(), header.to_v2(true)] {
                let client = served.connect();
                client.send(&[&sent, &b"first"[..]].concat());
                assert_eq!(client.take(5).await, b"first");
                assert_echo(&client).await;
                let info = served.handle.connections().remove(0);
                assert_eq!(info.peer, endpoint("203.0.113.1:5"));
                drop(client);
                let closed = served.until_closed().await;
                assert!(closed[0].ends_with(" eof"), "{closed:?}");
            }
        });
    }
}

#[test]
fn a_client_without_a_header_reads_the_end_whatever_it_sent() {
    for family in [Family::Tcp, Family::Unix] {
        for length in [1, 9, LONG_INPUT_BYTES] {
            run(family, async |world| {
                let served = serve(&world).await;
                let client = served.connect();
                client.send(&vec![b'x'; length]);
                let (received, end) = client.rest().await;
                assert!(received.is_empty() && end.is_ok(), "{family:?} {end:?}");
                let error = "1 proxy_header: no PROXY header";
                let expected = ["refused", "closed"].map(|event| format!("{event} {error}"));
                assert_eq!(served.until_closed().await, expected);
            });
        }
    }
}

#[test]
fn a_load_balancer_that_resets_is_an_error_of_the_stream() {
    run(Family::Tcp, async |world| {
        let served = serve(&world).await;
        let client = served.connect();
        client.send(b"PROXY ");
        let connections = || served.handle.connections();
        let read = || connections().first().is_some_and(|c| c.bytes_in == 6);
        eventually(|| read().then_some(())).await;
        client.reset();
        let closed = served.until_closed().await;
        assert!(closed[0].starts_with("closed 1 error: "), "{closed:?}");
    });
}
