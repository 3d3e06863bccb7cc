//! What keeps connections from being accepted, and for how long.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use rustix::io::Errno;

use super::event::{Event, Limit};
use super::state::State;
use crate::error::Error;
use crate::stats::count;
use crate::time::Sleep;

/// Errors of single connections that are passed over at once, in a row.
const PASSED_OVER: u32 = 32;
/// The first pause after an error that a pause may help with; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How long nobody may be held back before an episode is over: clients that come one after
/// another meet a limit of one each time, and are one episode.
const CALM: Duration = Duration::from_secs(1);

/// Why an accept did not give a connection, as far as the server can go on. See accept(2).
#[derive(Clone, Copy)]
pub(super) enum AcceptError {
    /// Something with this one connection: the next may do better.
    Connection,
    /// A resource is used up: waiting may help.
    Limit(Limit),
}

/// A time in which a limit holds connections back: said once when it begins, once when it is over.
pub(super) struct LimitEpisode<'a> {
    state: &'a State,
    limit: Option<Limit>,
    /// How long to wait at the next error that a pause may help with.
    pause: Duration,
    /// Errors since the last connection, or since the listener was stopped, that were not a limit's.
    failures: u32,
    /// Runs from when nobody waits any more; met again, the limit stops it.
    calm: Option<Sleep>,
}

impl AcceptError {
    /// None: no retry mends it.
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
            // Linux hands the network errors of the new connection to accept.
            Some(
                Errno::CONNABORTED
                | Errno::CONNRESET
                | Errno::INTR
                | Errno::PROTO
                | Errno::PERM
                // A security module's rules, which may change while the server runs.
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

impl<'a> LimitEpisode<'a> {
    pub(super) fn new(state: &'a State) -> Self {
        Self {
            state,
            limit: None,
            pause: FIRST_PAUSE,
            failures: 0,
            calm: None,
        }
    }

    pub(super) fn begin(&mut self, limit: Limit) {
        self.calm = None;
        if self.limit != Some(limit) {
            self.end();
            self.limit = Some(limit);
            count(&self.state.registry.counters.limit_episodes, 1);
            self.state.emit(|| Event::LimitReached(limit));
        }
    }

    /// A connection got through; others may still be held back.
    pub(super) fn progress(&mut self) {
        self.pause = FIRST_PAUSE;
        self.failures = 0;
    }

    /// The listener is stopped: errors in a row are counted afresh.
    pub(super) fn restart(&mut self) {
        self.failures = 0;
    }

    /// Counts an error that is not a limit's, and says whether so many have come in a row that
    /// the next accept waits.
    pub(super) fn persists(&mut self) -> bool {
        self.failures = self.failures.saturating_add(1);
        self.failures >= PASSED_OVER
    }

    /// Nobody waits to be accepted: when that has lasted, the episode is over.
    pub(super) fn poll_calm(&mut self, cx: &mut Context<'_>) {
        if self.limit.is_none() {
            return;
        }
        let clock = &self.state.clock;
        let calm = self.calm.get_or_insert_with(|| clock.sleep(CALM));
        if Pin::new(calm).poll(cx).is_ready() {
            self.end();
        }
    }

    /// Nobody is held back any more, by this limit at least.
    pub(super) fn end(&mut self) {
        self.calm = None;
        if let Some(limit) = self.limit.take() {
            self.state.emit(|| Event::LimitOver(limit));
        }
    }

    pub(super) fn pause(&mut self) -> Sleep {
        let pause = self.pause;
        self.pause = (pause * 2).min(LONGEST_PAUSE);
        self.state.clock.sleep(pause)
    }
}
