//! Two decisions of a worker: when to wake another one to share its tasks, and when to yield its
//! CPU before it waits for the reactor.

use std::time::{Duration, Instant};

/// The least amount of queued work that is shared, in time.
const MIN_SHARED_WORK: Duration = Duration::from_micros(50);
/// The weight of a turn in the average, as a negative power of two: a quarter.
const TURN_WEIGHT_SHIFT: u32 = 2;
/// The number of misses up to which a worker yields before every wait.
const FREE_MISSES: u32 = 2;
/// The number of misses at which the count stops: 1,024 short waits between two yields.
const MAX_MISSES: u32 = FREE_MISSES + 11;
/// The longest wait that counts as short. A yield that takes longer gave the CPU to another busy
/// thread.
const MAX_SHORT_WAIT: Duration = Duration::from_micros(100);

/// Decides when a second worker is worth its wake-up: measures the time that a task takes, averaged
/// over the last turns.
#[derive(Debug)]
pub(super) struct SharePolicy {
    turn_start: Instant,
    nanos_per_task: u64,
}

impl SharePolicy {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            turn_start: now,
            nanos_per_task: 0,
        }
    }

    pub(super) fn begin_turn(&mut self, now: Instant) {
        self.turn_start = now;
    }

    /// Records the number of tasks that have run since the turn began.
    pub(super) fn end_turn(&mut self, now: Instant, tasks: usize) {
        let nanos = now.saturating_duration_since(self.turn_start).as_nanos();
        let nanos = u64::try_from(nanos).unwrap_or(u64::MAX);
        let Some(each) = nanos.checked_div(tasks as u64) else {
            return;
        };
        let old = self.nanos_per_task;
        self.nanos_per_task = old - (old >> TURN_WEIGHT_SHIFT) + (each >> TURN_WEIGHT_SHIFT);
        self.turn_start = now;
    }

    /// Returns true if the queued tasks take long enough to be shared.
    pub(super) fn is_worth_sharing(&self, queued: usize) -> bool {
        let queued = u64::try_from(queued).unwrap_or(u64::MAX);
        let nanos = self.nanos_per_task.saturating_mul(queued);
        queued > 0 && Duration::from_nanos(nanos) >= MIN_SHARED_WORK
    }
}

/// Decides whether a worker yields its CPU once before it waits for the reactor.
///
/// A client on the same CPU sends its next request during the yield, which saves a sleep and a
/// wake-up. A yield that finds no work, or takes long, is a miss. After a few misses, the next
/// yield comes only after a number of waits so short that a yield might have replaced them; each
/// further miss doubles that number.
#[derive(Debug, Default)]
pub(super) struct YieldPolicy {
    /// Misses minus later hits.
    misses: u32,
    /// The number of short waits until the next yield.
    waits_left: u32,
}

impl YieldPolicy {
    /// Returns true if the worker yields before this wait.
    pub(super) fn is_due(&self) -> bool {
        self.waits_left == 0
    }

    /// Records the duration of a yield, and whether there was work after it.
    pub(super) fn record_yield(&mut self, duration: Duration, found_work: bool) {
        self.misses = if found_work && duration <= MAX_SHORT_WAIT {
            self.misses.saturating_sub(1)
        } else {
            MAX_MISSES.min(self.misses + 1)
        };
        self.waits_left = match self.misses.checked_sub(FREE_MISSES) {
            None | Some(0) => 0,
            Some(more) => 1 << (more - 1),
        };
    }

    /// Records the duration of a wait without a yield before it.
    pub(super) fn record_wait(&mut self, duration: Duration) {
        if duration <= MAX_SHORT_WAIT {
            self.waits_left = self.waits_left.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time;

    const SHORT_WAIT: Duration = Duration::from_micros(1);

    /// The policy after many turns with tasks of this duration.
    fn share_policy(each: Duration) -> SharePolicy {
        let mut now = time::now();
        let mut policy = SharePolicy::new(now);
        for _ in 0..100 {
            now += 3 * each;
            policy.end_turn(now, 3);
        }
        policy
    }

    /// Makes short waits until the next yield is due, and returns their number.
    fn waits_until_due(policy: &mut YieldPolicy) -> u32 {
        let mut waits = 0;
        while !policy.is_due() {
            policy.record_wait(MAX_SHORT_WAIT);
            waits += 1;
        }
        waits
    }

    #[test]
    fn short_tasks_are_shared_if_there_are_many() {
        let policy = share_policy(Duration::from_micros(5));
        assert!(!policy.is_worth_sharing(9));
        assert!(policy.is_worth_sharing(12));
    }

    #[test]
    fn one_long_task_is_shared() {
        let policy = share_policy(Duration::from_micros(100));
        assert!(policy.is_worth_sharing(1));
        assert!(!policy.is_worth_sharing(0), "an empty queue is not");
    }

    #[test]
    fn a_turn_without_tasks_leaves_the_average() {
        let mut policy = share_policy(Duration::from_micros(100));
        policy.end_turn(time::now() + Duration::from_secs(1), 0);
        assert!(policy.is_worth_sharing(1));
    }

    #[test]
    fn yields_that_find_work_are_always_due() {
        let mut policy = YieldPolicy::default();
        for n in 0..1000 {
            assert!(policy.is_due(), "{n}");
            policy.record_yield(MAX_SHORT_WAIT, true);
        }
    }

    #[test]
    fn misses_double_the_waits_between_yields_up_to_1024() {
        let mut policy = YieldPolicy::default();
        let waits = (0..15).map(|_| {
            policy.record_yield(SHORT_WAIT, false);
            waits_until_due(&mut policy)
        });
        let doubled = (0..11).map(|n| 1 << n).chain([1024, 1024]);
        assert_eq!(
            waits.collect::<Vec<_>>(),
            [0, 0].into_iter().chain(doubled).collect::<Vec<_>>()
        );
    }

    #[test]
    fn a_long_yield_is_a_miss() {
        let mut policy = YieldPolicy::default();
        for _ in 0..=FREE_MISSES {
            policy.record_yield(MAX_SHORT_WAIT + Duration::from_nanos(1), true);
        }
        assert!(!policy.is_due());
        policy.record_wait(MAX_SHORT_WAIT + Duration::from_nanos(1));
        assert!(!policy.is_due(), "a long wait does not count");
        policy.record_wait(MAX_SHORT_WAIT);
        assert!(policy.is_due());
    }

    #[test]
    fn a_yield_that_finds_work_halves_the_waits() {
        let mut policy = YieldPolicy::default();
        for _ in 0..FREE_MISSES + 3 {
            policy.record_yield(SHORT_WAIT, false);
        }
        assert_eq!(waits_until_due(&mut policy), 4);
        policy.record_yield(SHORT_WAIT, true);
        assert_eq!(waits_until_due(&mut policy), 2);
    }
}
