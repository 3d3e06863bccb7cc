//! A header in front of TLS.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use halves::listener::memory::{PipeReader, PipeWriter};
use halves::proxy_protocol::{Header, Version};
use halves::service::echo;
use halves::tls::{ClientSettings, Connector, ServerSettings, TlsConnection};
use halves::{Peer, Server};

use super::sources::{BALANCER, CLIENT_HEADER, proxy};
use crate::support::harness::network::{Clients, endpoint, network};
use crate::support::harness::{Served, World};
use crate::support::pki::Authority;

struct Ends {
    served: Served,
    clients: Clients,
    connector: Connector,
    /// The peers of the handler.
    peers: Rc<RefCell<Vec<Peer>>>,
}

/// Serves an echo over TLS, behind headers.
fn serve(world: &World) -> Ends {
    let authority = Authority::new("test CA");
    let server = authority.server(&["localhost"]);
    let settings = ServerSettings::new().certificate_pem(&server.certificate, &server.key);
    let acceptor = settings.load().expect("good settings");
    let settings = ClientSettings::new().ca_pem(authority.pem());
    let connector = settings.load().expect("good settings");
    let peers = Rc::<RefCell<Vec<Peer>>>::default();
    let kept = peers.clone();
    let handler = async move |c: TlsConnection<PipeReader, PipeWriter>| {
        kept.borrow_mut().push(c.peer.clone());
        echo(c.reader, c.writer).await
    };
    let (listener, clients) = network();
    let (listener, handler) = (
        proxy().listen(listener),
        proxy().wrap(acceptor.wrap(handler)),
    );
    Ends {
        served: world.serve(Server::default(), listener, handler),
        clients,
        connector,
        peers,
    }
}

#[test]
fn a_handshake_may_come_with_the_header() {
    let parsed = Header::parse(CLIENT_HEADER, Version::V1).expect("it is valid");
    let (header, _) = parsed.expect("it is complete");
    for sent in [header.to_v1(), header.to_v2(true)] {
        let world = World::new();
        let ends = serve(&world);
        let mut client = ends.clients.try_connect(BALANCER).expect("it listens");
        future::block_on(client.writer.write_all(&sent)).expect("it fits");
        let mut handshake = Box::pin(ends.connector.handshake(client, "localhost"));
        // Sends its first message, before the server runs.
        let shaken = future::block_on(future::poll_once(&mut handshake));
        assert!(shaken.is_none());
        let answer = world.now(async move {
            let mut client = handshake.await?;
            client.writer.write_all(b"hello").await?;
            let mut answer = [0; 5];
            client.reader.read_exact(&mut answer).await?;
            io::Result::Ok(answer)
        });
        assert_eq!(&answer.expect("no error"), b"hello");
        let peer = ends.peers.borrow_mut().remove(0);
        assert_eq!(peer.endpoint(), endpoint("203.0.113.1:51234"));
        assert_eq!(peer.payload_in(), 5, "neither the header nor the handshake");
        assert!(peer.proxy().is_some());
    }
}

#[test]
fn a_handshake_without_a_header_is_refused_before_tls() {
    let world = World::new();
    let ends = serve(&world);
    let client = ends.clients.connect(&world, BALANCER);
    let connector = ends.connector.clone();
    let shaken = world.now(async move { connector.handshake(client, "localhost").await });
    assert!(shaken.is_err());
    let error = "1 proxy_header: expected a PROXY header, found a TLS handshake";
    let expected = ["refused", "closed"].map(|event| format!("{event} {error}"));
    assert_eq!(ends.served.events(), expected);
}

#[test]
fn other_bytes_behind_the_header_are_an_error_of_tls() {
    let world = World::new();
    let ends = serve(&world);
    let mut client = ends.clients.try_connect(BALANCER).expect("it listens");
    let sent = [CLIENT_HEADER, b"GET / HTTP/1.1\r\n\r\n"].concat();
    future::block_on(client.writer.write_all(&sent)).expect("it fits");
    world.settle();
    let mut alert = Vec::new();
    let read = future::block_on(future::poll_once(client.reader.read_to_end(&mut alert)));
    read.expect("the stream has ended").expect("an orderly end");
    drop(client);
    world.settle();
    let events = ends.served.events();
    assert!(events[0].starts_with("refused 1 tls: "), "{events:?}");
    assert!(events[1].starts_with("closed 1 tls: "), "{events:?}");
}
