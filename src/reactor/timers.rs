//! Alarms: each waits in the queue of the worker that polled it. One timerfd for each queue
//! expires at the earliest deadline.
//!
//! A queue has a lock: an alarm may be dropped on any thread, and any thread that polls the reactor
//! wakes the alarms of a worker that is busy or parked.

use std::collections::BTreeMap;
use std::io;
use std::iter;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use rustix::event::Timespec;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime,
};

use super::{Reactor, lock};
use crate::catch::catch_each;

/// The largest number of alarms that one expiry wakes. For the rest the timer expires again at
/// once.
pub(super) const MAX_WAKES_PER_EXPIRY: usize = 256;
/// The shortest time that a timerfd can be set to: zero disarms it.
const MIN_TIMEOUT: Duration = Duration::from_nanos(1);

/// Wakes a task at a deadline. An alarm moves to the reactor of the thread that polls it, and may
/// be dropped on any thread.
#[derive(Debug)]
pub(crate) struct Alarm {
    deadline: Instant,
    entry: Option<QueueEntry>,
}

/// The position of an alarm in a queue.
#[derive(Debug)]
struct QueueEntry {
    ticket: u64,
    timers: Arc<Timers>,
}

/// The order of alarms: by deadline, and by arrival if deadlines are equal.
type Key = (Instant, u64);

/// The alarms of one worker, and the timer that expires for them.
#[derive(Debug)]
pub(super) struct Timers {
    /// The id of the reactor that the timer is registered with.
    reactor_id: usize,
    queue: Mutex<AlarmQueue>,
    timer: TimerFd,
}

#[derive(Debug, Default)]
struct AlarmQueue {
    alarms: BTreeMap<Key, Waker>,
    /// The number of alarms that have been inserted so far.
    tickets: u64,
    /// The instant at which the timer expires.
    armed_for: Option<Instant>,
}

impl Alarm {
    pub(crate) fn new(deadline: Instant) -> Self {
        Self {
            deadline,
            entry: None,
        }
    }

    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Polls the alarm; `now` is called only if the alarm does not wait in this thread's queue.
    /// Returns None if the deadline is not reached and this thread has no reactor to wake the task.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        now: impl FnOnce() -> Instant,
    ) -> Option<Poll<()>> {
        if let Some(entry) = &self.entry
            && Reactor::is_id_current(entry.timers.reactor_id)
            && entry
                .timers
                .will_wake((self.deadline, entry.ticket), cx.waker())
        {
            return Some(Poll::Pending);
        }
        // Not in this queue for this task: new, already woken, or last polled elsewhere.
        self.leave_queue();
        let now = now();
        if self.deadline <= now {
            return Some(Poll::Ready(()));
        }
        let timers = Reactor::current_timers(cx.waker())?;
        let ticket = timers.insert(self.deadline, cx.waker().clone(), now);
        self.entry = Some(QueueEntry { ticket, timers });
        Some(Poll::Pending)
    }

    fn leave_queue(&mut self) {
        if let Some(entry) = self.entry.take() {
            let waker = entry.timers.remove((self.deadline, entry.ticket));
            // Dropped after the queue is unlocked: the drop of a waker may run any code.
            drop(waker);
        }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.leave_queue();
    }
}

impl Timers {
    /// Makes an empty queue of the reactor with this id.
    pub(super) fn new(reactor_id: usize) -> io::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            reactor_id,
            queue: Mutex::default(),
            timer: TimerFd::new()?,
        }))
    }

    /// Wakes the alarms that are due, after the timer has expired. A waker may panic.
    pub(super) fn wake_due(&self, now: Instant) {
        let due: Vec<_> = {
            let mut queue = lock(&self.queue);
            let due = iter::from_fn(|| queue.pop(now))
                .take(MAX_WAKES_PER_EXPIRY)
                .collect();
            queue.armed_for = None;
            if let Some((&(first, _), _)) = queue.alarms.first_key_value() {
                self.arm(&mut queue, first, now);
            }
            due
        };
        catch_each(due, Waker::wake);
    }

    /// Wakes every alarm, to be polled again by a thread with another reactor.
    pub(super) fn wake_all(&self) {
        let alarms = std::mem::take(&mut lock(&self.queue).alarms);
        catch_each(alarms.into_values(), Waker::wake);
    }

    fn insert(&self, deadline: Instant, waker: Waker, now: Instant) -> u64 {
        let mut queue = lock(&self.queue);
        let ticket = queue.tickets;
        queue.tickets += 1;
        queue.alarms.insert((deadline, ticket), waker);
        if queue.armed_for.is_none_or(|instant| deadline < instant) {
            self.arm(&mut queue, deadline, now);
        }
        ticket
    }

    fn remove(&self, key: Key) -> Option<Waker> {
        lock(&self.queue).alarms.remove(&key)
    }

    /// Returns true if this alarm waits, and wakes the same task as `waker`.
    fn will_wake(&self, key: Key, waker: &Waker) -> bool {
        let queue = lock(&self.queue);
        let waiting = queue.alarms.get(&key);
        waiting.is_some_and(|waiting| waiting.will_wake(waker))
    }

    /// Sets the timer, while the queue is locked so that both agree.
    fn arm(&self, queue: &mut AlarmQueue, instant: Instant, now: Instant) {
        queue.armed_for = Some(instant);
        let time = instant.saturating_duration_since(now).max(MIN_TIMEOUT);
        // Fails only for a descriptor that is no timerfd, or for an invalid time.
        let _ = self.timer.set(time);
    }

    #[cfg(test)]
    pub(super) fn armed_for(&self) -> Option<Instant> {
        lock(&self.queue).armed_for
    }
}

impl AsFd for Timers {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.timer.0.as_fd()
    }
}

impl AlarmQueue {
    /// Removes and returns the first alarm if it is due.
    fn pop(&mut self, now: Instant) -> Option<Waker> {
        let first = self.alarms.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }
}

/// A timerfd that is watched edge-triggered and never read: each expiry is an edge. See
/// `timerfd_create(2)`.
///
/// A wait of epoll with a timeout sets and clears a timer of the kernel each time, which costs if
/// every message is followed by a wait. This timer stays set until it expires.
#[derive(Debug)]
struct TimerFd(OwnedFd);

impl TimerFd {
    fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        Ok(Self(timerfd_create(TimerfdClockId::Monotonic, flags)?))
    }

    /// Expires once after this time, which replaces the time set before.
    fn set(&self, time: Duration) -> io::Result<()> {
        let zero = Timespec::default();
        let once = Itimerspec {
            it_interval: zero,
            // A time too long for the kernel disarms the timer: it is longer than any other.
            it_value: Timespec::try_from(time).unwrap_or(zero),
        };
        timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &once)?;
        Ok(())
    }
}
