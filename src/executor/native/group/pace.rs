//! Measures how long tasks take, to tell when a second worker is worth its wake-up.

use std::time::{Duration, Instant};

/// Queued work that is shared, in time.
const SHARE: Duration = Duration::from_micros(50);
/// The weight of earlier tasks against those of the last turn, as a power of two.
const SHIFT: u32 = 2;

/// The time that a task takes, averaged over the last turns.
#[derive(Debug)]
pub(super) struct Pace {
    start: Instant,
    nanos_per_task: u64,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            start: now,
            nanos_per_task: 0,
        }
    }

    /// A turn begins.
    pub(super) fn begin(&mut self, now: Instant) {
        self.start = now;
    }

    /// So many tasks have run since the turn began.
    pub(super) fn end(&mut self, now: Instant, tasks: usize) {
        let nanos = now.saturating_duration_since(self.start).as_nanos();
        let nanos = u64::try_from(nanos).unwrap_or(u64::MAX);
        let Some(each) = nanos.checked_div(tasks as u64) else {
            return;
        };
        let old = self.nanos_per_task;
        self.nanos_per_task = old - (old >> SHIFT) + (each >> SHIFT);
        self.start = now;
    }

    /// Whether so many queued tasks take long enough to be shared.
    pub(super) fn is_worth_sharing(&self, queued: usize) -> bool {
        let queued = u64::try_from(queued).unwrap_or(u64::MAX);
        let nanos = self.nanos_per_task.saturating_mul(queued);
        queued > 0 && Duration::from_nanos(nanos) >= SHARE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time;

    /// After many turns with tasks of this length.
    fn pace(each: Duration) -> Pace {
        let mut now = time::now();
        let mut pace = Pace::new(now);
        for _ in 0..100 {
            now += 3 * each;
            pace.end(now, 3);
        }
        pace
    }

    #[test]
    fn short_tasks_are_shared_when_there_are_many() {
        let pace = pace(Duration::from_micros(5));
        assert!(!pace.is_worth_sharing(9));
        assert!(pace.is_worth_sharing(12));
    }

    #[test]
    fn one_long_task_is_shared_and_none_is_not() {
        let pace = pace(Duration::from_micros(100));
        assert!(pace.is_worth_sharing(1));
        assert!(!pace.is_worth_sharing(0));
    }

    #[test]
    fn a_turn_without_tasks_changes_nothing() {
        let mut pace = pace(Duration::from_micros(100));
        pace.end(time::now() + Duration::from_secs(1), 0);
        assert!(pace.is_worth_sharing(1));
    }
}
