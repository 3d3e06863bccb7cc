//! The deadlines of one connection: its task looks at them when one of them may have come.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use crate::connection::{DeadlineCheck, Phase, Record};
use crate::limits::Timeouts;
use crate::polling::poll_for_task;
use crate::reason::Reason;
use crate::time::{Clock, Sleep, Stamp};

/// The time over which a minimum rate is an average.
const WINDOW: Duration = Duration::from_secs(5);
/// How soon a window is looked at again that does not go on at present.
const AGAIN: Duration = Duration::from_secs(1);

/// What a connection's task holds while the connection has deadlines. Data that flows does not
/// touch it: a connection that is found to have been active is looked at again later.
pub(super) struct Watch {
    timeouts: Timeouts,
    /// When the connection reaches its lifetime.
    old: Stamp,
    window: Window,
    /// Reminds the task of us.
    sleep: Option<Sleep>,
    /// A deadline has passed, and the stream is being tried once more before that counts.
    tried: bool,
}

/// What the peer's rate is measured from.
struct Window {
    bytes_in: u64,
    /// How long the handler had waited for more.
    waited: Duration,
}

impl Watch {
    /// `lifetime` counts from accept.
    pub(super) fn new(record: &Record, timeouts: Timeouts, lifetime: Option<Duration>) -> Self {
        let opened = record.opened();
        if timeouts.min_rate.is_some() {
            record.measure_input_wait();
        }
        Self {
            timeouts,
            old: lifetime.map_or(Stamp::NEVER, |lifetime| opened + lifetime),
            window: Window::new(record, opened),
            sleep: None,
            tried: false,
        }
    }

    /// When to look next, as things are now.
    fn next(&self, record: &Record, now: Stamp) -> Stamp {
        let timeouts = &self.timeouts;
        let phase = record.phase();
        if phase == Phase::Closing && record.is_flushed() {
            // What lingers has a bound of its own.
            return Stamp::NEVER;
        }
        let handshake = timeouts.handshake.filter(|_| phase == Phase::Handshake);
        let handshake = handshake.map(|timeout| record.opened() + timeout);
        let idle = timeouts.idle.map(|timeout| record.active() + timeout);
        let window = timeouts.min_rate.map(|_| self.window.end(record, now));
        let dues = [handshake, idle, window].into_iter().flatten();
        dues.fold(self.old, Stamp::min)
    }

    /// Why its time is over, if it is.
    fn over(&mut self, record: &Record, now: Stamp) -> Option<Reason> {
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
                .is_some_and(|limit| past(record.opened(), limit))
        {
            return Some(Reason::Handshake);
        }
        if now >= self.old {
            return Some(Reason::Lifetime);
        }
        if timeouts
            .idle
            .is_some_and(|limit| past(record.active(), limit))
        {
            return Some(Reason::Idle);
        }
        let rate = timeouts.min_rate?;
        if self.window.length(record, now) >= WINDOW {
            let bytes = record.bytes_in() - self.window.bytes_in;
            if phase == Phase::Open && bytes > 0 && bytes < rate.saturating_mul(WINDOW.as_secs()) {
                return Some(Reason::MinRate);
            }
            self.window = Window::new(record, now);
        }
        None
    }
}

impl DeadlineCheck for Watch {
    fn check(&mut self, record: &Arc<Record>, clock: &Clock, task: &Waker) -> bool {
        let waker = Waker::from(record.clone());
        let mut cx = Context::from_waker(&waker);
        loop {
            // Not coarse: it would be behind the sleep, which then would have to be made again.
            let now = clock.exact_stamp();
            match self.over(record, now) {
                // Input that came in time may be in the kernel still: the handler is polled once more.
                Some(_) if !self.tried => {
                    self.tried = true;
                    record.retry_read_and_recheck();
                    return true;
                }
                // Closing takes its time already.
                Some(reason) if record.phase() == Phase::Closing => {
                    record.abort(reason);
                    return false;
                }
                Some(reason) => {
                    record.close(reason);
                    return false;
                }
                None => self.tried = false,
            }
            let due = self.next(record, now);
            if due == Stamp::NEVER || record.verdict().is_some() {
                return false;
            }
            let sleep = Pin::new(self.sleep.insert(clock.sleep(due.since(now))));
            if poll_for_task(task, &waker, || sleep.poll(&mut cx)).is_pending() {
                return true;
            }
        }
    }
}

impl Window {
    fn new(record: &Record, now: Stamp) -> Self {
        Self {
            bytes_in: record.bytes_in(),
            waited: record.input_wait(now),
        }
    }

    /// How long it is: only time counts in which the handler waits for more of something.
    fn length(&self, record: &Record, now: Stamp) -> Duration {
        record.input_wait(now).saturating_sub(self.waited)
    }

    /// When it is to be looked at.
    fn end(&self, record: &Record, now: Stamp) -> Stamp {
        let left = WINDOW.saturating_sub(self.length(record, now));
        if record.is_awaiting_input() {
            return now + left;
        }
        now + left.max(AGAIN)
    }
}
