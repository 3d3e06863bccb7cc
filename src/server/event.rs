//! `Event`: reports of a server to its embedder.

use std::fmt;
use std::io;
use std::time::Duration;

use super::Report;
use crate::connection::Peer;
use crate::escape::OneLine;
use crate::reason::Reason;

/// An event of a server, as passed to the observer of
/// [`Server::on_event`](crate::Server::on_event).
///
/// The library writes no log. The name of a Unix client's socket and the text of an error may
/// contain line breaks and terminal escapes; [`OneLine`] escapes these.
///
/// # Examples
///
/// ```
/// use halves::{Event, Server};
/// use halves::escape::OneLine;
///
/// let server = Server::default().on_event(|event| match event {
///     Event::Closed(closed) => eprintln!("{} left: {}", OneLine(&closed.peer), closed.reason),
///     Event::LimitReached(limit) => eprintln!("{limit}: new clients wait"),
///     _ => {}
/// });
/// # drop(server);
///
/// // Or print every event:
/// let server = Server::default().on_event(|event| eprintln!("{event}"));
/// # drop(server);
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// A connection was accepted.
    Opened(Peer),
    /// A connection ended. Each [`Opened`](Self::Opened) connection has one such event.
    Closed(Closed),
    /// A handler dropped a [`Buffered`](crate::connection::Buffered) writer that held unsent bytes.
    /// They are lost.
    Unsent {
        /// The peer of the connection.
        peer: Peer,
        /// The number of lost bytes.
        bytes: usize,
    },
    /// A connection was refused: because of its source, its PROXY header or its TLS handshake. After
    /// a refusal at accept no other event follows. After a later one, by
    /// [`Connection::identify`](crate::Connection::identify) or in a handshake,
    /// [`Closed`](Self::Closed) follows. At most ten per second are emitted; the others are
    /// [`Suppressed`](Self::Suppressed).
    Refused {
        /// The peer of the connection.
        peer: Peer,
        /// The reason, for which [`Reason::is_refusal`] is true.
        reason: Reason,
        /// The error of the header or the handshake.
        error: Option<String>,
    },
    /// One connection could not be accepted. The server goes on. At most ten per second are
    /// emitted; the others are [`Suppressed`](Self::Suppressed).
    AcceptFailed(io::Error),
    /// The number of events that were suppressed in a past second, or before the end.
    Suppressed {
        /// Refused connections.
        refused: u64,
        /// Failed accepts.
        accept_failed: u64,
    },
    /// New connections wait because of this limit. Emitted once, until
    /// [`LimitOver`](Self::LimitOver).
    LimitReached(Limit),
    /// The limit is no longer active: no client has waited for a second, another limit is reached,
    /// or the server accepts no more.
    LimitOver(Limit),
    /// The drain delay has begun: the server still accepts, but
    /// [`is_ready`](crate::Handle::is_ready) returns false.
    Delaying {
        /// The length of the delay.
        delay: Duration,
    },
    /// The drain has begun: the server accepts no more.
    Draining {
        /// The number of open connections.
        connections: usize,
        /// The time that they have to finish.
        deadline: Duration,
    },
    /// The drain goes on. Emitted every 5 seconds.
    StillDraining {
        /// The number of open connections.
        connections: usize,
        /// The time until the deadline.
        left: Duration,
    },
    /// The server has ended.
    Ended(Report),
}

/// Writes one line for people. The text may change. Text of clients, errors and panics is escaped
/// as by [`OneLine`].
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        OneLine(fmt::from_fn(|f| self.write(f))).fmt(f)
    }
}

impl Event {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opened(peer) => write!(f, "{peer} connected"),
            Self::Closed(closed) => {
                write!(f, "{} disconnected: {}", closed.peer, closed.reason)?;
                let error = closed.error.as_ref();
                error.map_or(Ok(()), |error| write!(f, " ({error})"))
            }
            Self::Unsent { peer, bytes } => write!(f, "{peer} lost {bytes} unsent bytes"),
            Self::Refused {
                peer,
                reason,
                error,
            } => {
                write!(f, "{peer} refused: {reason}")?;
                let error = error.as_ref();
                error.map_or(Ok(()), |error| write!(f, " ({error})"))
            }
            Self::AcceptFailed(error) => write!(f, "accept failed: {error}"),
            Self::Suppressed {
                refused,
                accept_failed,
            } => write!(
                f,
                "suppressed: {refused} refused, {accept_failed} not accepted"
            ),
            Self::LimitReached(limit) => write!(f, "{limit} is reached: new clients wait"),
            Self::LimitOver(limit) => write!(f, "{limit} is no longer reached"),
            Self::Delaying { delay } => write!(f, "not ready, draining in {delay:?}"),
            Self::Draining {
                connections,
                deadline,
            } => write!(f, "draining {connections} connections within {deadline:?}"),
            Self::StillDraining { connections, left } => {
                write!(f, "still draining {connections} connections, {left:?} left")
            }
            Self::Ended(report) => {
                let (finished, aborted) = (report.finished, report.aborted);
                write!(
                    f,
                    "ended: {finished} finished in the drain, {aborted} aborted"
                )
            }
        }
    }
}

/// The end of a connection.
///
/// # Examples
///
/// ```
/// use halves::{Event, Reason, Server};
///
/// let server = Server::default().on_event(|event| {
///     if let Event::Closed(closed) = event && closed.reason == Reason::Idle {
///         eprintln!("{} was idle for too long, open for {:?}", closed.peer, closed.age);
///     }
/// });
/// # drop(server);
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Closed {
    /// The peer, with the final byte counts.
    pub peer: Peer,
    /// The reason of the end.
    pub reason: Reason,
    /// The handler's error, the message of its panic, or the error with which its output could not
    /// be sent.
    pub error: Option<io::Error>,
    /// The time for which the connection was open.
    pub age: Duration,
}

/// A limit that holds new connections back.
///
/// # Examples
///
/// ```
/// let limit = halves::server::Limit::MaxConnections(100);
/// assert_eq!(limit.to_string(), "max_connections=100");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Limit {
    /// The limit of [`Server::max_connections`](crate::Server::max_connections).
    MaxConnections(usize),
    /// The open files of the process: `RLIMIT_NOFILE`, `EMFILE`.
    ProcessFiles,
    /// The open files of the system: `fs.file-max`, `ENFILE`.
    SystemFiles,
    /// The epoll watches of the user: `fs.epoll.max_user_watches`, `ENOSPC`.
    Watches,
    /// The memory of the system for sockets: `ENOBUFS`, `ENOMEM`.
    Memory,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MaxConnections(max) => write!(f, "max_connections={max}"),
            Self::ProcessFiles => f.write_str("RLIMIT_NOFILE (EMFILE)"),
            Self::SystemFiles => f.write_str("fs.file-max (ENFILE)"),
            Self::Watches => f.write_str("fs.epoll.max_user_watches (ENOSPC)"),
            Self::Memory => f.write_str("memory (ENOBUFS, ENOMEM)"),
        }
    }
}
