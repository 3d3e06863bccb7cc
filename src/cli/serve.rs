//! Runs a server: sets it up, binds the addresses, serves, and returns the exit code.

use std::fs::File;
use std::io::{self, Write};
use std::mem::{self, ManuallyDrop};
use std::os::fd::RawFd;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_lite::future;
use halves::process::reap_all_orphans;
use halves::server::Closed;
use halves::{Clock, Endpoint, Event, Executor, Listeners, Reason, Report, Server, Shutdown};

use super::admin::{AdminContext, AdminListeners};
use super::args::ServerOptions;
use super::format::Line;
use super::hint::HintOptions;
use super::layers::Layers;
use super::listen_address::ListenAddress;
use super::log::{Level, Lines, Log};
use super::orders::{Files, Orders};
use super::privileges::Identity;
use super::records::Records;
use super::restart::{Answer, Origin, PassedListeners, Predecessor, Restarter, Role, Sources};
use super::rules::RuleSources;
use super::service::{Served, ServiceRunner};
use super::setting::Limits;
use super::signals::{self, SignalHandler};
use super::supervisor::{Store, Supervisor, close_unused};
use super::{EXIT_ABORTED, EXIT_FAILED, conflicts, forced_exit, inherited, resources};

/// A server that is set up and does not listen yet.
struct PreparedServer {
    options: ServerOptions,
    served: Served,
    shutdown: Shutdown,
    server: Server,
    layers: Layers,
    /// True if a connection over standard input and output failed.
    stdio_failed: Arc<AtomicBool>,
    ready_fd: Option<File>,
    origin: Origin,
    identity: Option<Identity>,
    supervisor: Supervisor,
    orders: Arc<Orders>,
    records: Option<Records>,
}

/// A server that listens, and accepts when it is served.
struct ListeningServer {
    prepared: PreparedServer,
    listening: Listening,
    admin: AdminListeners,
    /// For the service manager.
    store: Store,
}

/// Serves until a signal or an error ends the server, and returns the exit code.
pub(super) fn run(options: ServerOptions, served: Served, origin: Origin, log: &Log) -> u8 {
    resources::raise_file_limit();
    log.catch_panics();
    serve(options, served, origin, log).unwrap_or_else(|error| {
        log.complain(&error.to_string());
        EXIT_FAILED
    })
}

fn serve(options: ServerOptions, served: Served, origin: Origin, log: &Log) -> io::Result<u8> {
    let prepared = PreparedServer::new(options, served, origin, log)?;
    // Never dropped: the drop would wait for its threads, and a handler may block one of them for
    // ever.
    let ex = ManuallyDrop::new(Executor::try_threads(prepared.options.threads)?);
    let (shutdown, stdio_failed) = (prepared.shutdown.clone(), prepared.stdio_failed.clone());
    let records = prepared.records.clone();
    // Spawned as a task like those of the connections, most of which start on the thread that
    // accepts.
    let report = ex.block_on(ex.spawn(prepared.run(Executor::clone(&ex), log.lines().clone())));
    finish(records);
    if shutdown.is_aborting() && shutdown.signal().is_some() {
        return Ok(forced_exit::code(&shutdown));
    }
    Ok(match report? {
        report if report.aborted > 0 => EXIT_ABORTED,
        _ if stdio_failed.load(Ordering::Acquire) => EXIT_FAILED,
        _ => 0,
    })
}

impl PreparedServer {
    fn new(
        mut options: ServerOptions,
        served: Served,
        origin: Origin,
        log: &Log,
    ) -> io::Result<Self> {
        // Taken first, before another file of this process gets its number. The process that this
        // one replaces has closed it.
        let ready_fd = options.ready_fd.filter(|_| origin.predecessor.is_none());
        let ready_fd = ready_fd.map(inherit).transpose()?;
        resources::check(resources::threads(&options))?;
        let records = Records::of(&options, log.lines());
        let shutdown = Shutdown::on_signals()?;
        let signals = signals::catch()?;
        let longest = longest_drain(&options, &served);
        let at_exit = records.clone();
        forced_exit::start(&shutdown, longest, move || finish(at_exit))?;
        let identity = Identity::find(&options)?;
        let mut sources =
            RuleSources::new(mem::take(&mut options.allow), mem::take(&mut options.deny));
        let loaded = sources.load();
        let (rules, _) = loaded.map_err(|error| io::Error::other(error.to_string()))?;
        let layers = Layers::load(&options).map_err(io::Error::other)?;
        let stdio_failed = Arc::default();
        let files = served.files + usize::from(records.is_some());
        let server = server(&options, files, log, &shutdown, &stdio_failed).rules(rules);
        let supervisor = Supervisor::find(log.lines());
        let files = Files {
            rules: sources,
            tls: layers.tls.clone(),
            certificates: options.tls_cert.len(),
        };
        let orders = Arc::new(Orders::new(
            server.handle(),
            shutdown.clone(),
            log.lines().clone(),
            files,
            Limits::of(&options),
            supervisor.notices(),
        ));
        let handler = SignalHandler {
            orders: orders.clone(),
            at_terminal: signals::is_at_terminal(),
        };
        handler.watch(signals)?;
        Ok(Self {
            options,
            served,
            shutdown,
            server,
            layers,
            stdio_failed,
            ready_fd,
            origin,
            identity,
            supervisor,
            orders,
            records,
        })
    }

    async fn run(self, ex: Executor, lines: Lines) -> io::Result<Report> {
        match self.listen(&lines).await? {
            Some(server) => server.serve(ex, lines).await,
            None => Ok(Report::default()),
        }
    }

    /// Opens all listeners, and takes those of the process that this one replaces. Returns None if a
    /// signal ends the server first.
    async fn listen(mut self, lines: &Lines) -> io::Result<Option<ListeningServer>> {
        let mut sources = Sources {
            predecessor: self.origin.predecessor.take(),
            store: Store::find(),
        };
        let layers = mem::take(&mut self.layers);
        let listen = &self.options.listen;
        let listening = listen_on_all(listen, layers, &mut sources, &self.shutdown);
        let Some(listening) = listening.await? else {
            return Ok(None);
        };
        let admin = AdminListeners::bind(&self.options, &mut sources).await?;
        if let Some(identity) = &self.identity {
            identity.assume()?;
        }
        if let Some(records) = &self.records {
            records.start()?;
        }
        close_unused(&mut sources.store, lines);
        sources.remove_unused();
        let v6_only = conflicts::any_is_v6_only(&self.options.listen);
        lines.listening(&listening.listeners, self.served.name, |index| {
            HintOptions {
                answers: self.served.answers,
                v6_only,
                layers: listening.layers.of(index),
            }
        });
        if let Some(predecessor) = sources.predecessor
            && !replace(predecessor, &self.shutdown, lines).await?
        {
            return Ok(None);
        }
        let passed = [listening.passed.clone()].into_iter();
        let restarter = Restarter::new(
            self.origin.invocation.clone(),
            passed.chain(admin.passed(&self.options)).collect(),
            self.served.handover.clone(),
            self.shutdown.clone(),
            self.supervisor.notices(),
            lines.clone(),
        );
        self.orders.allow_restart(restarter).await;
        Ok(Some(ListeningServer {
            prepared: self,
            listening,
            admin,
            store: sources.store,
        }))
    }
}

impl ListeningServer {
    async fn serve(self, ex: Executor, lines: Lines) -> io::Result<Report> {
        let PreparedServer {
            options,
            served,
            shutdown,
            server,
            ready_fd,
            origin,
            supervisor,
            orders,
            records,
            ..
        } = self.prepared;
        let context = AdminContext {
            orders: orders.clone(),
            executor: Executor::clone(&ex),
            service: served.name,
            started: Clock::default().now(),
        };
        let admin = self.admin.start(context)?;
        if let Some(ready_fd) = ready_fd {
            notify_ready(ready_fd, &lines);
        }
        if process::id() == 1 {
            ex.spawn(reap(lines)).detach();
        }
        let longest = longest_drain(&options, &served);
        let notifier = supervisor.start(&ex, self.store, server.handle(), shutdown, longest);
        let runner = ServiceRunner {
            server,
            ex,
            listeners: self.listening.listeners,
            layers: self.listening.layers,
            relays: origin.relays.filter(|_| served.handover.is_some()),
            records,
        };
        let report = (served.run)(runner).await;
        orders.end_restart().await;
        if let Some(admin) = admin {
            admin.end().await;
        }
        notifier.finish().await;
        report
    }
}

/// Writes the rest of the records.
fn finish(records: Option<Records>) {
    if let Some(records) = records {
        records.finish();
    }
}

/// Returns the time from the first signal to the end of the last connection.
fn longest_drain(options: &ServerOptions, served: &Served) -> Duration {
    let drain = options.drain_delay.saturating_add(options.drain_timeout);
    drain.saturating_add(served.grace)
}

/// Reaps the orphans of a container, which the system passes to process 1. The command has no other
/// children, except those that `Command` starts.
pub(super) async fn reap(lines: Lines) {
    let error = reap_all_orphans().await;
    let line = Line::new("orphans_not_reaped").text("error", &error);
    lines.write(Level::Quiet, &line);
}

fn inherit(number: RawFd) -> io::Result<File> {
    inherited::writable(number)
        .map_err(|error| io::Error::other(format!("--ready-fd {number}: {error}")))
}

/// Writes an empty line, then closes the descriptor: its reader may wait for either. The server
/// goes on if the reader is gone.
fn notify_ready(mut ready_fd: File, lines: &Lines) {
    if let Err(error) = ready_fd.write_all(b"\n") {
        let line = Line::new("ready_failed").text("error", &error);
        lines.write(Level::Quiet, &line);
    }
}

/// Reports to the process that this one replaces that it is ready, and waits until that process has
/// stopped accepting. Returns false if a signal ends the server first.
async fn replace(predecessor: Predecessor, shutdown: &Shutdown, lines: &Lines) -> io::Result<bool> {
    let answered = async { predecessor.replace().await.map(Some) };
    let ended = async {
        shutdown.requested().await;
        Ok(None)
    };
    let answer = future::or(answered, ended).await?;
    if answer == Some(Answer::Ended) {
        let line = Line::new("took_over").remark("the process that started this one has ended");
        lines.write(Level::Quiet, &line);
    }
    Ok(answer.is_some())
}

/// The listeners of the service.
struct Listening {
    listeners: Listeners,
    layers: Layers,
    passed: PassedListeners,
}

/// Listens on every address, and exempts listeners from layers. Returns None if a signal ends the
/// server first: a host name may take long to resolve.
async fn listen_on_all(
    addresses: &[ListenAddress],
    mut layers: Layers,
    sources: &mut Sources,
    shutdown: &Shutdown,
) -> io::Result<Option<Listening>> {
    let all = async {
        let mut listeners = Listeners::default();
        let mut origins = Vec::new();
        for listen in addresses {
            let first = listeners.local_addrs().len();
            let opened = sources.open(Role::Listen, &listen.address).await?;
            listeners = listeners.and(opened);
            let indexes = first..listeners.local_addrs().len();
            origins.push((&listen.address, indexes.len()));
            layers.exempt(listen, indexes).map_err(io::Error::other)?;
        }
        Ok(Some(Listening {
            passed: PassedListeners::new(Role::Listen, &listeners, origins),
            listeners,
            layers,
        }))
    };
    let ended = async {
        shutdown.requested().await;
        Ok(None)
    };
    future::or(all, ended).await
}

fn server(
    options: &ServerOptions,
    files: usize,
    log: &Log,
    shutdown: &Shutdown,
    stdio_failed: &Arc<AtomicBool>,
) -> Server {
    let (observe, failed) = (log.observer(), stdio_failed.clone());
    let limits = Limits::of(options);
    Server::default()
        .max_connections(resources::max_connections(options, files))
        .shutdown(shutdown.clone())
        .timeouts(limits.timeouts)
        .sources(limits.sources)
        .drain_delay(options.drain_delay)
        .drain_timeout(options.drain_timeout)
        .on_event(move |event| {
            if let Event::Closed(closed) = event
                && is_stdio_failure(closed)
            {
                failed.store(true, Ordering::Release);
            }
            observe(event);
        })
}

/// Returns true if a connection over pipes, files or a terminal failed, which is a failure of the
/// command. On a socket, also one that is standard input and output, it is a failure of the client.
fn is_stdio_failure(closed: &Closed) -> bool {
    let is_failure = matches!(
        closed.reason,
        Reason::Error
            | Reason::Panic
            | Reason::ProxyHeader
            | Reason::Tls
            | Reason::Truncated
            | Reason::Refused
            | Reason::Child
    );
    is_failure && closed.peer.endpoint() == Endpoint::Stdio
}
