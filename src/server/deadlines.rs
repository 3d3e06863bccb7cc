//! The deadlines of all connections: one queue, looked at when the earliest may have come.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use atomic_waker::AtomicWaker;

use crate::connection::{Phase, Record};
use crate::stats::Reason;
use crate::time::{Clock, Sleep, Stamp};
use crate::timeout::Timeouts;

/// The time over which a minimum rate is an average.
const WINDOW: Duration = Duration::from_secs(5);
/// How soon a window is looked at again in which our own write waits.
const BLOCKED_AGAIN: Duration = Duration::from_secs(1);
/// Connections that are looked at before the queue is given to others.
const BATCH: usize = 256;

/// Connections with deadlines, in the order in which they have to be looked at next. Data that
/// flows does not touch the queue: a connection that is found to have been active is put back
/// for later.
#[derive(Default)]
pub(super) struct Deadlines {
    timeouts: Timeouts,
    queue: Mutex<BTreeMap<(Stamp, u64), Watched>>,
    /// The sleeper, which an earlier first deadline has to wake.
    sleeper: AtomicWaker,
}

struct Watched {
    record: Arc<Record>,
    /// When the connection reaches its lifetime.
    old: Stamp,
    window: Window,
}

/// What the peer's rate is measured from.
struct Window {
    start: Stamp,
    bytes_in: u64,
    blocked: Duration,
}

impl Deadlines {
    pub(super) fn new(timeouts: Timeouts) -> Self {
        Self {
            timeouts,
            ..Self::default()
        }
    }

    /// Whether any depends on when a byte last moved.
    pub(super) fn are_timed(&self) -> bool {
        self.timeouts.idle.is_some() || self.timeouts.min_rate.is_some()
    }

    /// Takes in a connection. `youth` is the part of the lifetime that is its, from 0 to 1.
    pub(super) fn admit(&self, record: &Arc<Record>, youth: impl FnOnce() -> f64) {
        if self.timeouts.always() || record.phase() == Phase::Handshake {
            let lifetime = self
                .timeouts
                .lifetime
                .map(|lifetime| lifetime.mul_f64(youth()));
            self.enqueue(Watched::new(record, lifetime), record.opened());
        }
    }

    /// A handshake has begun: its deadline may be the earliest now.
    pub(super) fn shake(&self, record: &Arc<Record>, now: Stamp) {
        let known = self.queue().remove(&(record.due.get(), record.id()));
        self.enqueue(known.unwrap_or_else(|| Watched::new(record, None)), now);
    }

    /// A connection has ended.
    pub(super) fn forget(&self, record: &Record) {
        if self.timeouts.always() || record.due.get() != Stamp::NEVER {
            let mut queue = self.queue();
            let gone = queue.remove(&(record.due.get(), record.id()));
            drop(queue);
            drop(gone);
        }
    }

    fn enqueue(&self, watched: Watched, now: Stamp) {
        let record = watched.record.clone();
        let due = watched.next(&self.timeouts, now);
        let mut queue = self.queue();
        record.due.set(due);
        // One that has ended meanwhile has been forgotten, and nobody would forget it again.
        if due == Stamp::NEVER || record.verdict().is_some() {
            return;
        }
        let first = queue
            .first_key_value()
            .is_none_or(|(&(first, _), _)| due < first);
        queue.insert((due, record.id()), watched);
        drop(queue);
        if first {
            self.sleeper.wake();
        }
    }

    /// Ends connections whose time has come, for ever.
    pub(super) async fn run<T>(&self, clock: &Clock) -> T {
        let mut sleep: Option<(Stamp, Sleep)> = None;
        poll_fn(|cx| {
            loop {
                self.sleeper.register(cx.waker());
                let now = clock.stamp();
                if self.look(now) == BATCH {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                let Some(due) = self.first() else {
                    sleep = None;
                    return Poll::Pending;
                };
                if sleep.as_ref().is_none_or(|&(until, _)| until != due) {
                    sleep = Some((due, clock.sleep(due.since(now))));
                }
                if let Some((_, sleeping)) = &mut sleep
                    && Pin::new(sleeping).poll(cx).is_pending()
                {
                    return Poll::Pending;
                }
                // A coarse stamp may be a tick behind the sleep, which is then made again.
                sleep = None;
            }
        })
        .await
    }

    /// Looks at those who are due, and says at how many.
    fn look(&self, now: Stamp) -> usize {
        for looked in 0..BATCH {
            let watched = {
                let mut queue = self.queue();
                match queue.first_entry() {
                    Some(first) if first.key().0 <= now => first.remove(),
                    _ => return looked,
                }
            };
            self.judge(watched, now);
        }
        BATCH
    }

    fn judge(&self, mut watched: Watched, now: Stamp) {
        match watched.over(&self.timeouts, now) {
            // Closing takes its time already.
            Some(reason) if watched.record.phase() == Phase::Closing => {
                watched.record.abort(reason);
            }
            Some(reason) => drop(watched.record.close(reason)),
            None => self.enqueue(watched, now),
        }
    }

    fn first(&self) -> Option<Stamp> {
        self.queue().first_key_value().map(|(&(due, _), _)| due)
    }

    fn queue(&self) -> MutexGuard<'_, BTreeMap<(Stamp, u64), Watched>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watched {
    /// `lifetime` counts from accept.
    fn new(record: &Arc<Record>, lifetime: Option<Duration>) -> Self {
        let opened = record.opened();
        Self {
            record: record.clone(),
            old: lifetime.map_or(Stamp::NEVER, |lifetime| opened + lifetime),
            window: Window::new(record, opened),
        }
    }

    /// When to look at it next, as things are now.
    fn next(&self, timeouts: &Timeouts, now: Stamp) -> Stamp {
        let record = &*self.record;
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
    fn over(&mut self, timeouts: &Timeouts, now: Stamp) -> Option<Reason> {
        let record = &*self.record;
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

impl Window {
    fn new(record: &Record, start: Stamp) -> Self {
        Self {
            start,
            bytes_in: record.bytes_in(),
            blocked: record.blocked_for(start),
        }
    }

    /// How long it is, without the time in which our own write waited for the peer.
    fn length(&self, record: &Record, now: Stamp) -> Duration {
        let blocked = record.blocked_for(now).saturating_sub(self.blocked);
        now.since(self.start).saturating_sub(blocked)
    }

    /// When it is to be looked at.
    fn end(&self, record: &Record, now: Stamp) -> Stamp {
        let left = WINDOW.saturating_sub(self.length(record, now));
        if record.is_blocked() {
            return now + left.max(BLOCKED_AGAIN);
        }
        now + left
    }
}
