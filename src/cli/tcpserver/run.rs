//! Runs a server with the flags of tcpserver.

use std::fs::File;
use std::io::{self, Write};
use std::mem::ManuallyDrop;
use std::process;
use std::sync::Arc;
use std::time::Duration;

use futures_lite::{AsyncWriteExt, future};
use halves::address::ListenOptions;
use halves::limits::connections_for_open_files;
use halves::service::Exec;
use halves::{
    Address, Clock, Connection, Endpoint, Event, Executor, Listeners, Server, Shutdown, bind,
};
use smol::channel::{Receiver, Sender, unbounded};

use super::EXIT_FATAL;
use super::flags::Flags;
use super::messages::{Messages, words};
use super::names::{self, Names};
use crate::cli::log::Log;
use crate::cli::{EXIT_SIGNALED, exec, privileges, resources, serve};

/// The longest wait for children that are about to start, after a signal.
const START_TIMEOUT: Duration = Duration::from_secs(2);
/// The signal after which children go on.
const TERM: i32 = 15;

/// A step of a connection before its child runs.
enum Step {
    Accepted,
    /// The child runs, or the connection has ended without one.
    Started,
    /// No more connections are accepted.
    Draining,
}

/// Serves until a signal, and returns the exit code.
pub(super) fn run(flags: Flags, messages: &Messages, log: &Log) -> u8 {
    log.catch_panics();
    start(flags, messages.clone(), log).unwrap_or_else(|problem| {
        messages.fatal(&problem);
        EXIT_FATAL
    })
}

fn start(flags: Flags, messages: Messages, log: &Log) -> Result<u8, String> {
    if flags.wants_ident {
        messages.warning("-r has no effect: there are no IDENT lookups");
    }
    let Some(port) = names::port(&flags.port) else {
        return Err(format!(
            "unable to figure out port number for {}",
            flags.port
        ));
    };
    let Some(host) = names::host(&flags.host) else {
        return Err(format!("no IP address for {}", flags.host));
    };
    let program = &flags.program[0];
    // Found before the limit of open files is raised.
    let exec = exec::find(&flags.program).map_err(|error| {
        let program = program.to_string_lossy();
        format!("unable to run {program}: {}", words(&error))
    })?;
    let messages = messages.of(program, flags.max_children.get());
    resources::raise_file_limit();
    resources::check(1).map_err(|error| error.to_string())?;
    let signals = Shutdown::on_signals().map_err(|error| error.to_string())?;
    let ex = Executor::try_threads(std::num::NonZero::<usize>::MIN);
    // Never dropped, and so the children go on at the end.
    let ex = ManuallyDrop::new(ex.map_err(|error| error.to_string())?);
    let address = Address::Tcp {
        host: host.to_string(),
        port,
        options: ListenOptions::default()
            .backlog(flags.backlog)
            .nagle(flags.delays),
    };
    if process::id() == 1 {
        ex.spawn(serve::reap(log.lines().clone())).detach();
    }
    let spawner = Executor::clone(&ex);
    ex.block_on(ex.spawn(async move {
        let listeners = bind(address).await;
        let listeners = listeners.map_err(|error| format!("unable to bind: {}", words(&error)))?;
        prepare(&flags, &listeners)?;
        messages.status();
        let server = TcpServer {
            flags,
            messages,
            signals,
        };
        server.run(exec, listeners, spawner).await
    }))
}

/// Changes user and group, and prints the port.
fn prepare(flags: &Flags, listeners: &Listeners) -> Result<(), String> {
    // As for tcpserver, 0 is no change.
    if let Some(group) = flags.group.filter(|&group| group != 0) {
        privileges::set_group(group)
            .map_err(|error| format!("unable to set gid: {}", words(&error.into())))?;
    }
    if let Some(user) = flags.user.filter(|&user| user != 0) {
        privileges::set_user(user)
            .map_err(|error| format!("unable to set uid: {}", words(&error.into())))?;
    }
    let local = listeners.local_addrs();
    let port = local.first().and_then(Endpoint::socket_addr);
    if let Some(local) = port.filter(|_| flags.prints_port) {
        // The reader may be gone, as for tcpserver.
        let _ = writeln!(io::stdout(), "{}", local.port());
    }
    close_standard_streams().map_err(|error| format!("unable to close streams: {error}"))
}

/// Connects standard input and output to /dev/null. A reader of the port waits for its end.
fn close_standard_streams() -> io::Result<()> {
    let null = File::options().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    Ok(())
}

struct TcpServer {
    flags: Flags,
    messages: Messages,
    signals: Shutdown,
}

impl TcpServer {
    /// Serves until a signal. At TERM the server ends, and children go on.
    async fn run(self, exec: Exec, listeners: Listeners, ex: Executor) -> Result<u8, String> {
        let shutdown = Shutdown::default();
        let (sender, steps) = unbounded();
        let exec = self.observed(exec, sender.clone());
        let exec = exec.map_err(|error| error.to_string())?;
        let server = self.server(&shutdown, sender);
        let handler = self.handler(exec);
        let mut served = ex.spawn(server.serve(ex.clone(), listeners, handler));
        let signals = self.signals;
        let signalled = async {
            signals.requested().await;
            None
        };
        let ended = future::or(async { Some((&mut served).await) }, signalled).await;
        if let Some(ended) = ended {
            return match ended {
                Ok(_) => Ok(0),
                Err(error) => Err(format!("unable to accept: {}", words(&error))),
            };
        }
        let signal = signals.signal().unwrap_or(TERM);
        let clock = Clock::default();
        let timeout = async {
            clock.sleep(START_TIMEOUT).await;
        };
        if signal == TERM {
            shutdown.drain();
            future::or(all_started(steps), timeout).await;
            served.detach();
            return Ok(0);
        }
        shutdown.abort();
        let ended = async {
            let _ = served.await;
        };
        future::or(ended, timeout).await;
        Ok(EXIT_SIGNALED | u8::try_from(signal).unwrap_or_default())
    }

    /// Adds the names to the variables of children, and reports each start.
    fn observed(&self, exec: Exec, steps: Sender<Step>) -> io::Result<Exec> {
        let (messages, lookups) = (self.messages.clone(), self.flags.lookups.clone());
        let fixed = lookups.fixed_name();
        let exec = match &fixed {
            // The start of a child then needs no thread.
            Some(name) => exec.env("TCPLOCALHOST", name)?,
            None => exec.env_with(move |peer| lookups.variables(peer)),
        };
        Ok(exec.on_start(move |peer, id| {
            if let Some(name) = &fixed {
                peer.set_extension(Names::local(name.clone()));
            }
            messages.started(peer, id);
            send(&steps, Step::Started);
        }))
    }

    fn server(&self, shutdown: &Shutdown, steps: Sender<Step>) -> Server {
        let messages = self.messages.clone();
        let max = connections_for_open_files(exec::FILES).min(self.flags.max_children.get());
        Server::default()
            .shutdown(shutdown.clone())
            .max_connections(max)
            .drain_timeout(Duration::MAX)
            .on_event(move |event| {
                match event {
                    Event::Opened(_) => send(&steps, Step::Accepted),
                    Event::Draining { .. } => send(&steps, Step::Draining),
                    Event::Closed(closed) if !Messages::has_started(&closed.peer) => {
                        send(&steps, Step::Started);
                    }
                    _ => {}
                }
                messages.event(event);
            })
    }

    fn handler(
        &self,
        exec: Exec,
    ) -> impl FnOnce(Connection) -> future::Boxed<io::Result<()>> + Clone + Send + Sync + 'static
    {
        let banner: Arc<[u8]> = self.flags.banner.as_slice().into();
        let messages = self.messages.clone();
        move |mut c: Connection| {
            Box::pin(async move {
                if !banner.is_empty() {
                    let sent = async {
                        c.writer.write_all(&banner).await?;
                        c.writer.flush().await
                    };
                    (sent.await)
                        .inspect_err(|error| messages.dropping("unable to print banner", error))?;
                }
                let served = exec.serve(c).await;
                served.inspect_err(|error| messages.not_run(error))
            })
        }
    }
}

/// Sends a step. An error means that the end does not wait any more.
fn send(steps: &Sender<Step>, step: Step) {
    let _ = steps.try_send(step);
}

/// Waits until no more connections are accepted and each has its child.
async fn all_started(steps: Receiver<Step>) {
    let (mut starting, mut draining) = (0_usize, false);
    while !(draining && starting == 0) {
        match steps.recv().await {
            Ok(Step::Accepted) => starting += 1,
            Ok(Step::Started) => starting = starting.saturating_sub(1),
            Ok(Step::Draining) => draining = true,
            Err(_) => return,
        }
    }
}
