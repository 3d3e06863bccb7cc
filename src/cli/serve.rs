//! `halves serve`: binds, serves, and says by the exit code how it ended.

use std::fs::File;
use std::io::{self, Write};
use std::mem::{self, ManuallyDrop};
use std::os::fd::RawFd;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_lite::future;
use halves::limits::Sources;
use halves::listener::inherited::unclaimed;
use halves::process::reap_all_orphans;
use halves::server::Closed;
use halves::service::{Upper, discard, echo};
use halves::{
    Address, Connection, Endpoint, Event, Executor, Listeners, Reason, Report, Server, Shutdown,
    Timeouts, bind,
};

use super::args::Serve;
use super::format::Line;
use super::hint::Tried;
use super::log::{Level, Lines, Log};
use super::rules::RuleSources;
use super::services::Service;
use super::signals::{self, Orders};
use super::supervisor::Supervisor;
use super::{ABORTED, FAILED, files, inherited, room, terminal, together, watchdog};

/// All that a server needs, before it listens.
struct Plan {
    options: Serve,
    shutdown: Shutdown,
    server: Server,
    /// Standard input and output were the connection, and it failed.
    stdio_failed: Arc<AtomicBool>,
    ready_fd: Option<File>,
    supervisor: Supervisor,
}

/// Serves until told to end; the exit code.
pub(super) fn run(options: Serve, log: &Log) -> u8 {
    files::raise_limit();
    log.catch_panics();
    serve(options, log).unwrap_or_else(|error| {
        log.complain(&error.to_string());
        FAILED
    })
}

fn serve(options: Serve, log: &Log) -> io::Result<u8> {
    let plan = Plan::new(options, log)?;
    // Not dropped: that would wait for its threads, and a handler may hang on one of them.
    let ex = ManuallyDrop::new(Executor::try_threads(plan.options.threads)?);
    let (shutdown, stdio_failed) = (plan.shutdown.clone(), plan.stdio_failed.clone());
    // A task like those of the connections: most begin on the thread that accepts them.
    let report = ex.block_on(ex.spawn(plan.run(Executor::clone(&ex), log.lines().clone())));
    if shutdown.is_aborting() {
        return Ok(watchdog::code(&shutdown));
    }
    Ok(match report? {
        report if report.aborted > 0 => ABORTED,
        _ if stdio_failed.load(Ordering::Acquire) => FAILED,
        _ => 0,
    })
}

impl Plan {
    fn new(mut options: Serve, log: &Log) -> io::Result<Self> {
        // First of all: its number is none of ours yet.
        let ready_fd = options.ready_fd.map(inherit).transpose()?;
        room::check(options.threads.get())?;
        let shutdown = Shutdown::on_signals()?;
        let signals = signals::catch()?;
        let longest = options.drain_delay.saturating_add(options.drain_timeout);
        watchdog::start(&shutdown, longest)?;
        let mut sources =
            RuleSources::new(mem::take(&mut options.allow), mem::take(&mut options.deny));
        let loaded = sources.load();
        let (rules, _) = loaded.map_err(|problem| io::Error::other(problem.to_string()))?;
        let stdio_failed = Arc::default();
        let server = server(&options, log, &shutdown, &stdio_failed).rules(rules);
        let supervisor = Supervisor::find(log.lines());
        signals::watch(
            signals,
            Orders {
                handle: server.handle(),
                shutdown: shutdown.clone(),
                at_terminal: terminal::is_ours(),
                sources,
                lines: log.lines().clone(),
                notices: supervisor.notices(),
            },
        )?;
        Ok(Self {
            options,
            shutdown,
            server,
            stdio_failed,
            ready_fd,
            supervisor,
        })
    }

    async fn run(self, ex: Executor, lines: Lines) -> io::Result<Report> {
        let (options, handle) = (self.options, self.server.handle());
        let Some(listeners) = listen(&options.listen, &self.shutdown).await? else {
            return Ok(Report::default());
        };
        close_unused(&lines);
        let tried = Tried {
            answers: options.service != Service::Discard,
            v6_only: together::any_is_v6_only(&options.listen),
        };
        lines.listening(&listeners, options.service.as_str(), tried);
        if let Some(ready_fd) = self.ready_fd {
            tell_ready(ready_fd, &lines);
        }
        if process::id() == 1 {
            ex.spawn(reap(lines.clone())).detach();
        }
        let patience = options.drain_delay.saturating_add(options.drain_timeout);
        let told = self.supervisor.start(&ex, handle, self.shutdown, patience);
        let report = handle_all(self.server, &ex, listeners, options).await;
        told.ended().await;
        report
    }
}

/// As process 1 of a container we are given the orphans of all others in it. There are no other
/// children: the command starts none but by `Command`.
async fn reap(lines: Lines) {
    let error = reap_all_orphans().await;
    let line = Line::new("orphans_not_reaped").text("error", &error);
    lines.say(Level::Quiet, &line);
}

fn inherit(number: RawFd) -> io::Result<File> {
    inherited::writable(number)
        .map_err(|error| io::Error::other(format!("--ready-fd {number}: {error}")))
}

/// An empty line, then the end: whoever waits may wait for either. Who does not any more is no
/// reason not to serve.
fn tell_ready(mut ready_fd: File, lines: &Lines) {
    if let Err(error) = ready_fd.write_all(b"\n") {
        let line = Line::new("ready_failed").text("error", &error);
        lines.say(Level::Quiet, &line);
    }
}

/// Closes the sockets that a service manager handed over and no `--listen` names: clients would wait for
/// an answer in vain.
fn close_unused(lines: &Lines) {
    let unused = unclaimed();
    if unused.is_empty() {
        return;
    }
    let names = unused.iter().map(|handed| {
        let (name, number, local) = (&handed.name, handed.number, handed.local());
        format!("{name} fd:{number} {local}")
    });
    let line = Line::new("unused")
        .text("sockets", &names.collect::<Vec<_>>().join(", "))
        .remark("handed over, and closed, as no --listen names them");
    lines.say(Level::Quiet, &line);
}

/// Listens at every address. None: it was told to end before that was done, as a host name may
/// take long to resolve.
async fn listen(addresses: &[Address], shutdown: &Shutdown) -> io::Result<Option<Listeners>> {
    let all = async {
        let mut listeners = Listeners::default();
        for address in addresses {
            listeners = listeners.and(bind(address).await?);
        }
        Ok(Some(listeners))
    };
    let asked = async {
        shutdown.requested().await;
        Ok(None)
    };
    future::or(all, asked).await
}

fn server(
    options: &Serve,
    log: &Log,
    shutdown: &Shutdown,
    stdio_failed: &Arc<AtomicBool>,
) -> Server {
    let (say, failed) = (log.observer(), stdio_failed.clone());
    let timeouts = Timeouts::default()
        .handshake(options.handshake_timeout)
        .idle(options.idle_timeout)
        .lifetime(options.lifetime)
        .min_rate(options.min_rate);
    let per_source = Sources::default()
        .max_connections(options.max_per_source.most)
        .v4_prefix(options.max_per_source.v4_prefix)
        .v6_prefix(options.max_per_source.v6_prefix)
        .accept_rate(options.accept_rate);
    let server = Server::default()
        .shutdown(shutdown.clone())
        .timeouts(timeouts)
        .sources(per_source)
        .drain_delay(options.drain_delay)
        .drain_timeout(options.drain_timeout)
        .on_event(move |event| {
            if let Event::Closed(closed) = event
                && is_stdio_failure(closed)
            {
                failed.store(true, Ordering::Release);
            }
            say(event);
        });
    match options.max_connections {
        Some(most) => server.max_connections(most.get()),
        None => server,
    }
}

/// A client's error is the client's, also where its socket is standard input and output; of pipes,
/// files and terminals it is ours to tell.
fn is_stdio_failure(closed: &Closed) -> bool {
    closed.peer.endpoint() == Endpoint::Stdio
        && matches!(closed.reason, Reason::Error | Reason::Panic)
}

/// An arm for each service, so that a connection's task is no larger than its own service needs.
async fn handle_all(
    server: Server,
    ex: &Executor,
    listeners: Listeners,
    options: Serve,
) -> io::Result<Report> {
    match options.service {
        Service::Upper => {
            let mut upper = Upper::default();
            if let Some(word) = options.close_word {
                upper = upper.close_word(word);
            }
            let handler = move |c: Connection| upper.serve(c.reader, c.writer);
            server.serve(ex, listeners, handler).await
        }
        Service::Echo => {
            let handler = |c: Connection| echo(c.reader, c.writer);
            server.serve(ex, listeners, handler).await
        }
        Service::Discard => {
            let handler = async |c: Connection| discard(c.reader, c.writer).await;
            server.serve(ex, listeners, handler).await
        }
    }
}
