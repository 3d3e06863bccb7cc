//! The deadlines of one connection. Its task checks them when one may have passed.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use super::registry::Registry;
use crate::connection::{DeadlineCheck, Phase, Record};
use crate::limits::Timeouts;
use crate::polling::poll_for_task;
use crate::reason::Reason;
use crate::time::{Clock, Sleep, Stamp};

/// The waiting time over which the minimum rate is an average.
const RATE_WINDOW: Duration = Duration::from_secs(5);
/// The time after which a window that is paused is checked again.
const PAUSED_WINDOW_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The deadlines that the task of a connection checks. Reads and writes do not change them: a check
/// that finds activity sets a later time for the next check.
pub(super) struct Deadlines {
    /// Has the timeouts, which may change.
    registry: Arc<Registry>,
    /// The factor for the lifetime.
    jitter: f64,
    /// The current measurement, if there is a minimum rate.
    window: Option<RateWindow>,
    /// Wakes the task for the next check.
    sleep: Option<Sleep>,
    /// True while the handler is polled once more after a deadline has passed, before that counts.
    retried: bool,
}

/// The start of the current measurement of the peer's rate.
struct RateWindow {
    /// The minimum, in bytes per second.
    rate: u64,
    bytes_in: u64,
    /// The time that the handler had waited for input.
    waited: Duration,
}

impl Deadlines {
    pub(super) fn new(
        record: &Record,
        timeouts: &Timeouts,
        registry: Arc<Registry>,
        jitter: f64,
        now: Stamp,
    ) -> Self {
        let mut this = Self {
            registry,
            jitter,
            window: None,
            sleep: None,
            retried: false,
        };
        this.follow(timeouts, record, now);
        this
    }

    /// Begins a new measurement if there is a new minimum rate.
    fn follow(&mut self, timeouts: &Timeouts, record: &Record, now: Stamp) {
        let rate = timeouts.min_rate;
        if self.window.as_ref().map(|window| window.rate) != rate {
            if rate.is_some() {
                record.measure_input_wait();
            }
            self.window = rate.map(|rate| RateWindow::new(rate, record, now));
        }
    }

    /// Returns the deadlines that do not depend on a rate, in the order in which they are judged.
    fn times(
        &self,
        timeouts: &Timeouts,
        record: &Record,
    ) -> impl Iterator<Item = (Reason, Stamp)> + use<> {
        let shaking = record.phase() == Phase::Handshake;
        let handshake = timeouts.handshake.filter(|_| shaking);
        let idle = timeouts.idle.filter(|_| record.may_be_idle());
        let lifetime = timeouts.lifetime.map(|time| time.mul_f64(self.jitter));
        let times = [
            handshake.map(|time| (Reason::Handshake, record.handshake_began() + time)),
            lifetime.map(|time| (Reason::Lifetime, record.opened() + time)),
            idle.map(|time| (Reason::Idle, record.active() + time)),
        ];
        times.into_iter().flatten()
    }

    /// Returns the time of the next check.
    fn next_check(&self, timeouts: &Timeouts, record: &Record, now: Stamp) -> Stamp {
        let window = self.window.as_ref();
        let window = window.map_or(Stamp::NEVER, |window| window.next_check(record, now));
        let times = self.times(timeouts, record).map(|(_, time)| time);
        times.fold(window, Stamp::min)
    }

    /// Returns the reason of a deadline that has passed, if there is one.
    fn passed(&mut self, timeouts: &Timeouts, record: &Record, now: Stamp) -> Option<Reason> {
        let mut times = self.times(timeouts, record);
        if let Some((reason, _)) = times.find(|&(_, time)| now >= time) {
            return Some(reason);
        }
        let window = self.window.as_mut()?;
        if window.length(record, now) >= RATE_WINDOW {
            if record.phase() == Phase::Open && window.is_too_slow(record) {
                return Some(Reason::MinRate);
            }
            *window = RateWindow::new(window.rate, record, now);
        }
        None
    }
}

impl DeadlineCheck for Deadlines {
    fn check(&mut self, record: &Arc<Record>, clock: &Clock, task: &Waker) -> bool {
        record.measure_lent();
        let waker = Waker::from(record.clone());
        let mut cx = Context::from_waker(&waker);
        loop {
            // Lingering has its own time limit.
            if record.is_lingering() {
                return false;
            }
            let timeouts = self.registry.settings.timeouts();
            // A coarse stamp would be behind the sleep, and the sleep would have to start again.
            let now = clock.exact_stamp();
            self.follow(&timeouts, record, now);
            match self.passed(&timeouts, record, now) {
                // Input that arrived in time may still be in the kernel: poll the handler once
                // more.
                Some(_) if !self.retried => {
                    self.retried = true;
                    record.assume_readable_and_recheck();
                    return true;
                }
                // The connection is closing already: reset it.
                Some(reason) if record.phase() == Phase::Closing => {
                    record.abort(reason);
                    return false;
                }
                Some(reason) => {
                    record.close(reason);
                    return false;
                }
                None => self.retried = false,
            }
            let next = self.next_check(&timeouts, record, now);
            if next == Stamp::NEVER || record.ending().is_some() {
                return false;
            }
            let sleep = Pin::new(self.sleep.insert(clock.sleep(next.since(now))));
            if poll_for_task(task, &waker, || sleep.poll(&mut cx)).is_pending() {
                return true;
            }
        }
    }

    fn next(&self, record: &Record, now: Stamp) -> Option<(Reason, Stamp)> {
        let timeouts = self.registry.settings.timeouts();
        let window = self.window.as_ref();
        let rate = window
            .filter(|window| record.is_awaiting_input() && window.is_too_slow(record))
            .map(|window| (Reason::MinRate, window.next_check(record, now)));
        let times = self.times(&timeouts, record).chain(rate);
        times.min_by_key(|&(_, time)| time)
    }
}

impl RateWindow {
    fn new(rate: u64, record: &Record, now: Stamp) -> Self {
        Self {
            rate,
            bytes_in: record.bytes_in(),
            waited: record.input_wait(now),
        }
    }

    /// Returns the length of the window: the time in which the handler waited for the rest of a
    /// message.
    fn length(&self, record: &Record, now: Stamp) -> Duration {
        record.input_wait(now).saturating_sub(self.waited)
    }

    /// Returns true if the peer has sent something, but less than the rate demands.
    fn is_too_slow(&self, record: &Record) -> bool {
        let bytes = record.bytes_in() - self.bytes_in;
        bytes > 0 && bytes < self.rate.saturating_mul(RATE_WINDOW.as_secs())
    }

    /// Returns the time of the next check.
    fn next_check(&self, record: &Record, now: Stamp) -> Stamp {
        let left = RATE_WINDOW.saturating_sub(self.length(record, now));
        if record.is_awaiting_input() {
            return now + left;
        }
        now + left.max(PAUSED_WINDOW_CHECK_INTERVAL)
    }
}
