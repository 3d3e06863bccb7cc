//! The deadlines of one connection. Its task checks them when one may have passed.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

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
    timeouts: Timeouts,
    /// The end of the lifetime.
    lifetime_end: Stamp,
    window: RateWindow,
    /// Wakes the task for the next check.
    sleep: Option<Sleep>,
    /// True while the handler is polled once more after a deadline has passed, before that counts.
    retried: bool,
}

/// The start of the current measurement of the peer's rate.
struct RateWindow {
    bytes_in: u64,
    /// The time that the handler had waited for input.
    waited: Duration,
}

impl Deadlines {
    /// `lifetime` is counted from the accept.
    pub(super) fn new(record: &Record, timeouts: Timeouts, lifetime: Option<Duration>) -> Self {
        let opened = record.opened();
        if timeouts.min_rate.is_some() {
            record.measure_input_wait();
        }
        Self {
            timeouts,
            lifetime_end: lifetime.map_or(Stamp::NEVER, |lifetime| opened + lifetime),
            window: RateWindow::new(record, opened),
            sleep: None,
            retried: false,
        }
    }

    /// Returns the time of the next check.
    fn next_check(&self, record: &Record, now: Stamp) -> Stamp {
        let timeouts = &self.timeouts;
        let phase = record.phase();
        if phase == Phase::Closing && record.is_flushed() {
            // Lingering has its own time limit.
            return Stamp::NEVER;
        }
        let handshake = timeouts.handshake.filter(|_| phase == Phase::Handshake);
        let handshake = handshake.map(|timeout| record.handshake_began() + timeout);
        let idle = timeouts.idle.map(|timeout| record.active() + timeout);
        let window = timeouts
            .min_rate
            .map(|_| self.window.next_check(record, now));
        let times = [handshake, idle, window].into_iter().flatten();
        times.fold(self.lifetime_end, Stamp::min)
    }

    /// Returns the reason of a deadline that has passed, if there is one.
    fn passed(&mut self, record: &Record, now: Stamp) -> Option<Reason> {
        let timeouts = &self.timeouts;
        let phase = record.phase();
        if phase == Phase::Closing && record.is_flushed() {
            return None;
        }
        let past = |start: Stamp, timeout: Duration| now >= start + timeout;
        let shaking = phase == Phase::Handshake;
        if shaking
            && timeouts
                .handshake
                .is_some_and(|limit| past(record.handshake_began(), limit))
        {
            return Some(Reason::Handshake);
        }
        if now >= self.lifetime_end {
            return Some(Reason::Lifetime);
        }
        if timeouts
            .idle
            .is_some_and(|limit| past(record.active(), limit))
        {
            return Some(Reason::Idle);
        }
        let rate = timeouts.min_rate?;
        if self.window.length(record, now) >= RATE_WINDOW {
            let bytes = record.bytes_in() - self.window.bytes_in;
            if phase == Phase::Open
                && bytes > 0
                && bytes < rate.saturating_mul(RATE_WINDOW.as_secs())
            {
                return Some(Reason::MinRate);
            }
            self.window = RateWindow::new(record, now);
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
            // A coarse stamp would be behind the sleep, and the sleep would have to start again.
            let now = clock.exact_stamp();
            match self.passed(record, now) {
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
            let next = self.next_check(record, now);
            if next == Stamp::NEVER || record.ending().is_some() {
                return false;
            }
            let sleep = Pin::new(self.sleep.insert(clock.sleep(next.since(now))));
            if poll_for_task(task, &waker, || sleep.poll(&mut cx)).is_pending() {
                return true;
            }
        }
    }
}

impl RateWindow {
    fn new(record: &Record, now: Stamp) -> Self {
        Self {
            bytes_in: record.bytes_in(),
            waited: record.input_wait(now),
        }
    }

    /// Returns the length of the window: the time in which the handler waited for the rest of a
    /// message.
    fn length(&self, record: &Record, now: Stamp) -> Duration {
        record.input_wait(now).saturating_sub(self.waited)
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
