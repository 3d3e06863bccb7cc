//! Restart without a gap: a new process of the program takes over the listening sockets, and this
//! one drains when the new one is ready.
//!
//! Both processes have one end of a channel. The old process sends its sockets; the new one sends
//! that it is ready; the old one answers that the new one accepts from now on. A channel that
//! closes before that means that the other process has ended: the old one goes on, and the new one
//! takes over. An old process that goes on sends that the restart is cancelled.

mod channel;
mod invocation;
mod message;
mod predecessor;
mod relays;
mod successor;

use std::io;
use std::os::fd::OwnedFd;
use std::process;
use std::time::Duration;

use futures_lite::future;
use halves::listener::{SharedListeners, SharedSocket};
use halves::service::Handover;
use halves::{Address, Clock, Listeners, Shutdown};
use rustix::io::Errno;

use super::format::Line;
use super::log::{Level, Lines};
use super::supervisor::Notices;

pub(super) use message::{Role, address_text, listen_options};
pub(super) use predecessor::{Answer, Predecessor, Sources, has_lost_file};

use invocation::Invocation;
use message::SocketNote;
use relays::RelayMove;
use successor::Successor;

/// The time that a new process has to get ready.
const READY_TIMEOUT: Duration = Duration::from_secs(30);

/// How this process was started.
pub(super) struct Origin {
    pub(super) invocation: Invocation,
    /// The process that this one replaces.
    pub(super) predecessor: Option<Predecessor>,
    /// The channel of the relays of that process.
    pub(super) relays: Option<OwnedFd>,
}

impl Origin {
    /// Receives the sockets of the process at the other end of `channel`, and sets the limit of open
    /// files that it started with.
    pub(super) fn find(channel: Option<io::Result<OwnedFd>>) -> io::Result<Self> {
        let channel = channel.transpose()?;
        let mut predecessor = channel.map(Predecessor::receive).transpose()?;
        Ok(Self {
            relays: predecessor.as_mut().and_then(|it| it.relays.take()),
            predecessor,
            invocation: Invocation::of_this_process(),
        })
    }
}

/// Replaces this process.
pub(super) struct Restarter {
    invocation: Invocation,
    passed: Vec<PassedListeners>,
    /// The relays that move.
    handover: Option<Handover>,
    clock: Clock,
    /// Ends a restart that is under way.
    shutdown: Shutdown,
    notices: Notices,
    lines: Lines,
}

/// A restart that has succeeded.
pub(super) struct Restarted {
    /// The process id of the new process.
    pub(super) pid: u32,
    pub(super) relays: Option<RelayMove>,
}

/// The listeners of the options of one role, which a new process gets.
#[derive(Clone, Debug)]
pub(super) struct PassedListeners {
    role: Role,
    /// For each listener, its address [without settings](address_text), and the number of the
    /// option.
    addresses: Vec<(String, usize)>,
    shared: SharedListeners,
    /// The address of a member that is one connection.
    connection: Option<String>,
}

impl PassedListeners {
    /// Describes listeners, of which each address has made so many.
    pub(super) fn new<'a>(
        role: Role,
        listeners: &Listeners,
        addresses: impl IntoIterator<Item = (&'a Address, usize)>,
    ) -> Self {
        let entries = addresses.into_iter().enumerate();
        let addresses: Vec<_> = entries
            .flat_map(|(entry, (address, count))| vec![(address_text(address), entry); count])
            .collect();
        let mut listens = listeners.listens().into_iter().zip(&addresses);
        let connection = listens.find(|(listens, _)| !listens);
        Self {
            role,
            shared: listeners.share(),
            connection: connection.map(|(_, (address, _))| address.clone()),
            addresses,
        }
    }

    /// Duplicates the sockets, with their origin.
    fn sockets(&self) -> io::Result<Vec<(SocketNote, SharedSocket)>> {
        let sockets = self.shared.sockets()?;
        let with_note = |socket: SharedSocket| {
            let (address, entry) = self.addresses[socket.index].clone();
            let note = SocketNote {
                role: self.role,
                address,
                entry,
                is_owned: socket.is_owned,
            };
            (note, socket)
        };
        Ok(sockets.into_iter().map(with_note).collect())
    }
}

impl Restarter {
    pub(super) fn new(
        invocation: Invocation,
        passed: Vec<PassedListeners>,
        handover: Option<Handover>,
        shutdown: Shutdown,
        notices: Notices,
        lines: Lines,
    ) -> Self {
        Self {
            invocation,
            passed,
            handover,
            clock: Clock::default(),
            shutdown,
            notices,
            lines,
        }
    }

    /// Starts the program again and passes the listeners on. The new process accepts now, and the
    /// listeners of this process have ended. After an error, which is one line, this process goes on
    /// as before. Blocks until the new process is ready, at most [`READY_TIMEOUT`], and less if the
    /// server drains.
    pub(super) fn restart(&self) -> Result<Restarted, String> {
        self.check()?;
        let mut sockets = Vec::new();
        for passed in &self.passed {
            match passed.sockets() {
                // The new process listens again.
                Err(_) if passed.role != Role::Listen => {}
                passed => sockets.extend(passed.map_err(|error| described(&error))?),
            }
        }
        let relays = self.handover.as_ref().map(RelayMove::new).transpose();
        let (relays, theirs) = relays.map_err(|error| described(&error))?.unzip();
        let mut successor =
            Successor::start(&self.invocation).map_err(|error| described(&error))?;
        let pid = successor.id();
        let line = Line::new("restarting").number("pid", pid);
        self.lines.write(Level::Normal, &line);
        smol::block_on(async {
            self.prepare(&mut successor, sockets, theirs).await?;
            // The service manager accepts messages of its main process only, so it learns of the
            // new one first.
            self.notices.replaced(pid).await;
            let replaced = self.replace(successor).await;
            if replaced.is_err() {
                self.notices.kept();
            }
            replaced
        })?;
        Ok(Restarted { pid, relays })
    }

    fn check(&self) -> Result<(), String> {
        if self.shutdown.is_draining() {
            return Err("the server drains".to_owned());
        }
        if process::id() == 1 {
            return Err(
                "the end of process 1 ends the new process, too: replace the container".to_owned(),
            );
        }
        let connection = self.passed.iter().find_map(|it| it.connection.as_ref());
        match connection {
            Some(address) => Err(format!(
                "'{address}' is one connection, which stays with this process"
            )),
            None => Ok(()),
        }
    }

    /// Waits until the new process is ready.
    async fn prepare(
        &self,
        successor: &mut Successor,
        sockets: Vec<(SocketNote, SharedSocket)>,
        relays: Option<OwnedFd>,
    ) -> Result<(), String> {
        let ready = successor.prepare(self.invocation.open_files, sockets, relays);
        let draining = async {
            self.shutdown.requested().await;
            Err("the server drains".to_owned())
        };
        let late = async {
            self.clock.sleep(READY_TIMEOUT).await;
            let seconds = READY_TIMEOUT.as_secs();
            Err(format!(
                "the new process was not ready after {seconds} s and was killed"
            ))
        };
        future::or(ready, future::or(draining, late)).await
    }

    /// Makes the new process accept, and ends the listeners of this one.
    async fn replace(&self, mut successor: Successor) -> Result<(), String> {
        let pid = successor.id();
        successor.commit().await?;
        // Before the server can end, as it may have no connection.
        let line = Line::new("restarted").number("pid", pid);
        self.lines.write(Level::Normal, &line);
        for passed in &self.passed {
            let disowned = passed.shared.disown();
            if let (Role::Listen, Err(error)) = (passed.role, disowned) {
                // The server drains, and its sockets refuse clients.
                successor.revoke();
                return Err(error.to_string());
            }
        }
        Ok(())
    }
}

/// Describes an error, with the limit to raise if no descriptors are left.
fn described(error: &io::Error) -> String {
    match Errno::from_io_error(error) {
        Some(Errno::MFILE) => format!("{error} (ulimit -n)"),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::thread;

    use halves::bind;

    use super::super::format::Format;
    use super::super::log::Log;
    use super::super::supervisor::Supervisor;
    use super::*;

    #[test]
    fn a_new_process_that_is_late_is_killed() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("program");
        fs::write(&path, "#!/bin/sh\nexec sleep 1000\n").expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("its mode");
        let mut invocation = Invocation::of_this_process();
        invocation.path = path;
        invocation.args.clear();
        let address: Address = "127.0.0.1:0".parse().expect("an address");
        let listeners = smol::block_on(bind(address.clone())).expect("a free port");
        let passed = PassedListeners::new(Role::Listen, &listeners, [(&address, 1)]);
        let log = Log::start(Format::Text, Level::Quiet).expect("a thread");
        let notices = Supervisor::find(log.lines()).notices();
        let shutdown = Shutdown::default();
        let lines = log.lines().clone();
        let mut restarter =
            Restarter::new(invocation, vec![passed], None, shutdown, notices, lines);
        let (clock, manual) = Clock::manual();
        restarter.clock = clock;
        let restart = thread::spawn(move || restarter.restart());
        while !restart.is_finished() {
            manual.advance(READY_TIMEOUT);
            thread::yield_now();
        }
        let late = "the new process was not ready after 30 s and was killed";
        let restarted = restart.join().expect("no panic");
        assert_eq!(restarted.err(), Some(late.to_owned()));
        let sockets = listeners.share().sockets().expect("it listens still");
        assert!(sockets[0].is_owned);
    }
}
