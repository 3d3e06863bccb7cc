//! What a server tells whoever runs it.

use std::fmt;
use std::io;
use std::time::Duration;

use super::Report;
use crate::connection::Peer;
use crate::escape::OneLine;
use crate::reason::Reason;

/// Something that happened in a server; [`Server::on_event`](crate::Server::on_event) hears it.
///
/// The library writes to no log: an embedder renders what it wants of these. The name of a Unix client's
/// socket and the text of an error may have line breaks and worse in them; [`OneLine`] escapes these.
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
/// // Or all of it, as it is:
/// let server = Server::default().on_event(|event| eprintln!("{event}"));
/// # drop(server);
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// A connection was accepted.
    Opened(Peer),
    /// A connection ended. There is one for each [`Opened`](Self::Opened).
    Closed(Closed),
    /// A handler dropped a [`Buffered`](crate::connection::Buffered) writer with bytes that it did not wait for, and
    /// that were never sent.
    Unsent {
        /// Who did not get them.
        peer: Peer,
        /// How many they were.
        bytes: usize,
    },
    /// A connection was refused, for where it came from: at accept, or when its client was
    /// [identified](crate::Connection::identify), and then [`Closed`](Self::Closed) follows. Ten in
    /// a second at most; the rest are [`Suppressed`](Self::Suppressed).
    Refused {
        /// Who it was.
        peer: Peer,
        /// [`Denied`](Reason::Denied), [`PerSource`](Reason::PerSource) or
        /// [`AcceptRate`](Reason::AcceptRate).
        reason: Reason,
    },
    /// One connection could not be accepted; the server goes on. Ten in a second at most.
    AcceptFailed(io::Error),
    /// How many more there were of these two in a second that has passed, or at the end.
    Suppressed {
        /// Refused connections.
        refused: u64,
        /// Errors of accept.
        accept_failed: u64,
    },
    /// New connections wait, for this limit. Said once an episode.
    LimitReached(Limit),
    /// The episode is over: for a second nobody had to wait, or another limit takes over, or no
    /// more is accepted.
    LimitOver(Limit),
    /// The server was told to end, and gives the world time to hear of it: it is not ready any
    /// more, and still accepts.
    Delaying {
        /// For how long.
        delay: Duration,
    },
    /// The server was told to end and accepts no more.
    Draining {
        /// How many connections are open.
        connections: usize,
        /// How long they may take to finish.
        deadline: Duration,
    },
    /// The drain goes on. Said every 5 seconds.
    StillDraining {
        /// How many connections are open.
        connections: usize,
        /// How long they still may take.
        left: Duration,
    },
    /// The server has ended.
    Ended(Report),
}

/// In a line, for people; the text may change. Whatever a client, a handler's error or a panic
/// contributes, it is one line, as [`OneLine`] has it.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        OneLine(fmt::from_fn(|f| self.words(f))).fmt(f)
    }
}

impl Event {
    fn words(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opened(peer) => write!(f, "{peer} connected"),
            Self::Closed(closed) => {
                write!(f, "{} disconnected: {}", closed.peer, closed.reason)?;
                let error = closed.error.as_ref();
                error.map_or(Ok(()), |error| write!(f, " ({error})"))
            }
            Self::Unsent { peer, bytes } => write!(f, "{peer} did not get the last {bytes} bytes"),
            Self::Refused { peer, reason } => write!(f, "{peer} refused: {reason}"),
            Self::AcceptFailed(error) => write!(f, "a connection was not accepted: {error}"),
            Self::Suppressed {
                refused,
                accept_failed,
            } => write!(
                f,
                "{refused} more refused, {accept_failed} more not accepted"
            ),
            Self::LimitReached(limit) => write!(f, "{limit} is reached: new clients wait"),
            Self::LimitOver(limit) => write!(f, "{limit} is over"),
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

/// How a connection ended.
///
/// # Examples
///
/// See [`Event`].
#[derive(Debug)]
#[non_exhaustive]
pub struct Closed {
    /// Who it was, with the final byte counts.
    pub peer: Peer,
    /// Why it ended.
    pub reason: Reason,
    /// The handler's error, or the message of its panic.
    pub error: Option<io::Error>,
    /// How long the connection was open.
    pub age: Duration,
}

/// What holds new connections back.
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
    /// As many connections are open as [`Server::max_connections`](crate::Server::max_connections)
    /// allows.
    MaxConnections(usize),
    /// The process has no descriptor left: `RLIMIT_NOFILE`, `EMFILE`.
    ProcessFiles,
    /// The system has no descriptor left: `fs.file-max`, `ENFILE`.
    SystemFiles,
    /// The user may watch no more descriptors: `fs.epoll.max_user_watches`, `ENOSPC`.
    Watches,
    /// The system has no memory left for sockets: `ENOBUFS`, `ENOMEM`.
    Memory,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MaxConnections(most) => write!(f, "max_connections={most}"),
            Self::ProcessFiles => f.write_str("RLIMIT_NOFILE (EMFILE)"),
            Self::SystemFiles => f.write_str("fs.file-max (ENFILE)"),
            Self::Watches => f.write_str("fs.epoll.max_user_watches (ENOSPC)"),
            Self::Memory => f.write_str("memory (ENOBUFS, ENOMEM)"),
        }
    }
}
