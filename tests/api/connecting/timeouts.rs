//! The timeout of a connect, on a clock that the test moves.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use futures_lite::future;
#[cfg(feature = "tls")]
use halves::ConnectTimings;
use halves::{ConnectOptions, Connection, Error};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use smol::Task;

use super::failed;
use crate::support::harness::World;
use crate::support::place;

const TIMEOUT: Duration = Duration::from_secs(5);
const MS: Duration = Duration::from_millis(1);

/// A listener that accepts nothing, with a full backlog: a connect to it does not end.
fn full() -> (TcpListener, [TcpStream; 2], SocketAddr) {
    let socket = rustix::net::socket_with(
        AddressFamily::INET,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    );
    let socket = socket.expect("a socket");
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    rustix::net::bind(&socket, &any).expect("bound");
    // The kernel adds one.
    rustix::net::listen(&socket, 1).expect("it listens");
    let listener = TcpListener::from(socket);
    let address = listener.local_addr().expect("bound");
    let waiting = [(); 2].map(|()| TcpStream::connect(address).expect("connected"));
    (listener, waiting, address)
}

/// Connects in a task.
fn start(world: &World, options: ConnectOptions, address: String) -> Task<io::Result<Connection>> {
    let options = options.clock(world.clock.clone());
    world
        .ex
        .spawn(async move { options.connect(address).await })
}

/// The result of a task that has ended.
fn result<T>(world: &World, task: Task<T>) -> T {
    assert!(task.is_finished());
    future::block_on(world.ex.run(task))
}

#[cfg(target_os = "linux")]
#[test]
fn a_connect_ends_at_its_timeout_and_not_before() {
    let world = World::new();
    let (_listener, _waiting, address) = full();
    let connecting = start(
        &world,
        ConnectOptions::new().timeout(TIMEOUT),
        address.to_string(),
    );
    let endless = start(&world, ConnectOptions::new(), address.to_string());
    let zero = ConnectOptions::new()
        .timeout(TIMEOUT)
        .timeout(Duration::ZERO);
    let zero = start(&world, zero, address.to_string());
    world.pass(TIMEOUT - MS);
    assert!(!connecting.is_finished());
    world.pass(MS);
    let (kind, error) = failed(result(&world, connecting));
    assert_eq!(kind, ErrorKind::TimedOut);
    assert!(matches!(error, Error::Connect { .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        format!("cannot connect to {address}: no answer within 5s")
    );
    world.pass(1000 * TIMEOUT);
    assert!(!endless.is_finished() && !zero.is_finished());
}

#[test]
fn a_connect_in_time_leaves_no_sleep() {
    let world = World::new();
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = listener.local_addr().expect("bound").to_string();
    let options = ConnectOptions::new().timeout(TIMEOUT);
    let connecting = start(&world, options, address);
    let connection = future::block_on(world.ex.run(connecting)).expect("connected");
    assert!(!world.manual.advance_to_next());
    drop(connection);
}

/// A Unix socket that listens, with a full backlog, and the client in it.
fn full_unix(path: &Path) -> [OwnedFd; 2] {
    let open = || {
        let flags = SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None);
        socket.expect("a socket")
    };
    let address = SocketAddrUnix::new(path).expect("short");
    let (listener, client) = (open(), open());
    rustix::net::bind(&listener, &address).expect("bound");
    rustix::net::listen(&listener, 0).expect("it listens");
    rustix::net::connect(&client, &address).expect("connected");
    [listener, client]
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_unix_socket_is_waited_for_until_the_timeout() {
    let world = World::new();
    let dir = place::dir();
    let path = dir.path().join("socket");
    let _full = full_unix(&path);
    let address = format!("unix:{}", path.display());
    let options = ConnectOptions::new().timeout(TIMEOUT);
    let connecting = start(&world, options, address.clone());
    world.pass(TIMEOUT - MS);
    assert!(!connecting.is_finished());
    world.pass(MS);
    let (kind, error) = failed(result(&world, connecting));
    assert_eq!(kind, ErrorKind::TimedOut);
    assert_eq!(
        error.to_string(),
        format!("cannot connect to {address}: no answer within 5s")
    );
}

/// The time for TLS is what the connection has left of it.
#[cfg(feature = "tls")]
#[test]
fn a_silent_tls_server_is_given_up_at_the_timeout() {
    let world = World::new();
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = listener.local_addr().expect("bound").to_string();
    let connector = halves::tls::ClientSettings::new().danger_no_verification();
    let connector = connector.load().expect("good settings");
    let options = ConnectOptions::new().timeout(TIMEOUT).tls(connector);
    let options = options.clock(world.clock.clone());
    let to = address.clone();
    let connecting = world.ex.spawn(async move {
        let mut timings = ConnectTimings::default();
        let connected = options.connect_timed(to, &mut timings).await;
        (connected, timings)
    });
    // The server has the greeting, so the handshake has begun.
    let (served, _) = loop {
        world.settle();
        listener.set_nonblocking(true).expect("a socket");
        if let Ok(accepted) = listener.accept() {
            break accepted;
        }
    };
    served.set_nonblocking(true).expect("a socket");
    while served.peek(&mut [0]).is_err() {
        world.settle();
    }
    world.pass(TIMEOUT - MS);
    assert!(!connecting.is_finished());
    world.pass(MS);
    let (connected, timings) = result(&world, connecting);
    let (kind, error) = failed(connected);
    assert_eq!(kind, ErrorKind::TimedOut);
    assert!(matches!(error, Error::Tls { .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        format!("TLS with {address} failed: no answer within 5s")
    );
    assert_eq!((timings.connect, timings.tls), (Some(Duration::ZERO), None));
}
