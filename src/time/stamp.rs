//! Cheap, coarse readings of a clock, for stamping each read and write.

use std::ops::Add;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// A moment, as nanoseconds since an origin that only differences know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stamp(u64);

/// A stamp that is stored by one and read by many.
#[derive(Debug)]
pub(crate) struct AtomicStamp(AtomicU64);

impl Stamp {
    /// Never reached.
    pub(crate) const NEVER: Self = Self(u64::MAX);

    /// The machine's monotonic clock, as of its last tick: some milliseconds late at most, and
    /// several times cheaper than `Instant::now`.
    pub(super) fn coarse() -> Self {
        #[cfg(target_os = "linux")]
        return Self::read(ClockId::MonotonicCoarse);
        #[cfg(not(target_os = "linux"))]
        Self::exact()
    }

    /// The same clock, as of now.
    pub(super) fn exact() -> Self {
        Self::read(ClockId::Monotonic)
    }

    fn read(clock: ClockId) -> Self {
        let now = clock_gettime(clock);
        Self((now.tv_sec * 1_000_000_000 + now.tv_nsec).unsigned_abs())
    }

    pub(super) fn after(origin: Duration) -> Self {
        Self(u64::try_from(origin.as_nanos()).unwrap_or(u64::MAX))
    }

    /// How long `earlier` was before; zero when it was not.
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
