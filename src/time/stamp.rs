//! Cheap, coarse readings of a clock, for the time stamp of each read and write.

use std::cell::Cell;
use std::ops::Add;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// A moment, in nanoseconds since an unspecified origin. Only differences of stamps have a meaning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stamp(u64);

/// A stamp that one thread stores and several threads read.
#[derive(Debug)]
pub(crate) struct AtomicStamp(AtomicU64);

impl Stamp {
    /// Later than every other stamp.
    pub(crate) const NEVER: Self = Self(u64::MAX);

    /// The system's monotonic clock at its last tick: a few milliseconds late at most, and several
    /// times cheaper than `Instant::now`.
    pub(super) fn coarse() -> Self {
        #[cfg(target_os = "linux")]
        return Self::read(ClockId::MonotonicCoarse);
        #[cfg(not(target_os = "linux"))]
        Self::exact()
    }

    /// The same clock at this moment.
    pub(super) fn exact() -> Self {
        Self::read(ClockId::Monotonic)
    }

    fn read(clock: ClockId) -> Self {
        let now = clock_gettime(clock);
        Self((now.tv_sec * 1_000_000_000 + now.tv_nsec).unsigned_abs())
    }

    /// The stamp at this time after the origin.
    pub(super) fn after_origin(elapsed: Duration) -> Self {
        Self(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX))
    }

    /// The stamp at this time before this one.
    pub(crate) fn before(self, duration: Duration) -> Self {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_sub(nanos))
    }

    /// The time since `earlier`, or zero if that stamp is later.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Stamp {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }
}

impl AtomicStamp {
    pub(crate) fn new(stamp: Stamp) -> Self {
        Self(AtomicU64::new(stamp.0))
    }

    pub(crate) fn set(&self, stamp: Stamp) {
        self.0.store(stamp.0, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> Stamp {
        Stamp(self.0.load(Ordering::Relaxed))
    }
}

thread_local! {
    static TURN: Cell<TurnStamp> = const { Cell::new(TurnStamp::NoTurns) };
}

/// The stamp of the current turn of a thread's loop.
#[derive(Clone, Copy)]
enum TurnStamp {
    /// The thread has no loop that reports its turns.
    NoTurns,
    /// The clock has not been read in this turn.
    Unread,
    Read(Stamp),
}

/// Makes a thread read the clock only once per turn of its loop, while this value lives. The drop
/// restores the state before.
#[cfg_attr(
    not(all(target_os = "linux", not(halves_portable))),
    allow(dead_code, reason = "the loops of other executors report no turns")
)]
pub(crate) struct TurnClock(TurnStamp);

#[cfg_attr(
    not(all(target_os = "linux", not(halves_portable))),
    allow(dead_code, reason = "the loops of other executors report no turns")
)]
impl TurnClock {
    pub(crate) fn begin() -> Self {
        Self(TURN.replace(TurnStamp::Unread))
    }

    #[allow(
        clippy::unused_self,
        reason = "only a thread with turns has a next one"
    )]
    pub(crate) fn next_turn(&self) {
        TURN.set(TurnStamp::Unread);
    }

    #[inline(always)]
    pub(super) fn stamp() -> Stamp {
        match TURN.get() {
            TurnStamp::Read(stamp) => stamp,
            TurnStamp::Unread => Self::read(),
            TurnStamp::NoTurns => Stamp::coarse(),
        }
    }

    #[cold]
    fn read() -> Stamp {
        let stamp = Stamp::coarse();
        TURN.set(TurnStamp::Read(stamp));
        stamp
    }
}

impl Drop for TurnClock {
    fn drop(&mut self) {
        TURN.set(self.0);
    }
}
