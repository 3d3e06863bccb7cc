//! The targets of a relay: their choice, and what happens if they fail.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use halves::listener::memory;
use halves::proxy_protocol::Version;
use halves::service::{Balance, Relay, Target};
use halves::testing::pattern;
use halves::{Connection, Executor, Listener, Listeners, Once, Server, bind};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType};
use smol::Task;
use tempfile::TempDir;

use super::counted;
use crate::support::harness::sockets::{Family, Served, World, eventually, run};
use crate::support::place;

const SECOND: Duration = Duration::from_secs(1);

/// A target that sends its name to each connection, and then echoes.
pub(super) struct Origin {
    address: String,
    /// Dropping it closes the listener.
    _serving: Task<()>,
    accepted: Arc<AtomicUsize>,
}

async fn listen(address: &str) -> (Listeners, String) {
    let listeners = bind(address).await.expect("a free address");
    let local = listeners.local_addrs()[0].to_string();
    (listeners, local)
}

impl Origin {
    pub(super) async fn new(ex: &Executor, name: &'static [u8]) -> Self {
        Self::at(ex, name, "127.0.0.1:0").await
    }

    pub(super) async fn at(ex: &Executor, name: &'static [u8], address: &str) -> Self {
        let (mut listeners, address) = listen(address).await;
        let accepted = Arc::<AtomicUsize>::default();
        let counter = accepted.clone();
        let tasks = ex.clone();
        let serving = ex.spawn(async move {
            while let Ok(Some(connection)) = listeners.accept().await {
                counter.fetch_add(1, Ordering::Relaxed);
                tasks.spawn(answer(connection, name)).detach();
            }
        });
        Self {
            address,
            _serving: serving,
            accepted,
        }
    }

    pub(super) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }

    pub(super) fn target(&self) -> Target {
        target(&self.address)
    }
}

async fn answer(mut connection: Connection, name: &[u8]) -> io::Result<()> {
    connection.writer.write_all(name).await?;
    halves::service::echo(connection.reader, connection.writer).await
}

pub(super) fn target(address: &str) -> Target {
    Target::new(address).expect("an address")
}

/// An address at which nothing listens.
async fn closed_port() -> String {
    listen("127.0.0.1:0").await.1
}

pub(super) async fn serve(world: &World, relay: Relay) -> Served {
    let handler = move |client| relay.serve(client);
    world.serve(Server::default(), handler).await
}

/// Connects, reads the name of the target, and closes.
pub(super) async fn name_of_target(served: &Served) -> u8 {
    let client = served.connect();
    let name = client.take(1).await[0];
    drop(client);
    served.until_closed().await;
    name
}

#[test]
fn round_robin_is_exact() {
    run(Family::Tcp, async |world| {
        let origins = [
            Origin::new(&world.ex, b"0").await,
            Origin::new(&world.ex, b"1").await,
            Origin::new(&world.ex, b"2").await,
        ];
        let [a, b, c] = origins.each_ref().map(Origin::target);
        let served = serve(&world, Relay::to(a).and(b).and(c)).await;
        for n in 0..30 {
            assert_eq!(name_of_target(&served).await, b"012"[n % 3]);
        }
        assert_eq!(origins.each_ref().map(Origin::accepted), [10; 3]);
    });
}

#[test]
fn the_least_used_target_is_exact_with_connections_that_stay_and_leave() {
    run(Family::Tcp, async |world| {
        let origins = [
            Origin::new(&world.ex, b"0").await,
            Origin::new(&world.ex, b"1").await,
        ];
        let [a, b] = origins.each_ref().map(Origin::target);
        let served = serve(&world, Relay::to(a).and(b).balance(Balance::Least)).await;
        let mut clients = [Vec::new(), Vec::new()];
        for _ in 0..20 {
            let client = served.connect();
            let name = client.take(1).await[0];
            clients[usize::from(name - b'0')].push(client);
        }
        assert_eq!(clients.each_ref().map(Vec::len), [10, 10]);
        // The next six replace those that leave.
        clients[0].truncate(4);
        eventually(|| (served.handle.stats().open == 14).then_some(())).await;
        for _ in 0..6 {
            let client = served.connect();
            assert_eq!(client.take(1).await, b"0");
            clients[0].push(client);
        }
        clients = Default::default();
        eventually(|| (served.handle.stats().open == 0).then_some(())).await;
        // Nothing is left of them.
        let (one, two) = (name_of_target(&served).await, name_of_target(&served).await);
        assert_eq!(one + two, b'0' + b'1', "they take turns");
        drop(clients);
    });
}

#[test]
fn without_a_target_the_client_is_reset_and_each_problem_is_named() {
    run(Family::Tcp, async |world| {
        let (first, second) = (closed_port().await, closed_port().await);
        let relay = Relay::to(target(&first)).and(target(&second));
        let served = serve(&world, relay.and(target("/nosuch/socket"))).await;
        let client = served.connect();
        client.send(b"hello");
        let (received, end) = client.rest().await;
        assert!(received.is_empty() && end.is_err());
        let refused = "Connection refused (os error 111)";
        assert_eq!(
            served.until_closed().await,
            [format!(
                "closed 1 refused: cannot connect to {first}: {refused}; cannot connect to {second}: \
                 {refused}; cannot connect to unix:/nosuch/socket: No such file or directory (os error 2)"
            )]
        );
        assert_eq!(served.handle.stats().open, 0);
    });
}

#[test]
fn a_name_without_an_address_is_refused() {
    run(Family::Tcp, async |world| {
        let served = serve(&world, Relay::to(target("nosuch.invalid:80"))).await;
        let client = served.connect();
        let events = served.until_closed().await;
        let expected = "closed 1 refused: cannot resolve nosuch.invalid:80: ";
        assert!(events[0].starts_with(expected), "{events:?}");
        drop(client);
    });
}

#[test]
fn a_proxy_header_names_the_client() {
    for family in [Family::Tcp, Family::Unix] {
        run(family, async |world| {
            let (mut listeners, address) = listen("127.0.0.1:0").await;
            for (version, tcp, unix) in [
                (
                    Version::V1,
                    &b"PROXY TCP4 127.0.0.1 127.0.0.1 "[..],
                    &b"PROXY UNKNOWN\r\n"[..],
                ),
                (
                    Version::V2,
                    b"\r\n\r\n\0\r\nQUIT\n\x21\x11",
                    b"\r\n\r\n\0\r\nQUIT\n\x21\x31",
                ),
            ] {
                let served = serve(&world, Relay::to(target(&address).send_proxy(version))).await;
                let client = served.connect();
                let mut origin = listeners.accept().await.expect("open").expect("one");
                let expected = if family == Family::Tcp { tcp } else { unix };
                let mut header = vec![0; expected.len()];
                origin
                    .reader
                    .read_exact(&mut header)
                    .await
                    .expect("a header");
                assert_eq!(header, expected);
                drop(client);
            }
        });
    }
}

/// A Unix socket of which the backlog is full, so that a connect waits.
struct Full {
    dir: TempDir,
    _listener: rustix::fd::OwnedFd,
    _clients: Vec<rustix::fd::OwnedFd>,
}

impl Full {
    fn new() -> io::Result<Self> {
        let dir = place::dir();
        let address = SocketAddrUnix::new(dir.path().join("full"))?;
        let open = || rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None);
        let listener = open()?;
        rustix::net::bind(&listener, &address)?;
        rustix::net::listen(&listener, 0)?;
        let mut clients = Vec::new();
        loop {
            let client = open()?;
            rustix::io::ioctl_fionbio(&client, true)?;
            if rustix::net::connect(&client, &address).is_err() {
                break;
            }
            clients.push(client);
        }
        Ok(Self {
            dir,
            _listener: listener,
            _clients: clients,
        })
    }

    fn target(&self) -> Target {
        target(self.dir.path().join("full").to_str().expect("text"))
    }
}

#[test]
fn a_target_that_does_not_accept_is_left_after_the_timeout() {
    run(Family::Tcp, async |world| {
        let full = Full::new().expect("a socket");
        let up = Origin::new(&world.ex, b"u").await;
        let relay = Relay::to(full.target()).and(up.target());
        let served = serve(&world, relay.connect_timeout(SECOND * 3)).await;
        let client = served.connect();
        client.send(b"early");
        world.pass(SECOND * 3 - Duration::from_nanos(1)).await;
        assert_eq!(up.accepted(), 0);
        world.pass(Duration::from_nanos(1)).await;
        assert_eq!(client.take(6).await, b"uearly");
        drop(client);
        served.until_closed().await;
        for _ in 0..3 {
            assert_eq!(name_of_target(&served).await, b'u', "left out");
        }
    });
}

#[test]
fn the_reset_of_a_client_cancels_the_connect() {
    run(Family::Tcp, async |world| {
        let full = Full::new().expect("a socket");
        let served = serve(&world, Relay::to(full.target())).await;
        for early in [&b""[..], b"early"] {
            let client = served.connect();
            if !early.is_empty() {
                client.send(early);
            }
            world.settle().await;
            assert!(served.events().is_empty());
            client.reset();
            let events = served.until_closed().await;
            assert!(events[0].contains(" error: "), "{events:?}");
        }
    });
}

#[test]
fn what_a_client_sends_while_it_waits_is_bounded_and_not_lost() {
    let (clock, manual) = halves::Clock::manual();
    let ex = Executor::new();
    ex.block_on(async {
        let full = Full::new().expect("a socket");
        let up = Origin::new(&ex, b"u").await;
        let relay = Relay::to(full.target()).and(up.target());
        let (mut client, near) = memory::pair(1000);
        let peer = near.peer.clone();
        let polls = Arc::<AtomicUsize>::default();
        let counter = polls.clone();
        let server = Server::default().clock(clock);
        let serving = ex.spawn(server.serve(ex.clone(), Once::new(near), move |client| {
            counted(relay.serve(client), counter)
        }));
        let sent = pattern(100_000);
        let mut write = Box::pin(async {
            client.writer.write_all(&sent).await?;
            client.writer.close().await
        });
        let mut settle = async || {
            for _ in 0..500 {
                assert!(future::poll_once(&mut write).await.is_none(), "unbounded");
                future::yield_now().await;
            }
        };
        settle().await;
        settle().await;
        assert_eq!(peer.bytes_in(), 65_536);
        // The connect may still report its begin. A relay that spins is polled in every period.
        let mut waits = false;
        for _ in 0..20 {
            let before = polls.load(Ordering::Relaxed);
            settle().await;
            waits |= polls.load(Ordering::Relaxed) == before;
        }
        assert!(waits, "it spins");
        manual.advance(SECOND * 5);
        let mut received = Vec::new();
        let read = client.reader.read_to_end(&mut received);
        let (write, read) = future::zip(write, read).await;
        write.and(read.map(drop)).expect("ends in order");
        assert!(received.starts_with(b"u") && received[1..] == sent);
        serving.await.expect("served");
    });
}

#[test]
fn a_target_that_resets_resets_the_client() {
    run(Family::Tcp, async |world| {
        let (mut listeners, address) = listen("127.0.0.1:0").await;
        let served = serve(&world, Relay::to(target(&address))).await;
        let client = served.connect();
        let origin = listeners.accept().await.expect("open").expect("one");
        origin.peer.abort();
        let (received, end) = client.rest().await;
        assert!(received.is_empty() && end.is_err());
        assert_eq!(
            served.until_closed().await,
            [format!(
                "closed 1 error: target {address}: Connection reset by peer (os error 104)"
            )]
        );
    });
}
