//! The administrative listeners, beside those of the service: `--control` and `--metrics`.
//!
//! They are served on a thread of their own, so that a service that is busy or hangs can be looked
//! at, and so that their clients take no time from it. They end last.

mod connection_row;
mod stats_row;

use std::io;
use std::num::NonZero;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use futures_lite::future;
use halves::{Address, Clock, Connection, Executor, Listeners, Server, Shutdown, Timeouts};
use smol::channel::{self, Receiver};

use super::args::ServerOptions;
use super::control::{self, ControlAddress, Permits};
use super::format::Line;
use super::log::{Level, Lines};
use super::metrics;
use super::orders::Orders;
use super::resources::FILES_PER_THREAD;
use super::restart::{PassedListeners, Role, Sources};

pub(super) use connection_row::{ConnectionRow, Rates};
pub(super) use stats_row::StatsRow;

/// The most connections of the control socket. Further clients wait.
const MAX_CONTROL_CONNECTIONS: usize = 16;
/// The same, of the metrics listener. A browser opens up to 6.
const MAX_METRICS_CONNECTIONS: usize = 32;
/// A connection without a byte for this time is closed, so that clients that do not read cannot
/// keep others out. Those of the metrics listener have times of their own.
const CONTROL_IDLE_TIMEOUT: Duration = Duration::from_mins(1);
/// The time that answers have to finish at the end.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(100);
/// The longest wait for the thread at the end.
const END_TIMEOUT: Duration = Duration::from_millis(250);

/// The open listeners, before they are served.
pub(super) struct AdminListeners {
    control: Option<(Listeners, ControlAddress)>,
    metrics: Option<Listeners>,
    /// None without listeners.
    executor: Option<Executor>,
}

/// The facts that answers are made of.
pub(super) struct AdminContext {
    pub(super) orders: Arc<Orders>,
    /// The executor of the service.
    pub(super) executor: Executor,
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
    /// Listens on the addresses of the options. Takes all descriptors that serving needs, so that a
    /// lack of them fails the start.
    pub(super) async fn bind(options: &ServerOptions, sources: &mut Sources) -> io::Result<Self> {
        let control = match &options.control {
            Some(control) => {
                let listeners = sources.open(Role::Control, &control.address).await?;
                Some((listeners, control.clone()))
            }
            None => None,
        };
        let metrics = match &options.metrics {
            Some(address) => Some(sources.open(Role::Metrics, address).await?),
            None => None,
        };
        let executor = match (&control, &metrics) {
            (None, None) => None,
            _ => Some(
                Executor::try_threads(NonZero::<usize>::MIN)
                    .map_err(|error| cannot_serve(&error))?,
            ),
        };
        Ok(Self {
            control,
            metrics,
            executor,
        })
    }

    /// Returns the listeners that pass to a process that replaces this one.
    pub(super) fn passed(&self, options: &ServerOptions) -> Vec<PassedListeners> {
        let control = self
            .control
            .as_ref()
            .map(|(listeners, control)| passed(Role::Control, listeners, &control.address));
        let metrics = self.metrics.as_ref().zip(options.metrics.as_ref());
        let metrics = metrics.map(|(listeners, address)| passed(Role::Metrics, listeners, address));
        control.into_iter().chain(metrics).collect()
    }

    /// Serves the listeners until [`Admin::end`]. Returns None if there are none. The process must
    /// have its last user by now, which may send requests.
    pub(super) fn start(mut self, context: AdminContext) -> io::Result<Option<Admin>> {
        let Some(ex) = self.executor.take() else {
            return Ok(None);
        };
        let lines = &context.orders.lines;
        if let Some((listeners, _)) = &self.control {
            log_listening(listeners, "control", lines);
        }
        if let Some(listeners) = &self.metrics {
            log_listening(listeners, "metrics", lines);
        }
        let shutdown = Shutdown::default();
        let (end, (sender, ended)) = (shutdown.clone(), channel::bounded::<()>(1));
        thread::Builder::new()
            .name("halves-admin".into())
            .spawn(move || {
                let _ended = sender;
                ex.block_on(self.serve(&ex, context, &end));
            })
            .map_err(|error| cannot_serve(&error))?;
        Ok(Some(Admin { shutdown, ended }))
    }

    async fn serve(self, ex: &Executor, context: AdminContext, shutdown: &Shutdown) {
        let context = Arc::new(context);
        let lines = &context.orders.lines;
        let control = async {
            let Some((listeners, control)) = self.control else {
                return;
            };
            let permits = Permits::of(&control);
            let context = context.clone();
            let handler =
                move |connection: Connection| control::serve(context.clone(), permits, connection);
            let timeouts = Timeouts::default().idle(CONTROL_IDLE_TIMEOUT);
            let server = server(shutdown, MAX_CONTROL_CONNECTIONS).timeouts(timeouts);
            if let Err(error) = server.serve(ex, listeners, handler).await {
                log_failure(lines, "control", &error);
            }
        };
        let metrics = async {
            let Some(listeners) = self.metrics else {
                return;
            };
            let context = context.clone();
            let handler = move |connection: Connection| metrics::serve(context.clone(), connection);
            let server = server(shutdown, MAX_METRICS_CONNECTIONS);
            if let Err(error) = server.serve(ex, listeners, handler).await {
                log_failure(lines, "metrics", &error);
            }
        };
        future::zip(control, metrics).await;
    }
}

/// Returns the most descriptors that these listeners and their connections take.
pub(super) fn files(options: &ServerOptions) -> usize {
    let of = |is_on: bool, connections: usize| if is_on { connections + 1 } else { 0 };
    let control = of(options.control.is_some(), MAX_CONTROL_CONNECTIONS);
    let metrics = of(options.metrics.is_some(), MAX_METRICS_CONNECTIONS);
    match control + metrics {
        0 => 0,
        files => files + FILES_PER_THREAD,
    }
}

impl AdminContext {
    /// Returns the phase of the service: starting, serving or draining.
    pub(super) fn phase(&self) -> &'static str {
        let orders = &self.orders;
        if orders.shutdown.is_draining() || orders.handle.shutdown().is_draining() {
            "draining"
        } else if orders.handle.is_ready() {
            "serving"
        } else {
            "starting"
        }
    }
}

impl Admin {
    /// Ends the listeners and their connections.
    pub(super) async fn end(self) {
        self.shutdown.drain();
        let _ = Clock::default()
            .timeout(END_TIMEOUT, self.ended.recv())
            .await;
    }
}

fn passed(role: Role, listeners: &Listeners, address: &Address) -> PassedListeners {
    let count = listeners.local_addrs().len();
    PassedListeners::new(role, listeners, [(address, count)])
}

fn server(shutdown: &Shutdown, max_connections: usize) -> Server {
    Server::default()
        .shutdown(shutdown.clone())
        .max_connections(max_connections)
        .drain_timeout(DRAIN_TIMEOUT)
}

fn cannot_serve(error: &io::Error) -> io::Error {
    io::Error::new(
        error.kind(),
        format!("cannot serve --control and --metrics: {error}"),
    )
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
