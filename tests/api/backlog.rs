//! A client that is connected before the server ends is served, and not reset.

#![cfg(target_os = "linux")]

use std::cell::Cell;
use std::io::{self, ErrorKind, Read};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixStream};
use std::rc::Rc;
use std::thread;

use futures_lite::future::{block_on, poll_once, yield_now};
use futures_lite::{AsyncRead, AsyncWrite, AsyncWriteExt};
use halves::listener::memory::{self, MemoryConnection};
use halves::{Connection, Endpoint, Executor, Handle, Listener, Listeners, Server, bind};
use rustix::io::Errno;

use crate::support::harness::World;
use crate::support::harness::script::{Script, ask, uppercase};
use crate::support::place;

async fn hello<R, W>(mut connection: Connection<R, W>) -> io::Result<()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    connection.writer.write_all(b"hello").await
}

/// Connects to the address of a listener.
fn connect(at: &Endpoint, path: &str) -> io::Result<Box<dyn Read>> {
    if let Some(at) = at.socket_addr() {
        return Ok(Box::new(TcpStream::connect(at)?));
    }
    Ok(Box::new(match path.strip_prefix('@') {
        Some(name) => UnixStream::connect_addr(&UnixAddr::from_abstract_name(name)?)?,
        None => UnixStream::connect(path)?,
    }))
}

/// An address of each kind.
fn addresses() -> (tempfile::TempDir, [String; 4]) {
    let dir = place::dir();
    let path = dir.path().join("socket").display().to_string();
    let name = format!("@halves-late-{path}");
    let any = "127.0.0.1:0".to_owned();
    (dir, [any.clone(), "localhost:0".to_owned(), path, name])
}

/// Serves on `listener`. `end` connects clients and ends the server, and nothing polls the reactor
/// in between. Returns the input of each client.
fn served<L>(listener: L, end: impl FnOnce(&Handle) -> Vec<Box<dyn Read>>) -> Vec<Vec<u8>>
where
    L: Listener,
    L::Reader: Send + 'static,
    L::Writer: Send + 'static,
{
    let ex = Executor::new();
    let body = async |handle: Handle| {
        // Lets the accept loop wait.
        for _ in 0..10 {
            yield_now().await;
        }
        end(&handle)
    };
    let server = Server::default().serve_while(&ex, listener, hello, body);
    let (clients, _) = ex.block_on(server).expect("no error of accept");
    let received = clients.into_iter().map(|mut client| {
        let mut received = Vec::new();
        client.read_to_end(&mut received).expect("no reset");
        received
    });
    received.collect()
}

#[test]
fn a_client_that_connected_before_the_end_is_served() {
    let (_dir, addresses) = addresses();
    for address in &addresses {
        let listeners = block_on(bind(address.as_str())).expect("it listens");
        let at = listeners.local_addrs();
        let connect = |_: &Handle| {
            let clients = at
                .iter()
                .map(|at| connect(at, address).expect("it listens"));
            clients.collect()
        };
        let received = served(listeners, connect);
        assert!(
            received.iter().all(|received| received == b"hello"),
            "{address}"
        );
    }
}

#[test]
fn each_of_several_listeners_is_polled_at_the_end() {
    let any = || block_on(bind("127.0.0.1:0")).expect("it listens");
    let listeners = any().and(any()).and(any());
    let at = listeners.local_addrs();
    // The first one is busy, so it is known to be ready; the others have been found empty.
    let order = [&at[0], &at[2], &at[1], &at[2]];
    let received = served(listeners, |_| {
        let clients = order.map(|at| connect(at, "").expect("it listens"));
        clients.into()
    });
    assert_eq!(received, [b"hello"; 4]);
}

#[test]
fn a_server_that_another_thread_ends_serves_the_client() {
    let listeners = block_on(bind("127.0.0.1:0")).expect("it listens");
    let at = listeners.local_addrs().remove(0);
    let received = served(listeners, |handle| {
        let client = connect(&at, "").expect("it listens");
        let shutdown = handle.shutdown().clone();
        let ends = thread::spawn(move || shutdown.drain());
        ends.join().expect("no panic");
        vec![client]
    });
    assert_eq!(received, [b"hello"]);
}

#[test]
fn a_listener_of_async_net_is_polled_at_the_end() {
    let listener = block_on(async_net::TcpListener::bind("127.0.0.1:0")).expect("it listens");
    let at = Endpoint::from(listener.local_addr().expect("an address"));
    let received = served(listener, |_| vec![connect(&at, "").expect("it listens")]);
    assert_eq!(received, [b"hello"]);
}

#[test]
fn a_stopped_listener_refuses_new_clients_and_yields_queued_ones() -> io::Result<()> {
    let (_dir, addresses) = addresses();
    for address in &addresses {
        let mut listeners = block_on(bind(address.as_str()))?;
        let at = listeners.local_addrs();
        let come = at.iter().map(|at| connect(at, address));
        let come: Vec<_> = come.collect::<Result<_, _>>()?;
        Listener::stop(&mut listeners);
        for at in &at {
            let refused = connect(at, address).err().expect("a refusal").kind();
            let kinds = [ErrorKind::ConnectionRefused, ErrorKind::NotFound];
            assert!(kinds.contains(&refused), "{address}: {refused}");
        }
        let accepted = || block_on(poll_once(listeners.accept()));
        let accepted: Vec<_> = std::iter::repeat_with(accepted)
            .map_while(|accepted| accepted.and_then(|accepted| accepted.expect("no error")))
            .collect();
        assert_eq!(accepted.len(), come.len(), "{address}");
    }
    Ok(())
}

#[test]
fn a_shared_listener_goes_on_for_its_other_owners() -> io::Result<()> {
    let ours = std::net::TcpListener::bind("127.0.0.1:0")?;
    let mut listeners = Listeners::try_from(OwnedFd::from(ours.try_clone()?))?;
    Listener::stop(&mut listeners);
    drop(listeners);
    let _client = TcpStream::connect(ours.local_addr()?)?;
    ours.set_nonblocking(false)?;
    ours.accept().map(drop)
}

#[test]
fn an_accept_after_a_cancelled_one_finds_new_clients() -> io::Result<()> {
    let ex = Executor::new();
    ex.block_on(async {
        let mut listeners = bind("127.0.0.1:0").await?.and(bind("127.0.0.1:0").await?);
        for at in listeners.local_addrs() {
            assert!(poll_once(listeners.accept()).await.is_none());
            let _client = connect(&at, "")?;
            let accepted = poll_once(listeners.accept()).await;
            assert!(accepted.is_some(), "its first poll asks the kernel");
        }
        Ok(())
    })
}

/// The number of errors in a row before the server pauses.
const MAX_ERRORS_IN_A_ROW: usize = 32;
/// The number of accepts after the end, for each address.
const MAX_LATE_ACCEPTS: usize = 65_536;

#[test]
fn errors_in_a_row_before_the_end_do_not_count_after_it() {
    let (world, script) = (World::new(), Script::default());
    let served = world.serve(Server::default(), script.clone(), uppercase);
    for _ in 0..MAX_ERRORS_IN_A_ROW {
        script.fail(Errno::CONNABORTED);
    }
    world.settle();
    // One error less than ends the accepts.
    for _ in 1..MAX_ERRORS_IN_A_ROW {
        script.fail(Errno::CONNABORTED);
    }
    let client = script.connect();
    served.handle.shutdown().drain();
    assert_eq!(world.now(ask(client, "late")), "LATE");
    assert!(served.serving.is_finished());
}

/// A listener that is always ready after it was stopped: with errors, and with enough connections
/// that the errors do not end the accepts.
struct Endless {
    at: Vec<Endpoint>,
    stopped: bool,
    accepts: Rc<Cell<usize>>,
}

impl Listener for Endless {
    type Reader = memory::PipeReader;
    type Writer = memory::PipeWriter;

    async fn accept(&mut self) -> io::Result<Option<MemoryConnection>> {
        if !self.stopped {
            std::future::pending::<()>().await;
        }
        self.accepts.set(self.accepts.get() + 1);
        if self.accepts.get().is_multiple_of(MAX_ERRORS_IN_A_ROW) {
            return Ok(Some(memory::pair(1).1));
        }
        Err(Errno::CONNABORTED.into())
    }

    fn stop(&mut self) {
        self.stopped = true;
    }

    fn local_addrs(&self) -> Vec<Endpoint> {
        self.at.clone()
    }
}

#[test]
fn a_listener_that_is_always_ready_is_polled_a_bounded_number_of_times() {
    for addresses in [0, 1, 2] {
        let (world, accepts) = (World::new(), Rc::new(Cell::new(0)));
        let listener = Endless {
            at: vec![Endpoint::Memory; addresses],
            stopped: false,
            accepts: accepts.clone(),
        };
        let served = world.serve(Server::default(), listener, uppercase);
        served.handle.shutdown().drain();
        world.settle();
        assert_eq!(accepts.get(), MAX_LATE_ACCEPTS * addresses.max(1));
        assert!(served.serving.is_finished());
    }
}
