//! The administrative listeners, beside those of the service: `--control`.
//!
//! They are served on a thread of their own, so that a service that is busy or hangs can be looked
//! at, and so that their clients take no time from it. They end last.

mod connection_row;
mod stats_row;

use std::future::Future;
use std::io;
use std::num::NonZero;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use futures_lite::future;
use halves::{Clock, Connection, Executor, Listeners, Server, Shutdown, Timeouts};
use smol::channel::{self, Receiver};

use super::args::ServerOptions;
use super::control::{self, Permits};
use super::format::Line;
use super::log::{Level, Lines};
use super::orders::Orders;
use super::restart::{PassedListeners, Role, Sources};

pub(super) use connection_row::{ConnectionRow, Rates};
pub(super) use stats_row::StatsRow;

/// The most connections of each listener. Further clients wait.
const MAX_CONNECTIONS: usize = 16;
/// A connection without a byte for this time is closed, so that clients that do not read cannot
/// keep others out.
const IDLE_TIMEOUT: Duration = Duration::from_mins(1);
/// The time that answers have to finish at the end.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(100);
/// The longest wait for the thread at the end.
const END_TIMEOUT: Duration = Duration::from_millis(250);

/// The open listeners, before they are served.
pub(super) struct AdminListeners {
    control: Option<Listeners>,
}

/// The facts that answers are made of.
pub(super) struct AdminContext {
    pub(super) orders: Arc<Orders>,
    /// The name of the service.
    pub(super) service: &'static str,
    /// The time at which the service began.
    pub(super) started: Instant,
}

/// The thread that serves the listeners.
pub(super) struct Admin {
    shutdown: Shutdown,
    /// Closed when the thread ends.
    ended: Receiver<()>,
}

impl AdminListeners {
    /// Listens on the addresses of the options.
    pub(super) async fn bind(options: &ServerOptions, sources: &mut Sources) -> io::Result<Self> {
        let control = match &options.control {
            Some(control) => Some(sources.open(Role::Control, &control.address).await?),
            None => None,
        };
        Ok(Self { control })
    }

    /// Returns the listeners that pass to a process that replaces this one.
    pub(super) fn passed(&self, options: &ServerOptions) -> Option<PassedListeners> {
        let (listeners, address) = (self.control.as_ref()?, options.control.as_ref()?);
        let count = listeners.local_addrs().len();
        let addresses = [(&address.address, count)];
        Some(PassedListeners::new(Role::Control, listeners, addresses))
    }

    /// Serves the listeners until [`Admin::end`]. Returns None if there are none.
    pub(super) fn start(
        self,
        options: &ServerOptions,
        context: AdminContext,
    ) -> io::Result<Option<Admin>> {
        let (Some(control), Some(address)) = (self.control, &options.control) else {
            return Ok(None);
        };
        log_listening(&control, "control", &context.orders.lines);
        let permits = Permits::of(address);
        let context = Arc::new(context);
        let shutdown = Shutdown::default();
        let server = server(&shutdown);
        let (sender, ended) = channel::bounded::<()>(1);
        thread::Builder::new()
            .name("halves-admin".into())
            .spawn(move || {
                let _ended = sender;
                let lines = context.orders.lines.clone();
                let ex = match Executor::try_threads(NonZero::<usize>::MIN) {
                    Ok(ex) => ex,
                    Err(error) => return log_failure(&lines, "control", &error),
                };
                let handler = move |connection: Connection| {
                    control::serve(context.clone(), permits, connection)
                };
                if let Err(error) = ex.block_on(server.serve(&ex, control, handler)) {
                    log_failure(&lines, "control", &error);
                }
            })?;
        Ok(Some(Admin { shutdown, ended }))
    }
}

impl Admin {
    /// Ends the listeners and their connections.
    pub(super) async fn end(self) {
        self.shutdown.drain();
        let ended = async {
            let _ = self.ended.recv().await;
        };
        future::or(ended, sleep(END_TIMEOUT)).await;
    }
}

fn server(shutdown: &Shutdown) -> Server {
    Server::default()
        .shutdown(shutdown.clone())
        .max_connections(MAX_CONNECTIONS)
        .timeouts(Timeouts::default().idle(IDLE_TIMEOUT))
        .drain_timeout(DRAIN_TIMEOUT)
}

fn log_listening(listeners: &Listeners, service: &str, lines: &Lines) {
    for local in listeners.local_addrs() {
        let line = Line::new("listening")
            .word("local", &local)
            .word("service", service);
        lines.write(Level::Normal, &line);
    }
}

fn log_failure(lines: &Lines, service: &str, error: &io::Error) {
    let line = Line::new("admin_failed")
        .word("service", service)
        .text("error", error);
    lines.write(Level::Quiet, &line);
}

fn sleep(time: Duration) -> impl Future<Output = ()> {
    let clock = Clock::default();
    async move { clock.sleep(time).await }
}
