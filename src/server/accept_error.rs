//! Errors of accept, and limits that hold new connections back.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use rustix::io::Errno;

use super::event::{Event, Limit};
use super::state::ServerState;
use crate::error::Error;
use crate::stats::count;
use crate::time::Sleep;

/// The accept loop pauses from this error in a row on. Errors of a limit do not count: each of them
/// pauses it.
const FIRST_ERROR_WITH_PAUSE: u32 = 32;
/// The first pause after an error of a limit, or after other errors in a row. Each further pause is
/// twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
/// The longest pause.
const MAX_PAUSE: Duration = Duration::from_secs(1);
/// The time without a waiting client after which a limit is no longer active. Clients that reach
/// the limit one after another keep it active.
const CALM_TIME: Duration = Duration::from_secs(1);

/// An error of accept(2) after which the server goes on.
#[derive(Clone, Copy)]
pub(super) enum AcceptError {
    /// The error concerns one connection. The next accept may succeed.
    Connection,
    /// A resource is used up. The accept loop backs off.
    Limit(Limit),
}

/// The limit that holds connections back, if there is one. It is active from one event to another:
/// [`Event::LimitReached`] and [`Event::LimitOver`].
pub(super) struct ActiveLimit<'a> {
    state: &'a ServerState,
    limit: Option<Limit>,
    /// The length of the next pause.
    pause: Duration,
    /// Errors other than those of a limit, since the last connection or since the listener was
    /// stopped.
    failures: u32,
    /// Runs while no client waits. Dropped when the limit is reached again.
    calm: Option<Sleep>,
}

impl AcceptError {
    /// Classifies an error. Returns None if no retry can succeed.
    pub(super) fn of(error: &io::Error) -> Option<Self> {
        let error = match error.get_ref().and_then(|inner| inner.downcast_ref()) {
            Some(Error::Accept { source, .. }) => source,
            _ => error,
        };
        match Errno::from_io_error(error) {
            Some(Errno::MFILE) => Some(Self::Limit(Limit::ProcessFiles)),
            Some(Errno::NFILE) => Some(Self::Limit(Limit::SystemFiles)),
            Some(Errno::NOSPC) => Some(Self::Limit(Limit::Watches)),
            Some(Errno::NOBUFS | Errno::NOMEM) => Some(Self::Limit(Limit::Memory)),
            // Linux passes network errors of the new connection to accept.
            Some(
                Errno::CONNABORTED
                | Errno::CONNRESET
                | Errno::INTR
                | Errno::PROTO
                | Errno::PERM
                // A rule of a security module, which may change while the server runs.
                | Errno::ACCESS
                | Errno::NETDOWN
                | Errno::NOPROTOOPT
                | Errno::HOSTDOWN
                | Errno::HOSTUNREACH
                | Errno::OPNOTSUPP
                | Errno::NETUNREACH
                | Errno::TIMEDOUT,
            ) => Some(Self::Connection),
            #[cfg(target_os = "linux")]
            Some(Errno::NONET) => Some(Self::Connection),
            Some(_) => None,
            None => match error.kind() {
                io::ErrorKind::ConnectionAborted
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::Interrupted => Some(Self::Connection),
                _ => None,
            },
        }
    }
}

impl<'a> ActiveLimit<'a> {
    pub(super) fn new(state: &'a ServerState) -> Self {
        Self {
            state,
            limit: None,
            pause: FIRST_PAUSE,
            failures: 0,
            calm: None,
        }
    }

    /// Makes this limit the active one, unless it is already.
    pub(super) fn begin(&mut self, limit: Limit) {
        self.calm = None;
        if self.limit != Some(limit) {
            self.end();
            self.limit = Some(limit);
            count(&self.state.registry.counters.limit_episodes, 1);
            self.state.emit(|| Event::LimitReached(limit));
        }
    }

    /// Resets the pause after an accepted connection. The limit stays active.
    pub(super) fn progress(&mut self) {
        self.pause = FIRST_PAUSE;
        self.failures = 0;
    }

    /// Resets the count of errors in a row after the listener was stopped.
    pub(super) fn restart(&mut self) {
        self.failures = 0;
    }

    /// Counts an error other than those of a limit. Returns true if so many have occurred in a row
    /// that the accept loop pauses.
    pub(super) fn count_failure(&mut self) -> bool {
        self.failures = self.failures.saturating_add(1);
        self.failures >= FIRST_ERROR_WITH_PAUSE
    }

    /// Ends the active limit after [`CALM_TIME`] in which no client has waited.
    pub(super) fn poll_calm(&mut self, cx: &mut Context<'_>) {
        if self.limit.is_none() {
            return;
        }
        let clock = &self.state.clock;
        let calm = self.calm.get_or_insert_with(|| clock.sleep(CALM_TIME));
        if Pin::new(calm).poll(cx).is_ready() {
            self.end();
        }
    }

    /// Ends the active limit, if there is one.
    pub(super) fn end(&mut self) {
        self.calm = None;
        if let Some(limit) = self.limit.take() {
            self.state.emit(|| Event::LimitOver(limit));
        }
    }

    /// Returns the next pause, and doubles the one after it up to [`MAX_PAUSE`].
    pub(super) fn pause(&mut self) -> Sleep {
        let pause = self.pause;
        self.pause = (pause * 2).min(MAX_PAUSE);
        self.state.clock.sleep(pause)
    }
}
