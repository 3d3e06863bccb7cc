//! The sources that are trusted to send a header, and the listeners that expect one.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use halves::listener::memory::{self, MemoryConnection};
use halves::proxy_protocol::{ProxyProtocol, Version};
use halves::service::echo;
use halves::{Connection, Listener, Listeners, Peer, Reason, Server};

use crate::support::harness::network::{Clients, echoes, endpoint, network};
use crate::support::harness::{Served, World};

pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const MOMENT: Duration = Duration::from_nanos(1);
/// A load balancer, in the trusted network.
pub(super) const BALANCER: &str = "10.0.0.1:5000";
pub(super) const UNTRUSTED: &str = "the source is not trusted to send a PROXY header";
pub(super) const CLIENT_HEADER: &[u8] = b"PROXY TCP4 203.0.113.1 198.51.100.7 51234 443\r\n";

/// Accepts both versions from 10.0.0.0/8.
pub(super) fn proxy() -> ProxyProtocol {
    ProxyProtocol::new(Version::Any).trust("10.0.0.0/8".parse().expect("a network"))
}

/// Serves an echo behind headers.
pub(super) fn serve(world: &World, server: Server) -> (Served, Clients) {
    let (listener, clients) = network();
    let (listener, handler) = (proxy().listen(listener), proxy().wrap(echoes));
    (world.serve(server, listener, handler), clients)
}

/// Sends bytes, which fit into the pipe, and lets the server take them.
pub(super) fn send<R, W: futures_lite::AsyncWrite + Unpin>(
    world: &World,
    client: &mut Connection<R, W>,
    bytes: &[u8],
) {
    future::block_on(client.writer.write_all(bytes)).expect("it fits");
    world.settle();
}

/// The bytes that are there for the client. `None` if there are none yet, and none at the end.
pub(super) fn take<R: futures_lite::AsyncRead + Unpin, W>(
    client: &mut Connection<R, W>,
) -> Option<io::Result<Vec<u8>>> {
    let mut received = vec![0; 1024];
    let read = future::block_on(future::poll_once(client.reader.read(&mut received)))?;
    Some(read.map(|n| received[..n].to_vec()))
}

/// Asserts that the client reads the end, and no reset.
#[track_caller]
pub(super) fn assert_end<R: futures_lite::AsyncRead + Unpin, W>(client: &mut Connection<R, W>) {
    let received = take(client).expect("the stream has ended");
    assert_eq!(received.ok(), Some(Vec::new()));
}

/// Asserts that the client gets its bytes back.
#[track_caller]
pub(super) fn assert_echo<R, W>(world: &World, client: &mut Connection<R, W>)
where
    R: futures_lite::AsyncRead + Unpin,
    W: futures_lite::AsyncWrite + Unpin,
{
    send(world, client, b"hello");
    let received = take(client).expect("an answer");
    assert_eq!(received.expect("no error"), b"hello");
}

#[test]
fn a_client_behind_a_trusted_source_is_known_by_its_header() {
    let world = World::new();
    let (listener, clients) = network();
    let peers = Rc::new(RefCell::new(Vec::<Peer>::new()));
    let kept = peers.clone();
    let handler = async move |c: MemoryConnection| {
        kept.borrow_mut().push(c.peer.clone());
        echoes(c).await
    };
    let (listener, handler) = (proxy().listen(listener), proxy().wrap(handler));
    let served = world.serve(Server::default(), listener, handler);
    for header in [CLIENT_HEADER, &v2()] {
        let mut client = clients.connect(&world, BALANCER);
        send(&world, &mut client, header);
        assert_echo(&world, &mut client);
        let info = served.handle.connections().remove(0);
        assert_eq!(info.peer, endpoint("203.0.113.1:51234"));
        let peer = peers.borrow_mut().remove(0);
        assert_eq!(peer.transport(), endpoint(BALANCER));
        let header = peer.proxy().expect("it is received");
        let addresses = header.addresses().expect("it has addresses");
        assert_eq!(addresses.destination, endpoint("198.51.100.7:443"));
        drop(client);
        world.settle();
    }
    assert_eq!(served.events(), ["closed 1 eof", "closed 2 eof"]);
}

fn v2() -> Vec<u8> {
    let parsed = halves::proxy_protocol::Header::parse(CLIENT_HEADER, Version::V1);
    let (header, _) = parsed.expect("it is valid").expect("it is complete");
    header.to_v2(true)
}

#[test]
fn a_source_that_is_not_trusted_is_refused_at_accept() {
    let world = World::new();
    let (served, clients) = serve(&world, Server::default());
    for from in ["192.0.2.1:1", "11.0.0.0:1", "[2001:db8::1]:1"] {
        let mut client = clients.try_connect(from).expect("it listens");
        future::block_on(client.writer.write_all(CLIENT_HEADER)).expect("it fits");
        world.settle();
        assert_end(&mut client);
    }
    let refused = |id| format!("refused {id} proxy_header: {UNTRUSTED}");
    assert_eq!(served.events(), [1, 2, 3].map(refused), "and nothing else");
    let stats = served.handle.stats();
    let refused = stats.ended[Reason::ProxyHeader];
    assert_eq!((stats.accepted, stats.open, refused), (3, 0, 3));
    let mut mapped = clients.connect(&world, "[::ffff:10.0.0.7]:1");
    send(&world, &mut mapped, CLIENT_HEADER);
    assert_echo(&world, &mut mapped);
}

/// A listener that replaces the peers of another one.
struct Renaming<L>(L);

impl<L: Listener> Listener for Renaming<L> {
    type Reader = L::Reader;
    type Writer = L::Writer;

    async fn accept(&mut self) -> io::Result<Option<Connection<L::Reader, L::Writer>>> {
        let accepted = self.0.accept().await?;
        Ok(accepted.map(|connection| {
            let renamed = Peer::new(connection.peer.endpoint(), connection.peer.local());
            connection.with_peer(renamed)
        }))
    }
}

#[test]
fn another_peer_is_refused_and_has_to_send_a_header_as_the_first() {
    let world = World::new();
    let (listener, clients) = network();
    let listener = Renaming(proxy().listen(listener));
    let served = world.serve(Server::default(), listener, proxy().wrap(echoes));
    assert_end(&mut clients.connect(&world, "192.0.2.1:1"));
    assert_eq!(served.handle.stats().ended[Reason::ProxyHeader], 1);
    let mut client = clients.connect(&world, BALANCER);
    send(&world, &mut client, CLIENT_HEADER);
    assert_echo(&world, &mut client);
    let client = &served.handle.connections()[0].peer;
    assert_eq!(client.to_string(), "203.0.113.1:51234");
}

#[test]
fn without_a_trusted_network_no_address_is_trusted() {
    let world = World::new();
    let (listener, clients) = network();
    let proxy = ProxyProtocol::new(Version::Any);
    let served = world.serve(Server::default(), proxy.listen(listener), echoes);
    assert_end(&mut clients.connect(&world, "127.0.0.1:1"));
    assert_eq!(served.handle.stats().ended[Reason::ProxyHeader], 1);
}

#[test]
fn refusals_at_accept_are_reported_ten_times_a_second_and_then_counted() {
    let world = World::new();
    let (served, clients) = serve(&world, Server::default());
    for _ in 0..100 {
        drop(clients.connect(&world, "192.0.2.1:1"));
    }
    assert_eq!(served.events().len(), 10);
    world.pass(SECOND);
    assert_eq!(served.events(), ["suppressed 90 0"]);
    assert_eq!(served.handle.stats().ended[Reason::ProxyHeader], 100);
}

#[test]
fn a_source_without_an_address_has_to_send_a_header() {
    let world = World::new();
    let (listener, connector) = memory::listener(1024);
    let (listener, handler) = (proxy().listen(listener), proxy().wrap(echoes));
    let served = world.serve(Server::default(), listener, handler);
    let mut client = world.connect(&connector);
    send(&world, &mut client, CLIENT_HEADER);
    assert_echo(&world, &mut client);
    let mut without = world.connect(&connector);
    send(&world, &mut without, b"hello");
    assert_end(&mut without);
    let expected = "proxy_header: no PROXY header";
    let events = ["refused 2", "closed 2"].map(|event| format!("{event} {expected}"));
    assert_eq!(served.events(), events);
}

#[test]
fn an_exempt_listener_expects_no_header() {
    let world = World::new();
    let (proxied, proxied_connector) = memory::listener(1024);
    let (direct, direct_connector) = memory::listener(1024);
    let listeners = Listeners::from(proxied).and(direct);
    let proxy = proxy().except(1);
    let handler = async |c: Connection| {
        assert_eq!(c.peer.listener() == 0, c.peer.proxy().is_some());
        echo(c.reader, c.writer).await
    };
    let served = world.serve(
        Server::default(),
        proxy.listen(listeners),
        proxy.wrap(handler),
    );
    let mut direct = world.connect(&direct_connector);
    assert_echo(&world, &mut direct);
    let mut proxied = world.connect(&proxied_connector);
    send(&world, &mut proxied, CLIENT_HEADER);
    assert_echo(&world, &mut proxied);
    let mut without = world.connect(&proxied_connector);
    send(&world, &mut without, b"hello");
    assert_end(&mut without);
    drop((direct, proxied));
    world.settle();
    assert_eq!(served.handle.stats().ended[Reason::ProxyHeader], 1);
    assert_eq!(served.handle.stats().ended[Reason::Eof], 2);
}

#[test]
fn the_index_of_an_exempt_listener_is_bounded_as_those_of_listeners_are() {
    let proxy = ProxyProtocol::new(Version::V1).except(1000);
    let (mut ends, mut listeners) = (Vec::new(), Listeners::default());
    for _ in 0..300 {
        let (listener, connector) = memory::listener(1);
        listeners = listeners.and(listener);
        ends.push(connector);
    }
    let mut listener = proxy.listen(listeners);
    for (index, waits) in [(254, true), (255, false), (299, false)] {
        let client = future::block_on(ends[index].connect()).expect("it listens");
        let accepted = future::block_on(listener.accept()).expect("no error");
        let connection = accepted.expect("one is there");
        let received = future::poll_once(proxy.receive(connection));
        assert_eq!(future::block_on(received).is_none(), waits, "{index}");
        drop(client);
    }
}

#[test]
fn the_addresses_and_the_stop_of_the_listener_are_passed_on() {
    let (listener, connector) = memory::listener(1);
    let mut listener = proxy().listen(listener);
    assert_eq!(listener.local_addrs(), [halves::Endpoint::Memory]);
    listener.stop();
    assert!(future::block_on(connector.connect()).is_err(), "stopped");
}
