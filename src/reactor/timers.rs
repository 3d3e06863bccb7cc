//! Who sleeps on a thread that drives a reactor: a queue that this thread alone uses.
//!
//! The reactor's clock rings for the earliest, so a sleeper costs no lock, and no system call unless
//! it comes before all others. Other threads only say which sleepers they have no use for any more.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::iter;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::{Reactor, here, lock};
use crate::catch::{guard_each, quietly_drop};

/// Sleepers that are woken in one turn.
pub(super) const BATCH: usize = 256;
/// Forgotten sleepers that a waiting thread is woken for.
pub(super) const MANY_FORGOTTEN: usize = 64;

/// Wakes a task at an instant. It belongs to the thread that polls it, for as long as that drives
/// a reactor, and may be polled and dropped anywhere.
#[derive(Debug)]
pub(crate) struct Alarm {
    deadline: Instant,
    place: Option<Place>,
}

/// An alarm's place in a queue.
#[derive(Debug)]
struct Place {
    ticket: u64,
    home: Arc<Home>,
}

/// Those at the same instant in the order in which they came.
type Key = (Instant, u64);

/// The sleepers of a thread.
#[derive(Debug)]
pub(super) struct Timers {
    home: Arc<Home>,
    queue: BTreeMap<Key, Waker>,
    tickets: u64,
    /// When the clock of the reactor that the thread drives is to ring.
    set: Option<Instant>,
    /// A waker may be none of a task of the executor that drives the outermost reactor.
    outsiders: bool,
}

/// What a look at the sleepers came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Nobody's time has come, unless the clock rings.
    Asleep,
    /// The same, once the clock is set to ring in this time.
    Set(Duration),
    /// Some were woken or forgotten, and there may be more.
    Woken,
}

/// What other threads have of a thread's queue.
#[derive(Debug)]
struct Home {
    /// None once the thread has left its loop, and everyone was woken then.
    inbox: Mutex<Option<Inbox>>,
    /// There is something in the inbox.
    told: AtomicBool,
}

#[derive(Debug)]
struct Inbox {
    forgotten: Vec<Key>,
    /// The first that the thread drives. One that is driven within waits without hearing of the
    /// inbox, which then is emptied when somebody is due, at the latest.
    reactor: Weak<Reactor>,
}

thread_local! {
    /// There while the thread drives any reactor. Not borrowed while code of others runs: when
    /// wakers are called, cloned or dropped.
    static TIMERS: RefCell<Option<Timers>> = const { RefCell::new(None) };
}

/// The thread begins to drive its first reactor, with those who slept when that was left.
pub(super) fn begin(reactor: &Arc<Reactor>) {
    let sleepers = lock(&reactor.sleepers).take();
    let sleepers = sleepers.unwrap_or_else(|| Timers::new(reactor));
    TIMERS.set(Some(sleepers));
}

/// It drives one within another from now on, whose tasks sleep in the same queue.
pub(super) fn drive_within() {
    with(|timers| {
        timers.set = None;
        timers.outsiders = true;
    });
}

/// It drives none any more. Tasks of its executor sleep on until the reactor is driven again; where
/// there may be others, everyone is woken, and finds another place when polled.
pub(super) fn end(reactor: &Reactor) {
    let Some(mut timers) = TIMERS.take() else {
        return;
    };
    if timers.outsiders || timers.queue.is_empty() {
        return timers.wake_all();
    }
    timers.set = None;
    *lock(&reactor.sleepers) = Some(timers);
}

/// The clock has rung, or the thread drives another reactor now, whose clock is not set.
pub(super) fn unset() {
    with(|timers| timers.set = None);
}

/// Drops the wakers of those that were forgotten elsewhere, and wakes those whose time has come,
/// so many at most. `now` is asked only when there may be some, or when the clock is to be set,
/// which the caller does.
pub(super) fn look(now: impl FnOnce() -> Instant) -> Look {
    if with(Timers::is_quiet).unwrap_or(true) {
        return Look::Asleep;
    }
    let forgotten = with(Timers::take_forgotten).unwrap_or_default();
    let forgot = !forgotten.is_empty();
    if forgot {
        // The drop of a waker may wake others.
        quietly_drop(forgotten);
    }
    let first = with(Timers::first_unset).flatten();
    match first.map(|first| (first, now())) {
        Some((first, now)) if now >= first => {
            let due = iter::from_fn(|| with(|timers| timers.pop(now)).flatten());
            guard_each(due.take(BATCH), Waker::wake);
            Look::Woken
        }
        // The clock is set in the next look.
        _ if forgot => Look::Woken,
        Some((first, now)) => {
            with(|timers| timers.set = Some(first));
            Look::Set(first - now)
        }
        None => Look::Asleep,
    }
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

    /// None: it is not time yet, and this thread drives no reactor that could wake the task.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        now: impl FnOnce() -> Instant,
    ) -> Option<Poll<()>> {
        if let Some(place) = &self.place {
            let key = (self.deadline, place.ticket);
            let same = |waiting: &Waker| waiting.will_wake(cx.waker());
            match place.with(|timers| timers.queue.get(&key).map(same)) {
                Some(None) => {
                    self.place = None;
                    return Some(Poll::Ready(()));
                }
                Some(Some(true)) => return Some(Poll::Pending),
                // Another task waits for it now, or another thread has it.
                Some(Some(false)) | None => self.forget(),
            }
        }
        if self.deadline <= now() {
            return Some(Poll::Ready(()));
        }
        with(|_| ())?;
        let waker = cx.waker().clone();
        self.place = with(|timers| timers.insert(self.deadline, waker));
        Some(Poll::Pending)
    }

    fn forget(&mut self) {
        let Some(place) = self.place.take() else {
            return;
        };
        let key = (self.deadline, place.ticket);
        match place.with(|timers| timers.queue.remove(&key)) {
            Some(waker) => drop(waker),
            None => place.home.forget(key),
        }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.forget();
    }
}

impl Place {
    /// None: it is in the queue of another thread, or of none.
    fn with<T>(&self, call: impl FnOnce(&mut Timers) -> T) -> Option<T> {
        with(|timers| Arc::ptr_eq(&timers.home, &self.home).then(|| call(timers))).flatten()
    }
}

impl Timers {
    fn new(reactor: &Arc<Reactor>) -> Self {
        let inbox = Inbox {
            forgotten: Vec::new(),
            reactor: Arc::downgrade(reactor),
        };
        Self {
            home: Arc::new(Home {
                inbox: Mutex::new(Some(inbox)),
                told: AtomicBool::new(false),
            }),
            queue: BTreeMap::new(),
            tickets: 0,
            set: None,
            outsiders: false,
        }
    }

    pub(super) fn wake_all(mut self) {
        let forgotten = self.take_forgotten();
        let inbox = lock(&self.home.inbox).take();
        guard_each(self.queue.into_values(), Waker::wake);
        quietly_drop((forgotten, inbox));
    }

    fn insert(&mut self, deadline: Instant, waker: Waker) -> Place {
        self.outsiders |= !here::is_task(&waker);
        let ticket = self.tickets;
        self.tickets += 1;
        self.queue.insert((deadline, ticket), waker);
        Place {
            ticket,
            home: self.home.clone(),
        }
    }

    /// Whether nothing is to be done before the clock rings, which is so in most turns.
    fn is_quiet(&mut self) -> bool {
        !self.home.told.load(Ordering::Relaxed) && self.first_unset().is_none()
    }

    /// The first deadline, unless the clock rings by then.
    fn first_unset(&mut self) -> Option<Instant> {
        let (&(first, _), _) = self.queue.first_key_value()?;
        self.set.is_none_or(|set| first < set).then_some(first)
    }

    /// The first, if its time has come.
    fn pop(&mut self, now: Instant) -> Option<Waker> {
        let first = self.queue.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    fn take_forgotten(&mut self) -> Vec<Waker> {
        if !self.home.told.load(Ordering::Relaxed) {
            return Vec::new();
        }
        let forgotten = self.home.take_forgotten();
        let wakers = forgotten.iter().filter_map(|key| self.queue.remove(key));
        wakers.collect()
    }
}

impl Home {
    /// On another thread, or when the one that has the queue has left its loop.
    fn forget(&self, key: Key) {
        let mut inbox = lock(&self.inbox);
        let Some(Inbox { forgotten, reactor }) = &mut *inbox else {
            return;
        };
        forgotten.push(key);
        self.told.store(true, Ordering::Relaxed);
        let many = (forgotten.len() >= MANY_FORGOTTEN).then(|| reactor.clone());
        drop(inbox);
        if let Some(reactor) = many.and_then(|reactor| reactor.upgrade()) {
            reactor.notify();
        }
    }

    fn take_forgotten(&self) -> Vec<Key> {
        let mut inbox = lock(&self.inbox);
        self.told.store(false, Ordering::Relaxed);
        let inbox = inbox.as_mut();
        inbox.map_or_else(Vec::new, |inbox| std::mem::take(&mut inbox.forgotten))
    }
}

/// None: this thread drives no reactor.
fn with<T>(call: impl FnOnce(&mut Timers) -> T) -> Option<T> {
    // Not there any more while the thread ends.
    TIMERS
        .try_with(|timers| timers.borrow_mut().as_mut().map(call))
        .ok()
        .flatten()
}
