//! The messages of tcpserver on standard error, to the letter.

use std::ffi::OsStr;
use std::fmt::Write;
use std::io;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use halves::server::Closed;
use halves::service::Exited;
use halves::{Event, Peer};

use super::flags::Verbosity;
use super::names::Names;
use crate::cli::format::one_line;
use crate::cli::log::Lines;

/// The status of a child that could not run its program: an exit with 111.
const NOT_RUN: i32 = 111 << 8;
/// The longest name in a message, in bytes.
const MAX_NAME_BYTES: usize = 100;

/// Writes messages, and counts the children.
#[derive(Clone)]
pub(super) struct Messages {
    lines: Lines,
    verbosity: Verbosity,
    program: Arc<str>,
    max_children: usize,
    children: Arc<AtomicUsize>,
}

/// The process id of the child, as an extension of its peer.
struct ChildId(u32);

impl Messages {
    pub(super) fn new(lines: Lines, verbosity: Verbosity) -> Self {
        Self {
            lines,
            verbosity,
            program: "".into(),
            max_children: 0,
            children: Arc::default(),
        }
    }

    pub(super) fn of(mut self, program: &OsStr, max_children: usize) -> Self {
        self.program = program.to_string_lossy().into();
        self.max_children = max_children;
        self
    }

    /// Writes a line at this verbosity and above.
    fn write(&self, verbosity: Verbosity, text: &str) {
        if self.verbosity >= verbosity {
            self.lines
                .print(&format!("tcpserver: {}\n", one_line(text)));
        }
    }

    /// Writes an error without a prefix.
    pub(super) fn problem(&self, text: &str) {
        self.write(Verbosity::Errors, text);
    }

    pub(super) fn fatal(&self, text: &str) {
        self.problem(&format!("fatal: {text}"));
    }

    pub(super) fn warning(&self, text: &str) {
        self.problem(&format!("warning: {text}"));
    }

    pub(super) fn dropping(&self, what: &str, error: &io::Error) {
        let error = words(error);
        self.warning(&format!("dropping connection, {what}: {error}"));
    }

    /// Writes the number of children.
    pub(super) fn status(&self) {
        let (children, max) = (self.children.load(Ordering::Relaxed), self.max_children);
        self.write(Verbosity::Status, &format!("status: {children}/{max}"));
    }

    /// A child runs.
    pub(super) fn started(&self, peer: &Peer, id: u32) {
        peer.set_extension(ChildId(id));
        let (Some(local), Some(remote)) =
            (peer.local().socket_addr(), peer.endpoint().socket_addr())
        else {
            return;
        };
        self.write(Verbosity::Status, &format!("pid {id} from {}", remote.ip()));
        self.write(Verbosity::Status, &ok(id, local, remote, peer));
    }

    /// Returns true if [`started`](Self::started) was called for this connection.
    pub(super) fn has_started(peer: &Peer) -> bool {
        peer.extension::<ChildId>().is_some()
    }

    /// Follows the events of the server.
    pub(super) fn event(&self, event: &Event) {
        match event {
            Event::Opened(_) => {
                self.children.fetch_add(1, Ordering::Relaxed);
                self.status();
            }
            Event::Closed(closed) => {
                self.end(closed);
                self.children.fetch_sub(1, Ordering::Relaxed);
                self.status();
            }
            Event::AcceptFailed(error) => {
                self.warning(&format!("unable to accept: {}", words(error)));
            }
            _ => {}
        }
    }

    fn end(&self, closed: &Closed) {
        let started = closed.peer.extension::<ChildId>();
        let (id, status) = match (closed.peer.extension::<Exited>(), started) {
            (Some(exited), _) => (exited.id, exited.status.into_raw()),
            (None, Some(started)) => (started.0, NOT_RUN),
            (None, None) => return,
        };
        self.write(Verbosity::Status, &format!("end {id} status {status}"));
    }

    /// The program could not be run for a connection.
    pub(super) fn not_run(&self, error: &io::Error) {
        self.dropping(&format!("unable to run {}", self.program), error);
    }
}

/// Returns `ok ID LOCALHOST:IP:PORT REMOTEHOST:IP:INFO:PORT`.
fn ok(id: u32, local: SocketAddr, remote: SocketAddr, peer: &Peer) -> String {
    let names = peer.extension::<Names>();
    let name = |of: fn(&Names) -> Option<&OsStr>| {
        let name = names.as_deref().and_then(of);
        safe(name.unwrap_or_default())
    };
    let local_name = name(|names| names.local.as_deref());
    let remote_name = name(|names| names.remote.as_deref());
    let (local_ip, local_port) = (local.ip(), local.port());
    let (remote_ip, remote_port) = (remote.ip(), remote.port());
    format!("ok {id} {local_name}:{local_ip}:{local_port} {remote_name}:{remote_ip}::{remote_port}")
}

/// Replaces the bytes of a name that would confuse readers of the log.
fn safe(name: &OsStr) -> String {
    let bytes = name.as_bytes();
    let mut safe = String::with_capacity(bytes.len());
    for &byte in bytes.iter().take(MAX_NAME_BYTES) {
        let plain = (33..=126).contains(&byte) && !b"%:".contains(&byte);
        let _ = safe.write_char(if plain { byte.into() } else { '?' });
    }
    if bytes.len() >= MAX_NAME_BYTES {
        safe.push_str("...");
    }
    safe
}

/// Returns the words of tcpserver for an error.
pub(super) fn words(error: &io::Error) -> String {
    let known = match error.kind() {
        io::ErrorKind::AddrInUse => "address already used",
        io::ErrorKind::AddrNotAvailable => "address not available",
        io::ErrorKind::ArgumentListTooLong => "argument list too long",
        io::ErrorKind::ConnectionAborted => "connection aborted",
        io::ErrorKind::ConnectionReset => "connection reset",
        io::ErrorKind::ExecutableFileBusy => "text busy",
        io::ErrorKind::NotFound => "file does not exist",
        io::ErrorKind::OutOfMemory => "out of memory",
        io::ErrorKind::PermissionDenied => "permission denied",
        io::ErrorKind::WouldBlock => "temporary failure",
        _ => return error.to_string(),
    };
    known.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_for_an_error_do_not_name_the_program_again() {
        for (kind, expected) in [
            (io::ErrorKind::WouldBlock, "temporary failure"),
            (io::ErrorKind::ExecutableFileBusy, "text busy"),
            (io::ErrorKind::NotFound, "file does not exist"),
        ] {
            let error = io::Error::new(kind, "/bin/cat: a reason");
            assert_eq!(words(&error), expected);
        }
    }

    #[test]
    fn a_name_in_a_message_is_safe() {
        for (name, expected) in [
            ("", ""),
            ("host.example", "host.example"),
            ("a b:c%d\u{e9}\n", "a?b?c?d???"),
        ] {
            assert_eq!(safe(name.as_ref()), expected);
        }
        let long = "x".repeat(300);
        assert_eq!(safe(long.as_ref()), format!("{}...", "x".repeat(100)));
    }
}
