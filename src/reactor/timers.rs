//! Sleeps: each waits in the queue of the worker that polled it, and its reactor's clock rings for
//! the earliest one.
//!
//! A queue has a lock, so that a sleep can be dropped on any thread, and so that any thread that
//! polls the reactor wakes the sleeps of a worker that is busy or asleep.

use std::collections::BTreeMap;
use std::io;
use std::iter;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::alarm_clock::AlarmClock;
use super::{Reactor, lock};
use crate::catch::catch_each;

/// Sleeps that are woken by one ring. The clock rings again at once for the rest.
pub(super) const BATCH: usize = 256;
/// The shortest time that a clock can be set to.
const AT_ONCE: Duration = Duration::from_nanos(1);

/// Wakes a task at an instant. It moves to the reactor of the thread that polls it, and may be
/// dropped anywhere.
#[derive(Debug)]
pub(crate) struct Alarm {
    deadline: Instant,
    place: Option<Place>,
}

/// An alarm's place in a queue.
#[derive(Debug)]
struct Place {
    ticket: u64,
    timers: Arc<Timers>,
}

/// Sleeps with the same deadline are woken in the order in which they came.
type Key = (Instant, u64);

/// The sleeps of one worker, and the clock that rings for them.
#[derive(Debug)]
pub(super) struct Timers {
    /// The reactor that the clock is registered with.
    owner: usize,
    queue: Mutex<Queue>,
    clock: AlarmClock,
}

#[derive(Debug, Default)]
struct Queue {
    sleeps: BTreeMap<Key, Waker>,
    tickets: u64,
    /// The instant at which the clock rings.
    set: Option<Instant>,
}

impl Alarm {
    pub(crate) fn new(deadline: Instant) -> Self {
        Self {
            deadline,
            place: None,
        }
    }

    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// None: it is not time yet, and this thread has no reactor that could wake the task.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        now: impl FnOnce() -> Instant,
    ) -> Option<Poll<()>> {
        if let Some(place) = &self.place
            && Reactor::is_id_current(place.timers.owner)
            && place
                .timers
                .is_for((self.deadline, place.ticket), cx.waker())
        {
            return Some(Poll::Pending);
        }
        // It was woken, or another task or thread polls it now.
        self.forget();
        let now = now();
        if self.deadline <= now {
            return Some(Poll::Ready(()));
        }
        let timers = Reactor::current_timers(cx.waker())?;
        let ticket = timers.insert(self.deadline, cx.waker().clone(), now);
        self.place = Some(Place { ticket, timers });
        Some(Poll::Pending)
    }

    fn forget(&mut self) {
        if let Some(place) = self.place.take() {
            let waker = place.timers.remove((self.deadline, place.ticket));
            // Not while the queue is locked: the drop of a waker may run any code.
            drop(waker);
        }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.forget();
    }
}

impl Timers {
    /// An empty queue of the reactor with this id.
    pub(super) fn new(owner: usize) -> io::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            owner,
            queue: Mutex::default(),
            clock: AlarmClock::new()?,
        }))
    }

    /// The clock has rung: wakes the sleeps that are due. Code of others may panic.
    pub(super) fn ring(&self, now: Instant) {
        let due: Vec<_> = {
            let mut queue = lock(&self.queue);
            let due = iter::from_fn(|| queue.pop(now)).take(BATCH).collect();
            queue.set = None;
            if let Some((&(first, _), _)) = queue.sleeps.first_key_value() {
                self.set(&mut queue, first, now);
            }
            due
        };
        catch_each(due, Waker::wake);
    }

    /// Wakes every sleep, to be polled again elsewhere.
    pub(super) fn abandon(&self) {
        let sleeps = std::mem::take(&mut lock(&self.queue).sleeps);
        catch_each(sleeps.into_values(), Waker::wake);
    }

    fn insert(&self, deadline: Instant, waker: Waker, now: Instant) -> u64 {
        let mut queue = lock(&self.queue);
        let ticket = queue.tickets;
        queue.tickets += 1;
        queue.sleeps.insert((deadline, ticket), waker);
        if queue.set.is_none_or(|set| deadline < set) {
            self.set(&mut queue, deadline, now);
        }
        ticket
    }

    fn remove(&self, key: Key) -> Option<Waker> {
        lock(&self.queue).sleeps.remove(&key)
    }

    /// Whether this sleep waits, and wakes the same task as `waker`.
    fn is_for(&self, key: Key, waker: &Waker) -> bool {
        let queue = lock(&self.queue);
        let waiting = queue.sleeps.get(&key);
        waiting.is_some_and(|waiting| waiting.will_wake(waker))
    }

    /// Under the lock, so that the clock is set to what the queue says.
    fn set(&self, queue: &mut Queue, instant: Instant, now: Instant) {
        queue.set = Some(instant);
        let time = instant.saturating_duration_since(now).max(AT_ONCE);
        // It fails only for what is no timerfd, or no time.
        let _ = self.clock.set(time);
    }

    #[cfg(test)]
    pub(super) fn set_to(&self) -> Option<Instant> {
        lock(&self.queue).set
    }
}

impl AsFd for Timers {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.clock.as_fd()
    }
}

impl Queue {
    /// The first sleep, if it is due.
    fn pop(&mut self, now: Instant) -> Option<Waker> {
        let first = self.sleeps.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }
}
