//! A refused connection ends at once, its client reads the end, and the refusal is reported.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_lite::future::{self, block_on};
use futures_lite::{AsyncReadExt, AsyncWriteExt, io};
use halves::connection::Link;
use halves::limits::Rules;
use halves::{Connection, Endpoint, Event, Executor, Listener, Once, Peer, Reason, Server, bind};

use crate::support::harness::World;
use crate::support::harness::network::{echoes, endpoint, identified, network};
use crate::support::harness::sockets::eventually;
use crate::support::place;

const SECOND: Duration = Duration::from_secs(1);
const MOMENT: Duration = Duration::from_nanos(1);
/// More bytes than one poll of a lingering close discards.
const LONG_INPUT_BYTES: usize = 100 * 1024;

/// The input of a client that has sent bytes before it is refused, while its `Peer` is held.
fn refused<L>(listener: L)
where
    L: Listener,
    L::Reader: Send + 'static,
    L::Writer: Send + 'static,
{
    let at = listener.local_addrs()[0].socket_addr().expect("it is TCP");
    let held = Arc::new(Mutex::new(Vec::<Peer>::new()));
    let hold = held.clone();
    let server = Server::default()
        .rules(Rules::default().deny("127.0.0.0/8".parse().expect("a network")))
        .on_event(move |event| {
            if let Event::Refused { peer, .. } = event {
                hold.lock().expect("no panic").push(peer.clone());
            }
        });
    let mut client = TcpStream::connect(at).expect("it listens");
    client.write_all(b"let me in").expect("it fits");
    client.set_nonblocking(true).expect("a socket");
    let ex = Executor::new();
    let body = async |_| eventually(|| read(&mut client)).await;
    let handler = async |_: Connection<L::Reader, L::Writer>| Ok(());
    let served = ex.block_on(server.serve_while(&ex, listener, handler, body));
    let (received, _) = served.expect("no error of accept");
    assert_eq!(received.ok(), Some(0), "the end, and no reset");
    assert_eq!(held.lock().expect("no panic").len(), 1);
}

fn read(client: &mut TcpStream) -> Option<io::Result<usize>> {
    match client.read(&mut [0; 16]) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
        read => Some(read),
    }
}

#[test]
fn a_client_refused_by_our_listener_reads_the_end() {
    for _ in 0..20 {
        refused(block_on(bind("127.0.0.1:0")).expect("it listens"));
    }
}

#[test]
fn a_client_refused_by_a_listener_of_async_net_reads_the_end() {
    for _ in 0..20 {
        let listener = block_on(async_net::TcpListener::bind("127.0.0.1:0"));
        refused(listener.expect("it listens"));
    }
}

/// A Unix socket with clients that have addresses. A close with unread input is a reset there.
struct Named {
    listeners: halves::Listeners,
    /// The client is identified by its handler.
    anonymous: bool,
}

impl Listener for Named {
    type Reader = halves::connection::AnyRead;
    type Writer = halves::connection::AnyWrite;

    async fn accept(&mut self) -> io::Result<Option<Connection>> {
        let accepted = self.listeners.accept().await?;
        let peer = Peer::new(endpoint("192.0.2.1:5"), Endpoint::Unknown);
        let peer = if self.anonymous {
            peer.anonymous()
        } else {
            peer
        };
        Ok(accepted.map(|connection| connection.with_peer(peer)))
    }
}

#[test]
fn a_client_refused_on_a_unix_socket_reads_the_end() {
    for (anonymous, sent) in [
        (false, 9),
        (true, 9),
        (false, LONG_INPUT_BYTES),
        (true, LONG_INPUT_BYTES),
    ] {
        let dir = place::dir();
        let path = dir.path().join("socket");
        let listeners = block_on(bind(&*path)).expect("it listens");
        let listener = Named {
            listeners,
            anonymous,
        };
        let mut client = std::os::unix::net::UnixStream::connect(&path).expect("it listens");
        client.set_nonblocking(true).expect("a socket");
        client.write_all(&vec![b'x'; sent]).expect("it fits");
        client.set_nonblocking(false).expect("a socket");
        let nobody = Rules::default().deny("0.0.0.0/0".parse().expect("all"));
        let server = Server::default().rules(nobody);
        let ex = Executor::new();
        let body = async |handle: halves::Handle| {
            let stats = || handle.stats();
            eventually(|| (stats().ended.refused() == 1 && stats().open == 0).then_some(())).await;
        };
        let handler = async |connection: Connection| connection.identify(endpoint("192.0.2.1:6"));
        let served = ex.block_on(server.serve_while(&ex, listener, handler, body));
        served.expect("no error of accept");
        let read = client.read(&mut [0; 16]);
        assert_eq!(read.ok(), Some(0), "identified: {anonymous}, {sent} bytes");
    }
}

/// A stream that keeps written bytes until the peer takes them.
#[derive(Default)]
struct Slow {
    flushed: AtomicBool,
    aborted: AtomicBool,
    waiting: Mutex<Option<Waker>>,
}

impl Link for Slow {
    fn poll_linger(&self, cx: &mut Context<'_>, _: bool) -> Poll<io::Result<()>> {
        *self.waiting.lock().expect("no panic") = Some(cx.waker().clone());
        Poll::Pending
    }

    fn is_flushed(&self) -> bool {
        self.flushed.load(Ordering::Relaxed)
    }

    fn abort(&self) {
        self.aborted.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_refused_client_is_waited_for_until_it_has_the_written_bytes() {
    let world = World::new();
    let link = Arc::new(Slow::default());
    let peer = Peer::default().with_link(link.clone()).anonymous();
    let connection = Connection::from_parts(io::empty(), Vec::new(), peer);
    let nobody = Rules::default().deny("0.0.0.0/0".parse().expect("a network"));
    let handler = async |connection: Connection<_, _>| connection.identify(endpoint("192.0.2.1:1"));
    let served = world.serve(
        Server::default().rules(nobody),
        Once::new(connection),
        handler,
    );
    world.pass(SECOND);
    assert_eq!(served.handle.stats().open, 1);
    link.flushed.store(true, Ordering::Relaxed);
    let waiting = link.waiting.lock().expect("no panic").take();
    waiting.expect("it is waited for").wake();
    world.settle();
    assert_eq!(served.handle.stats().ended[Reason::Denied], 1);
    assert!(!link.aborted.load(Ordering::Relaxed), "no reset");
}

#[test]
fn refusals_are_reported_ten_times_a_second_and_then_counted() {
    let world = World::new();
    let (listener, clients) = network();
    let nobody = Rules::default().deny("0.0.0.0/0".parse().expect("a network"));
    let served = world.serve(Server::default().rules(nobody), listener, echoes);
    for _ in 0..100 {
        drop(clients.connect(&world, "192.0.2.1:1"));
    }
    assert_eq!(served.events().len(), 10);
    world.pass(SECOND - MOMENT);
    assert!(served.events().is_empty());
    world.pass(MOMENT);
    assert_eq!(served.events(), ["suppressed 90 0"], "without another one");
    drop(clients.connect(&world, "192.0.2.1:1"));
    assert_eq!(served.events(), ["refused 101 denied"]);
    assert_eq!(served.handle.stats().ended[Reason::Denied], 101);
    assert!(!world.manual.advance_to_next(), "nothing sleeps now");
}

#[test]
fn the_last_refusals_are_counted_before_the_end() {
    let world = World::new();
    let (listener, clients) = network();
    let nobody = Rules::default().deny("0.0.0.0/0".parse().expect("a network"));
    let served = world.serve(Server::default().rules(nobody), listener, echoes);
    for _ in 0..12 {
        drop(clients.connect(&world, "192.0.2.1:1"));
    }
    assert_eq!(served.events().len(), 10);
    served.handle.shutdown().drain();
    world.settle();
    let end = ["draining 0 within 30s", "suppressed 2 0", "ended 0 0"];
    assert_eq!(served.events(), end);
}

#[test]
fn a_refused_client_reads_the_end_whatever_it_sent() {
    for by_proxy in [false, true] {
        let world = World::new();
        let (listener, clients) = network();
        let nobody = Rules::default().deny("0.0.0.0/0".parse().expect("a network"));
        let _served = world.serve(Server::default().rules(nobody), listener, identified);
        let mut client = if by_proxy {
            clients.connect_by_proxy(&world, "192.0.2.1:1")
        } else {
            clients.try_connect("192.0.2.1:1").expect("it listens")
        };
        let sent = client.writer.write_all(b"203.0.113.1:5\nand more");
        future::block_on(sent).expect("it fits");
        world.settle();
        let received = future::block_on(client.reader.read(&mut [0; 16]));
        assert_eq!(received.ok(), Some(0), "by a proxy: {by_proxy}");
    }
}

#[test]
fn refusals_of_clients_named_by_a_proxy_are_reported_ten_times_a_second() {
    let world = World::new();
    let (listener, clients) = network();
    let nobody = Rules::default().deny("0.0.0.0/0".parse().expect("a network"));
    let served = world.serve(Server::default().rules(nobody), listener, identified);
    for _ in 0..30 {
        let mut client = clients.connect_by_proxy(&world, "192.0.2.1:1");
        let _ = future::block_on(client.writer.write_all(b"203.0.113.1:5\n"));
        world.settle();
    }
    let events = served.events();
    let count = |word| {
        events
            .iter()
            .filter(|event| event.starts_with(word))
            .count()
    };
    assert_eq!(count("refused"), 10);
    assert_eq!(count("closed"), 30, "each was opened");
    world.pass(SECOND);
    assert_eq!(served.events(), ["suppressed 20 0"]);
    assert_eq!(served.handle.stats().ended[Reason::Denied], 30);
    assert_eq!(served.handle.stats().open, 0, "and closed at once");
}

#[test]
fn refusals_without_another_accept_are_counted_after_a_second() {
    let world = World::new();
    let (listener, clients) = network();
    let nobody = Rules::default().deny("0.0.0.0/0".parse().expect("a network"));
    let served = world.serve(Server::default().rules(nobody), listener, identified);
    let mut clients: Vec<_> = (0..12)
        .map(|_| clients.connect_by_proxy(&world, "192.0.2.1:1"))
        .collect();
    for client in &mut clients {
        let sent = client.writer.write_all(b"203.0.113.1:5\n");
        future::block_on(sent).expect("it fits");
    }
    world.settle();
    assert_eq!(served.handle.stats().ended[Reason::Denied], 12);
    drop(served.events());
    world.pass(SECOND);
    assert_eq!(served.events(), ["suppressed 2 0"]);
}
