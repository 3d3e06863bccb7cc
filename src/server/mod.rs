//! A server: the accept loop with its limits and its end. It knows no service and no socket.

mod accept;
mod accept_error;
mod admission;
mod deadlines;
mod drain;
mod event;
mod gate;
mod handle;
mod handler;
mod limit;
mod quiet;
mod registry;
mod run;
mod scope;
mod serving;
mod state;

use std::fmt;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::connection::Connection;
use crate::limits::Timeouts;
use crate::limits::{Rules, Sources};
use crate::listener::Listener;
use crate::shutdown::Shutdown;
use crate::spawn::Spawn;
use crate::stats::Stats;
use crate::time::Clock;

pub use event::{Closed, Event, Limit};
pub use handle::{ConnectionInfo, Handle};
pub use handler::Handler;
pub use serving::Serving;

use drain::Life;
use registry::Registry;
use state::Observer;

/// Serves connections with the default settings: see [`Server::serve`].
///
/// # Errors
///
/// As [`Server::serve`].
///
/// # Examples
///
/// ```no_run
/// use halves::{Connection, Executor, bind, serve};
/// use halves::service::upper;
///
/// let ex = Executor::new();
/// ex.block_on(async {
///     let listener = bind("127.0.0.1:50007").await?;
///     serve(&ex, listener, async |Connection { reader, writer, .. }| upper(reader, writer).await).await
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub async fn serve<E, L, H, F>(executor: E, listener: L, handler: H) -> io::Result<Report>
where
    E: Spawn<Serving<H, Connection<L::Reader, L::Writer>, F>>,
    L: Listener,
    H: Handler<Connection<L::Reader, L::Writer>, F>,
    F: Future<Output = io::Result<()>>,
{
    Server::default().serve(executor, listener, handler).await
}

/// A server's settings.
///
/// # Examples
///
/// ```no_run
/// use halves::{Connection, Executor, Server, Shutdown, bind};
/// use halves::service::upper;
/// use std::time::Duration;
///
/// let ex = Executor::new();
/// let server = Server::default()
///     .max_connections(1000)
///     .drain_timeout(Duration::from_secs(5))
///     .shutdown(Shutdown::on_signals()?);
/// let report = ex.block_on(async {
///     let listener = bind("127.0.0.1:50007").await?;
///     server.serve(&ex, listener, async |Connection { reader, writer, .. }| upper(reader, writer).await).await
/// })?;
/// println!("{} finished, {} aborted", report.finished, report.aborted);
/// # std::io::Result::Ok(())
/// ```
#[must_use = "a server does nothing until `serve` is called, and its future is polled"]
pub struct Server {
    max_connections: usize,
    timeouts: Timeouts,
    drain_delay: Duration,
    drain_timeout: Duration,
    seed: Option<u64>,
    clock: Clock,
    /// Whoever embeds us may end several servers with it; each has its own in `ServerContext`.
    shutdown: Shutdown,
    observer: Option<Observer>,
    own: Shutdown,
    registry: Arc<Registry>,
    life: Life,
}

/// How a server ended.
///
/// # Examples
///
/// See [`Server`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Connections that were open when the end began, and ended by themselves.
    pub finished: usize,
    /// Connections that were cut: at the drain deadline, or when the end was forced.
    pub aborted: usize,
    /// What the server has done in all.
    pub stats: Stats,
}

impl Default for Server {
    fn default() -> Self {
        let registry = Arc::<Registry>::default();
        Self {
            max_connections: limit::from_descriptors(),
            timeouts: Timeouts::default(),
            drain_delay: Duration::ZERO,
            drain_timeout: Duration::from_secs(30),
            seed: None,
            clock: Clock::default(),
            shutdown: Shutdown::default(),
            observer: None,
            own: Shutdown::default(),
            life: Life(registry.clone()),
            registry,
        }
    }
}

impl Server {
    /// How many connections may be open at a time; further ones wait in the kernel until one
    /// ends. At least 1. The default is the process's `RLIMIT_NOFILE` with some taken off for
    /// what else it opens.
    ///
    /// # Examples
    ///
    /// ```
    /// # let _ =
    /// halves::Server::default().max_connections(10);
    /// ```
    pub fn max_connections(mut self, most: usize) -> Self {
        self.max_connections = most.max(1);
        self
    }

    /// What each source may have of this server. The default is no limit.
    ///
    /// # Examples
    ///
    /// See [`Sources`].
    pub fn sources(self, sources: Sources) -> Self {
        self.registry.admission.limit(sources);
        self
    }

    /// Which sources may connect. The default is all. [`Handle::set_rules`] changes them later.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::Server;
    /// use halves::limits::Rules;
    ///
    /// # let _ =
    /// Server::default().rules(Rules::default().deny("192.0.2.0/24".parse()?));
    /// # Ok::<(), halves::Error>(())
    /// ```
    pub fn rules(self, rules: Rules) -> Self {
        self.registry.admission.set_rules(rules);
        self
    }

    /// How long each connection may take for what. By default only handshakes have a deadline.
    ///
    /// # Examples
    ///
    /// See [`Timeouts`].
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// How long the server still accepts after it was told to end: time for a load balancer to
    /// see that it is not [ready](Handle::is_ready) any more. The default is 0.
    ///
    /// # Examples
    ///
    /// ```
    /// # let _ =
    /// halves::Server::default().drain_delay(std::time::Duration::from_secs(5));
    /// ```
    pub fn drain_delay(mut self, delay: Duration) -> Self {
        self.drain_delay = delay;
        self
    }

    /// Makes the server's random choices the same each time, for tests.
    ///
    /// # Examples
    ///
    /// ```
    /// # let _ =
    /// halves::Server::default().seed(7);
    /// ```
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// How long connections may take to finish after the server was told to end; what is left
    /// then is reset. The default is 30 seconds.
    ///
    /// # Examples
    ///
    /// ```
    /// # let _ =
    /// halves::Server::default().drain_timeout(std::time::Duration::from_secs(5));
    /// ```
    pub fn drain_timeout(mut self, timeout: Duration) -> Self {
        self.drain_timeout = timeout;
        self
    }

    /// The clock behind every deadline, pause and age.
    ///
    /// # Examples
    ///
    /// ```
    /// let (clock, manual) = halves::Clock::manual();
    /// # let _ =
    /// halves::Server::default().clock(clock);
    /// # drop(manual);
    /// ```
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// The switch that ends this server, and perhaps others. Without one it ends when its
    /// listener does, and by its [`handle`](Self::handle).
    ///
    /// # Examples
    ///
    /// ```
    /// let shutdown = halves::Shutdown::default();
    /// # let _ =
    /// halves::Server::default().shutdown(shutdown.clone());
    /// ```
    pub fn shutdown(mut self, shutdown: Shutdown) -> Self {
        self.shutdown = shutdown;
        self
    }

    /// Hears what happens. It is called on the thread where it happens, and must neither block
    /// nor panic.
    ///
    /// # Examples
    ///
    /// See [`Event`].
    pub fn on_event(mut self, observer: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.observer = Some(Box::new(observer));
        self
    }

    /// A handle to this server, for other tasks and threads, from now until after its end.
    ///
    /// # Examples
    ///
    /// ```
    /// let server = halves::Server::default();
    /// let handle = server.handle();
    /// assert_eq!(handle.stats().open, 0);
    /// ```
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle::new(self.registry.clone(), self.own.clone())
    }

    /// Accepts connections from `listener`, and runs `handler` with each on `executor`, until
    /// the server is told to end or the listener ends, and all connections are done.
    ///
    /// **Each connection** has a task and gets its own clone of `handler`: share state through an
    /// `Arc`, for a counter that is captured by value counts to 1 in each clone. The handler is
    /// called, polled and dropped within the task. Its future owns the connection: when it
    /// returns, what was written is flushed, the peer is told the end of input, and what it still
    /// sends is read and discarded (1 MiB and 2 seconds at most) so that a reset does not
    /// overtake our last bytes. An error that it returns changes nothing of that: a handler that
    /// cannot finish its answer resets the connection by [`Peer::abort`](crate::Peer::abort). A panic
    /// of the handler resets its connection, and nothing else.
    ///
    /// **Limits**: a connection is accepted when there is room for it, not before; there is one
    /// accept loop, whatever the number of listeners.
    ///
    /// **Errors of accept** that concern one connection are passed over. After 32 of them in a row,
    /// and when descriptors or memory are used up, the server waits 5 ms, then twice as long each
    /// time up to a second.
    ///
    /// **The end**: when told to drain, or when an error of the listener ends it, it
    /// [stops](Listener::stop) the listener, accepts the connections that wait already (as far as
    /// there is room, and in 65,536 tries for each address at most), drops the listener, and waits
    /// for connections to finish. With the listeners of [`bind`](crate::bind) on Linux, no client
    /// whose connection the kernel has completed is reset. Exceptions are an address with a zone (unless
    /// the process has `CAP_NET_RAW`), a `reuse-port` group, and a socket that other processes share:
    /// there a client that connects between the last accept and the close is reset. At the drain
    /// timeout, or when told to abort, the server resets the connections that are left.
    ///
    /// The future may be polled by anything; it is only busy when its own waker was called.
    /// Dropping it drops the listener and resets every connection at once; their tasks end when
    /// the executor next runs them.
    ///
    /// # Errors
    ///
    /// An error of the listener that no retry mends; with the listeners of
    /// [`bind`](crate::bind) and of async-net, an [`Error::Accept`](crate::Error::Accept).
    /// [`InvalidInput`](io::ErrorKind::InvalidInput), when it yields two connections with one
    /// [`Peer`](crate::Peer). It is returned after a drain.
    ///
    /// # Examples
    ///
    /// With a handler that is not `Send`, on a local executor:
    ///
    /// ```
    /// use futures_lite::AsyncWriteExt;
    /// use halves::{Connection, Once, Server};
    /// use std::{cell::Cell, rc::Rc};
    ///
    /// let ex = smol::LocalExecutor::new();
    /// let served = Rc::new(Cell::new(0));
    /// let listener = Once::new(Connection::new(futures_lite::io::empty(), vec![]));
    /// let count = served.clone();
    /// let handler = async move |mut connection: Connection<_, Vec<u8>>| {
    ///     count.set(count.get() + 1);
    ///     connection.writer.write_all(b"hello").await
    /// };
    /// smol::block_on(ex.run(Server::default().serve(&ex, listener, handler)))?;
    /// assert_eq!(served.get(), 1);
    /// # std::io::Result::Ok(())
    /// ```
    pub async fn serve<E, L, H, F>(self, executor: E, listener: L, handler: H) -> io::Result<Report>
    where
        E: Spawn<Serving<H, Connection<L::Reader, L::Writer>, F>>,
        L: Listener,
        H: Handler<Connection<L::Reader, L::Writer>, F>,
        F: Future<Output = io::Result<()>>,
    {
        run::run(self, executor, listener, handler).await
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("max_connections", &self.max_connections)
            .field("drain_timeout", &self.drain_timeout)
            .finish_non_exhaustive()
    }
}
