//! A server on sockets of the system. Its executor runs the test too, and its clock is moved by the
//! test.

use std::future::Future;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_lite::future::yield_now;
use halves::time::ManualClock;
use halves::{Clock, Connection, Endpoint, Executor, Handle, Listeners, Report, Server, Shutdown};
use rustix::net::{RecvFlags, SendFlags, getpeername, getsockname, recv, send, shutdown, sockopt};
use smol::Task;
use tempfile::TempDir;

use super::line;

use crate::support::place;

/// Far longer than any wait in a test.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(20);

/// The kind of the sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    /// The kernel works in its own time: acknowledgements and probes may come late.
    Tcp,
    /// The kernel reports what a client reads in the call that reads it.
    Unix,
}

/// An executor, a clock, and the kind of sockets.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) ex: Executor,
    pub(crate) clock: Clock,
    pub(crate) manual: ManualClock,
    pub(crate) family: Family,
}

/// A server of a [`World`].
pub(crate) struct Served {
    pub(crate) serving: Task<io::Result<Report>>,
    pub(crate) handle: Handle,
    pub(crate) shutdown: Shutdown,
    at: Endpoint,
    dir: TempDir,
    events: Arc<Mutex<Vec<String>>>,
}

/// Runs a test in a new world, on this thread.
pub(crate) fn run<F: Future<Output = ()>>(family: Family, test: impl FnOnce(World) -> F) {
    let (clock, manual) = Clock::manual();
    let ex = Executor::new();
    let world = World {
        ex: ex.clone(),
        clock,
        manual,
        family,
    };
    ex.block_on(test(world));
}

impl World {
    /// Lets all tasks that are ready run, for a while.
    pub(crate) async fn settle(&self) {
        for _ in 0..50 {
            yield_now().await;
        }
    }

    /// Settles, then lets time pass, then settles.
    pub(crate) async fn pass(&self, time: Duration) {
        self.settle().await;
        self.manual.advance(time);
        self.settle().await;
    }

    pub(crate) async fn serve<H, F>(&self, server: Server, handler: H) -> Served
    where
        H: FnOnce(Connection) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        let dir = place::dir();
        let listeners = match self.family {
            Family::Tcp => halves::bind("127.0.0.1:0").await,
            Family::Unix => halves::bind(&*dir.path().join("socket")).await,
        };
        let listeners = listeners.expect("the address is free");
        self.serve_on(listeners, dir, server, handler)
    }

    /// Serves on listeners of the test. `dir` holds their sockets, if any.
    pub(crate) fn serve_on<H, F>(
        &self,
        listeners: Listeners,
        dir: TempDir,
        server: Server,
        handler: H,
    ) -> Served
    where
        H: FnOnce(Connection) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        let at = listeners.local_addrs().remove(0);
        let serve =
            async move |ex: Executor, server: Server| server.serve(&ex, listeners, handler).await;
        self.serve_by(at, dir, server, serve)
    }

    /// Serves with the future that `serve` returns, such as one on a listener of the test.
    pub(crate) fn serve_by<S>(
        &self,
        at: Endpoint,
        dir: TempDir,
        server: Server,
        serve: impl FnOnce(Executor, Server) -> S,
    ) -> Served
    where
        S: Future<Output = io::Result<Report>> + Send + 'static,
    {
        let events = Arc::new(Mutex::new(Vec::new()));
        let (reported, shutdown) = (events.clone(), Shutdown::default());
        let server = server
            .clock(self.clock.clone())
            .shutdown(shutdown.clone())
            .on_event(move |event| reported.lock().expect("no panic").push(line(event)));
        let handle = server.handle();
        Served {
            serving: self.ex.spawn(serve(self.ex.clone(), server)),
            handle,
            shutdown,
            at,
            dir,
            events,
        }
    }
}

impl Served {
    /// The events since the last call, without those of opened connections.
    pub(crate) fn events(&self) -> Vec<String> {
        let mut events = self.events.lock().expect("no panic");
        let mut taken = std::mem::take(&mut *events);
        taken.retain(|event| !event.starts_with("opened"));
        taken
    }

    /// The events until a connection is closed, with that one.
    pub(crate) async fn until_closed(&self) -> Vec<String> {
        let mut all = Vec::new();
        let closed = || {
            all.extend(self.events());
            let is_closed = all.iter().any(|event| event.starts_with("closed"));
            is_closed.then(|| all.clone())
        };
        eventually(closed).await
    }

    pub(crate) fn connect(&self) -> Client {
        let socket = match self.at.socket_addr() {
            Some(at) => TcpStream::connect(at).map(OwnedFd::from),
            None => UnixStream::connect(self.dir.path().join("socket")).map(OwnedFd::from),
        };
        Client(socket.expect("it listens"))
    }
}

/// Polls `what` while other tasks run, until it returns a value.
pub(crate) async fn eventually<T>(mut what: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = what() {
            return value;
        }
        assert!(start.elapsed() < TIMEOUT, "it never came");
        yield_now().await;
    }
}

/// A client that yields to other tasks while it waits.
pub(crate) struct Client(OwnedFd);

impl Client {
    pub(crate) fn new(socket: impl Into<OwnedFd>) -> Self {
        Self(socket.into())
    }

    pub(crate) fn send(&self, text: &[u8]) {
        let sent = send(&self.0, text, SendFlags::DONTWAIT).expect("the server is there");
        assert_eq!(sent, text.len(), "it fits");
    }

    /// Up to `most` bytes that are there. Returns None if there are none.
    pub(crate) fn try_take(&self, most: usize) -> Option<io::Result<Vec<u8>>> {
        let mut received = vec![0; most];
        match recv(&self.0, &mut *received, RecvFlags::DONTWAIT) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(error) => Some(Err(error.into())),
            Ok((n, _)) => {
                received.truncate(n);
                Some(Ok(received))
            }
        }
    }

    /// Exactly `n` bytes.
    pub(crate) async fn take(&self, n: usize) -> Vec<u8> {
        let mut received = Vec::new();
        while received.len() < n {
            let left = n - received.len();
            let more = eventually(|| self.try_take(left)).await;
            let more = more.expect("it is sent");
            assert!(!more.is_empty(), "an end after {} of {n}", received.len());
            received.extend(more);
        }
        received
    }

    /// All bytes until the end, and the result of the last read.
    pub(crate) async fn rest(&self) -> (Vec<u8>, io::Result<()>) {
        let mut received = Vec::new();
        loop {
            match eventually(|| self.try_take(1 << 16)).await {
                Ok(more) if more.is_empty() => return (received, Ok(())),
                Ok(more) => received.extend(more),
                Err(error) => return (received, Err(error)),
            }
        }
    }

    /// The addresses of this end and of the server's.
    pub(crate) fn addresses(&self) -> [SocketAddr; 2] {
        let local = getsockname(&self.0).expect("a socket");
        let remote = getpeername(&self.0).expect("connected").expect("named");
        [local, remote].map(|name| SocketAddr::try_from(name).expect("TCP"))
    }

    /// Ends this side of the connection.
    pub(crate) fn end(&self) {
        shutdown(&self.0, rustix::net::Shutdown::Write).expect("it is open");
    }

    /// Closes the socket at once: with a reset, on TCP.
    pub(crate) fn reset(self) {
        sockopt::set_socket_linger(&self.0, Some(Duration::ZERO)).expect("set");
    }
}
