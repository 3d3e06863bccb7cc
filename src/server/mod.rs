//! The server: the accept loop, its limits, and its end. It names no service and no socket type.

mod accept;
mod accept_error;
mod admission;
mod connection_info;
mod deadlines;
mod drain;
mod event;
mod event_limiter;
mod handle;
mod listener_stats;
mod poll_on_wake;
mod registry;
mod run;
mod serving;
mod settings;
mod state;

use std::fmt;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::connection::Connection;
use crate::limits::{Rules, Sources, Timeouts};
use crate::listener::Listener;
use crate::shutdown::Shutdown;
use crate::spawn::Spawn;
use crate::stats::Stats;
use crate::time::Clock;

pub use connection_info::{ConnectionInfo, Deadline};
pub use drain::END_GRACE;
pub use event::{Closed, Event, Limit};
pub use handle::Handle;
pub use listener_stats::ListenerStats;
pub use serving::{Handler, Serving};

use drain::AbortOnDrop;
use registry::Registry;
use state::Observer;

/// Serves connections with the default settings, as [`Server::serve`] does.
///
/// # Errors
///
/// Returns the errors of [`Server::serve`].
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

/// A server: its settings until [`serve`](Self::serve) is called.
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
    drain_delay: Duration,
    drain_timeout: Duration,
    seed: Option<u64>,
    clock: Clock,
    /// The shutdown of the embedder, which may end several servers.
    shutdown: Shutdown,
    /// Called in this order.
    observers: Vec<Observer>,
    /// The shutdown of this server only.
    own: Shutdown,
    registry: Arc<Registry>,
    guard: AbortOnDrop,
}

/// The result of a server.
///
/// # Examples
///
/// ```
/// let report = halves::Report::default();
/// assert_eq!((report.finished, report.aborted), (0, 0));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Connections that were open when the end began, and finished in time.
    pub finished: usize,
    /// Connections that were reset at the drain deadline, or when the end was forced.
    pub aborted: usize,
    /// The statistics of the server.
    pub stats: Stats,
}

impl Default for Server {
    fn default() -> Self {
        let registry = Arc::<Registry>::default();
        Self {
            drain_delay: Duration::ZERO,
            drain_timeout: Duration::from_secs(30),
            seed: None,
            clock: Clock::default(),
            shutdown: Shutdown::default(),
            observers: Vec::new(),
            own: Shutdown::default(),
            guard: AbortOnDrop(registry.clone()),
            registry,
        }
    }
}

impl Server {
    /// Sets the maximum number of open connections, at least 1. Further clients wait in the kernel
    /// until a connection ends. The default is `RLIMIT_NOFILE` less an eighth, at least 24 and at
    /// most 1,024, for other files of the process. [`Handle::set_max_connections`] changes it later.
    ///
    /// # Examples
    ///
    /// ```
    /// # let _ =
    /// halves::Server::default().max_connections(10);
    /// ```
    pub fn max_connections(self, max: usize) -> Self {
        self.registry.set_max_connections(max);
        self
    }

    /// Sets the limits for each source. The default is no limit. [`Handle::set_sources`] changes
    /// them later.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::{Server, limits::Sources};
    ///
    /// # let _ =
    /// Server::default().sources(Sources::default().max_connections(40));
    /// ```
    pub fn sources(self, sources: Sources) -> Self {
        self.registry.set_sources(sources);
        self
    }

    /// Sets the rules for sources that may connect. The default allows all. [`Handle::set_rules`]
    /// replaces them later.
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

    /// Sets the timeouts of each connection. By default only handshakes have one, of 10 seconds.
    /// [`Handle::set_timeouts`] changes them later.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::{Server, Timeouts};
    ///
    /// # let _ =
    /// Server::default().timeouts(Timeouts::default().idle(std::time::Duration::from_secs(60)));
    /// ```
    pub fn timeouts(self, timeouts: Timeouts) -> Self {
        self.registry.settings.set_timeouts(timeouts);
        self
    }

    /// Sets the time for which the server still accepts after [`shutdown`](Self::shutdown) is
    /// requested. Meanwhile [`is_ready`](Handle::is_ready) returns false, so that load balancers
    /// stop sending clients. The default is 0.
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

    /// Sets the seed of the server's random choices, for tests that repeat them.
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

    /// Sets the time that connections have to finish in a drain. After it, the server resets the
    /// others and waits up to one second until their tasks have dropped them. The default is 30
    /// seconds.
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

    /// Sets the clock of every deadline, pause and age.
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

    /// Sets the shutdown that ends this server, and possibly others. Without one, the server ends
    /// when its listener ends, or by its [`handle`](Self::handle).
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

    /// Adds a function that is called with each event, on the thread of the event. Several are
    /// called in the order in which they were added. It must not block or panic: after a panic, the
    /// others do not get this event.
    ///
    /// # Examples
    ///
    /// ```
    /// # let _ =
    /// halves::Server::default().on_event(|event| eprintln!("{event}"));
    /// ```
    pub fn on_event(mut self, observer: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.observers.push(Box::new(observer));
        self
    }

    /// Returns a handle to this server for other tasks and threads. It is valid before, during and
    /// after [`serve`](Self::serve).
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

    /// Accepts connections from `listener`, and runs `handler` with each of them on `executor`.
    /// Returns when the end was requested or the listener has ended, and all connections have
    /// ended.
    ///
    /// **Connections.** Each connection has its own task and its own clone of `handler`. Share
    /// state between connections through an `Arc`: a captured counter would count to 1 in each
    /// clone. The task calls, polls and drops the handler. The handler's future owns the
    /// connection. When it returns, the server flushes the written bytes, sends the end of input,
    /// and then lingers: it reads and discards input, at most 1 MiB and for at most 2 seconds, so
    /// that a reset does not overtake the last bytes sent. An error does not change this: to cut an
    /// incomplete answer, a handler resets the connection with [`Peer::abort`](crate::Peer::abort).
    /// A panic of a handler resets its own connection only.
    ///
    /// **Limits.** The server accepts a connection only if there is room for it. There is one
    /// accept loop for any number of listeners.
    ///
    /// **Errors of accept.** After an error that concerns one connection, the server accepts the
    /// next. From the 32nd such error in a row on, and when descriptors or memory are used up, it
    /// backs off: 5 ms, doubling to a second.
    ///
    /// **The end.** In a drain, and after a final error of the listener, the server
    /// [stops](Listener::stop) the listener and accepts the connections that already wait, as far
    /// as there is room, with at most 65,536 accepts for each address. Then it drops the listener
    /// and waits for connections to finish. With the listeners of [`bind`](crate::bind) on Linux,
    /// no connection that the kernel has completed is reset, if there is room for it. There are
    /// three exceptions: an address with a zone (unless the process has `CAP_NET_RAW`), a
    /// `reuse-port` group, and a socket shared with other processes. There, a client that connects
    /// between the last accept and the close is reset. At the drain timeout, and on an abort, the
    /// server resets the connections that are left. It returns when their tasks have dropped them,
    /// and at the latest one second later.
    ///
    /// Any task may poll the future; a poll does work only after the future's own waker was called.
    /// Dropping it drops the listener and resets every connection at once. The tasks end when the
    /// executor next runs them.
    ///
    /// # Errors
    ///
    /// Returns an error of the listener that no retry can mend, after a drain. It is an
    /// [`Error::Accept`](crate::Error::Accept) for the listeners of [`bind`](crate::bind) and of
    /// async-net, and an [`InvalidInput`](io::ErrorKind::InvalidInput) if the listener yields two
    /// connections with the same [`Peer`](crate::Peer).
    ///
    /// # Examples
    ///
    /// A handler that is not `Send`, on a local executor:
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
            .field("max_connections", &self.registry.settings.max_connections())
            .field("drain_timeout", &self.drain_timeout)
            .finish_non_exhaustive()
    }
}
