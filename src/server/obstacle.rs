//! What keeps connections from being accepted, and for how long.

use std::io;
use std::time::Duration;

use rustix::io::Errno;

use super::event::{Event, Limit};
use super::state::State;
use crate::stats::count;

/// The first pause after an error of the system's limits; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Why an accept did not give a connection, as far as the server can go on. See accept(2).
#[derive(Clone, Copy)]
pub(super) enum Obstacle {
    /// Something with this one connection: the next may do better.
    Connection,
    /// A resource is used up: waiting may help.
    Limit(Limit),
}

/// A time in which a limit holds connections back: said once when it begins, once when it is over.
pub(super) struct Episode<'a> {
    state: &'a State,
    limit: Option<Limit>,
    pause: Duration,
}

impl Obstacle {
    pub(super) fn full(most: usize) -> Self {
        Self::Limit(Limit::MaxConnections(most))
    }

    /// None: no retry mends it.
    pub(super) fn of(error: &io::Error) -> Option<Self> {
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

impl<'a> Episode<'a> {
    pub(super) fn new(state: &'a State) -> Self {
        Self {
            state,
            limit: None,
            pause: FIRST_PAUSE,
        }
    }

    pub(super) fn begin(&mut self, obstacle: Obstacle) {
        let Obstacle::Limit(limit) = obstacle else {
            return;
        };
        if self.limit != Some(limit) {
            self.limit = Some(limit);
            count(&self.state.registry.counters.limit_episodes, 1);
            self.state.emit(|| Event::LimitReached(limit));
        }
    }

    /// A connection got through; others may still be held back.
    pub(super) fn progress(&mut self) {
        self.pause = FIRST_PAUSE;
    }

    /// Nobody waits to be accepted.
    pub(super) fn end(&mut self) {
        if let Some(limit) = self.limit.take() {
            self.state.emit(|| Event::LimitOver(limit));
        }
    }

    pub(super) async fn pause(&mut self) {
        let pause = self.pause;
        self.pause = (pause * 2).min(LONGEST_PAUSE);
        self.state.home.clock.sleep(pause).await;
    }
}
