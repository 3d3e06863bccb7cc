//! A reactor whose own thread does not get to it, and others that take events in its place.

use std::io;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, TryLockError};
use std::time::Duration;

use rustix::event::Timespec;
use rustix::event::epoll;

use super::{ALARM_CLOCK, BELL, Batch, Reactor, Source};
use crate::catch::guard_each;

/// Events that are taken at once, by anyone: the rest is left to whoever comes first.
pub(super) const FEW: usize = 8;

/// The shortest time that an alarm clock can be set to.
const AT_ONCE: Duration = Duration::from_nanos(1);

/// What a reactor has for its helpers.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// How often its own thread took events.
    turns: AtomicUsize,
    /// Held by a helper from before it takes events until it has told them.
    batch: Mutex<()>,
}

impl Shared {
    /// For the thread that drives the reactor.
    pub(super) fn count_turn(&self) {
        let turns = self.turns.load(Ordering::Relaxed);
        self.turns.store(turns.wrapping_add(1), Ordering::Relaxed);
    }
}

impl Reactor {
    /// One that other threads than its own may [`help`](Self::help).
    pub(crate) fn shared() -> io::Result<Arc<Self>> {
        Self::with(Some(Shared::default()))
    }

    /// How often its thread has taken events. As long as that stands still, the thread sleeps, or
    /// is in a long task, or waits for a CPU.
    pub(crate) fn turns(&self) -> usize {
        let turns = self.shared.as_ref().map(|shared| &shared.turns);
        turns.map_or(0, |turns| turns.load(Ordering::Relaxed))
    }

    /// Takes a few events in the place of the thread that drives it, and wakes tasks. Says whether
    /// sockets had any. What is for that thread alone, its bell and its alarm clock, rings again.
    /// Where another one helps already, there is nothing to do; and where the kernel refuses, that
    /// is for the thread to find, whose reactor it is.
    pub(crate) fn help(&self) -> bool {
        match &self.shared {
            Some(_) => self.unless_helped(|| self.take_few()).unwrap_or(false),
            None => false,
        }
    }

    fn take_few(&self) -> bool {
        let mut buffer = [const { MaybeUninit::uninit() }; FEW];
        let now = Timespec::try_from(Duration::ZERO).ok();
        let Ok((events, _)) = epoll::wait(&self.epoll, &mut buffer[..], now.as_ref()) else {
            return false;
        };
        let _batch = Batch::begin();
        let mut found = false;
        let told = events.iter().map(|event| (event.data, event.flags));
        guard_each(told, |(data, flags)| match data.u64() {
            BELL => self.bell.ring_again(),
            ALARM_CLOCK => {
                // It fails for what is no timerfd, or no time.
                let _ = self.alarm_clock.set(AT_ONCE);
            }
            _ => {
                found = true;
                Source::tell(data, flags);
            }
        });
        found
    }

    /// Does something, unless a helper may have events that it has not told yet; nobody begins to
    /// help meanwhile.
    pub(super) fn unless_helped<T>(&self, does: impl FnOnce() -> T) -> Option<T> {
        let Some(shared) = &self.shared else {
            return Some(does());
        };
        let _alone = match shared.batch.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(error)) => error.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        Some(does())
    }
}
