//! Tells when a socket is ready, and when it is time: edge-triggered epoll, one reactor for each
//! thread that drives one.
//!
//! A socket is tried first, and registered when it has nothing, once, for reading and writing
//! both, with the reactor of the thread that polls it. From then on that reactor keeps the
//! socket's [state word](state) up to date, and a read that was short is not followed by one that
//! only learns that there is no more. See epoll(7), "Edge-triggered and level-triggered".

#![allow(unsafe_code)]

mod alarm_clock;
mod batch;
mod bell;
mod descriptor;
mod forks;
mod help;
mod here;
mod home;
mod outbox;
mod registered;
mod registration;
pub(crate) mod slices;
mod socket;
mod source;
mod state;
#[cfg(test)]
mod tests;
mod timers;
mod unsent;
mod watched;

use std::cell::RefCell;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;

use crate::catch::{guard_each, quietly_drop};
use alarm_clock::AlarmClock;
use batch::Batch;
pub(crate) use batch::is_in_batch;
use bell::Bell;
use descriptor::Descriptor;
use forks::Process;
use help::{FEW, Shared};
pub(crate) use here::poll_task;
use registration::Registration;
pub(crate) use socket::{Socket, reset};
use source::Direction;
pub(crate) use source::{Host, Source};
pub(crate) use timers::Alarm;
use timers::{Look, Timers};
pub(crate) use unsent::unsent;
pub(crate) use watched::Watched;

/// Events that are taken from the kernel at once.
const BATCH: usize = 256;
/// Buried sources that a sleeping reactor is woken for.
const MANY_BURIED: usize = 64;

/// What the bell and the alarm clock are registered with: no addresses, as sources have.
const BELL: u64 = 0;
const ALARM_CLOCK: u64 = 1;

/// No thread drives the reactor.
const IDLE: u8 = 0;
/// A thread does.
const DRIVEN: u8 = 1;
/// A thread does, and is held up: it drives another one within this.
const HELD: u8 = 2;

/// One epoll instance, and what is registered with it.
#[derive(Debug)]
pub(crate) struct Reactor {
    /// Where it may be driven.
    process: Process,
    epoll: OwnedFd,
    bell: Bell,
    alarm_clock: AlarmClock,
    /// Whether a thread drives it: otherwise nobody would hear of readiness.
    driven: AtomicU8,
    /// Everything that is registered.
    sources: Mutex<Vec<Registration>>,
    /// A waker may wait for a source that is no task's of the executor that drives the reactor.
    outsiders: AtomicBool,
    /// The sleepers of the thread that drove it last, for the next one.
    sleepers: Mutex<Option<Timers>>,
    /// Registrations that have ended while a batch may still have named them.
    graveyard: Mutex<Vec<Registration>>,
    buried: AtomicBool,
    /// None: nobody helps.
    shared: Option<Shared>,
}

/// A thread's hold on the reactor that it drives.
pub(crate) struct Driver {
    reactor: Arc<Reactor>,
    /// The one that the thread drives already, and that is held up meanwhile.
    outer: Option<Arc<Reactor>>,
}

thread_local! {
    /// The reactor that this thread drives.
    static CURRENT: RefCell<Option<Arc<Reactor>>> = const { RefCell::new(None) };
}

impl Reactor {
    pub(crate) fn new() -> io::Result<Arc<Self>> {
        Self::with(None)
    }

    fn with(shared: Option<Shared>) -> io::Result<Arc<Self>> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let bell = Bell::new()?;
        let alarm_clock = AlarmClock::new()?;
        let flags = EventFlags::IN | EventFlags::ET;
        epoll::add(&epoll, &bell, EventData::new_u64(BELL), flags)?;
        epoll::add(&epoll, &alarm_clock, EventData::new_u64(ALARM_CLOCK), flags)?;
        Ok(Arc::new(Self {
            process: Process::this(),
            epoll,
            bell,
            alarm_clock,
            driven: AtomicU8::new(IDLE),
            sources: Mutex::default(),
            outsiders: AtomicBool::new(false),
            sleepers: Mutex::default(),
            graveyard: Mutex::default(),
            buried: AtomicBool::new(false),
            shared,
        }))
    }

    /// Makes this the reactor of this thread. None: a thread drives it already, this one or another.
    ///
    /// # Panics
    ///
    /// In a child of the process that made it.
    pub(crate) fn drive(self: &Arc<Self>) -> Option<Driver> {
        self.process.assert();
        let order = (Ordering::SeqCst, Ordering::Relaxed);
        self.driven
            .compare_exchange(IDLE, DRIVEN, order.0, order.1)
            .ok()?;
        let outer = CURRENT.replace(Some(self.clone()));
        here::set_reactor(&raw const **self);
        if let Some(outer) = &outer {
            if outer.process.is_parent() {
                outbox::forget_turn();
            }
            timers::drive_within();
            outer.leave(HELD);
        } else {
            timers::begin(self);
        }
        Some(Driver {
            reactor: self.clone(),
            outer,
        })
    }

    /// Its own tasks wait until it is driven again. Others would wait for ever: they are woken, try
    /// again, and find another reactor.
    fn leave(&self, driven: u8) {
        // Before it is asked: see `admit_outsider`.
        self.driven.store(driven, Ordering::SeqCst);
        if self.outsiders.swap(false, Ordering::SeqCst) {
            guard_each(self.registrations(), |registration| {
                registration.source().orphan();
            });
        }
    }

    /// Whether somebody may wait here that is no task of the executor that drives it. Where no
    /// thread does, that would be for ever.
    fn admit_outsider(&self) -> bool {
        self.outsiders.store(true, Ordering::SeqCst);
        self.driven.load(Ordering::SeqCst) == DRIVEN && !self.process.is_parent()
    }

    /// No thread will drive it again: what is registered finds another reactor, or none, and
    /// whoever sleeps another clock.
    pub(crate) fn abandon(&self) {
        guard_each(self.registrations(), |registration| {
            registration.source().evict(self);
        });
        quietly_drop(std::mem::take(&mut *lock(&self.graveyard)));
        let sleepers = lock(&self.sleepers).take();
        sleepers.into_iter().for_each(Timers::wake_all);
    }

    fn registrations(&self) -> Vec<Registration> {
        let sources = lock(&self.sources);
        sources.iter().map(Registration::share).collect()
    }

    /// Has the thread that drives this reactor look for work before it sleeps, or wakes it.
    pub(crate) fn notify(&self) {
        self.bell.ring(|| self.is_current());
    }

    fn current() -> Option<Arc<Self>> {
        // Not there any more while the thread ends.
        CURRENT
            .try_with(|current| current.borrow().clone())
            .ok()
            .flatten()
    }

    /// Whether this thread drives one.
    fn is_one_current() -> bool {
        !here::reactor().is_null()
    }

    fn is_current(&self) -> bool {
        std::ptr::eq(here::reactor(), self)
    }

    /// Takes a registration in. The kernel has the source's address from now on.
    fn register(&self, fd: BorrowedFd<'_>, host: &Arc<impl Host + ?Sized>) -> io::Result<()> {
        self.process.check()?;
        let registration = Registration::new(host);
        let source = host.source();
        let mut sources = lock(&self.sources);
        source.set_place(sources.len());
        sources.push(registration);
        let data = EventData::new_ptr((&raw const *source).cast_mut().cast());
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::PRI | EventFlags::RDHUP;
        let flags = flags | EventFlags::ET;
        epoll::add(&self.epoll, fd, data, flags).map_err(|error| {
            drop(sources.pop());
            error.into()
        })
    }

    /// Ends a registration. What the kernel still has told of it is looked at before it is freed.
    fn deregister(&self, fd: BorrowedFd<'_>, source: &Source) {
        // Not left to the close: a child between fork and exec may still have the socket, and
        // with it the registration, and the address in it. In such a child it is the parent's.
        if !self.process.is_parent() {
            let _ = epoll::delete(&self.epoll, fd);
        }
        let registration = {
            let mut sources = lock(&self.sources);
            let place = source.place();
            let registration = sources.swap_remove(place);
            if let Some(moved) = sources.get(place) {
                moved.source().set_place(place);
            }
            registration
        };
        if self.is_current() && !is_in_batch() && self.unless_helped(|| ()).is_some() {
            // No other thread takes events now, and this one is done with those that it has.
            drop(registration);
        } else {
            self.bury(registration);
        }
    }

    fn bury(&self, registration: Registration) {
        let mut graveyard = lock(&self.graveyard);
        graveyard.push(registration);
        let many = graveyard.len() >= MANY_BURIED;
        self.buried.store(true, Ordering::Release);
        drop(graveyard);
        if many {
            self.notify();
        }
    }
}

impl Driver {
    /// From now on a [`notify`](Reactor::notify) is news. Says whether there was one before.
    pub(crate) fn listen(&self) -> bool {
        self.reactor.bell.listen()
    }

    /// Whether somebody called [`notify`](Reactor::notify) since then.
    pub(crate) fn is_notified(&self) -> bool {
        self.reactor.bell.is_rung()
    }

    /// Sends what the tasks of this turn have written in small pieces.
    ///
    /// # Panics
    ///
    /// Where one of them has forked, in the child: the parent sends that.
    pub(crate) fn end_turn(&self) {
        self.reactor.process.assert();
        outbox::end_turn();
    }

    /// Takes what the kernel has to tell, and wakes tasks, also those whose time has come; waits
    /// as long as `wait` says, which is asked right before. Returns whether wakers were called or
    /// dropped, which may leave something to do: then there is no wait. A waker that panics ends
    /// nothing. `now` is asked only while somebody sleeps.
    pub(crate) fn turn(
        &self,
        wait: impl FnOnce() -> Option<Duration>,
        now: impl Fn() -> Instant,
    ) -> io::Result<bool> {
        let reactor = &*self.reactor;
        let mut buffer = [const { MaybeUninit::uninit() }; BATCH];
        // Who is woken is not kept waiting.
        let woken = self.wake_sleepers(&now)?;
        let wait = if woken { Some(Duration::ZERO) } else { wait() };
        // One that is too long for the kernel ends when something happens.
        let wait = wait.and_then(|wait| Timespec::try_from(wait).ok());
        let most = reactor.shared.as_ref().map_or(BATCH, |_| FEW);
        let events = match epoll::wait(&reactor.epoll, &mut buffer[..most], wait.as_ref()) {
            Ok((events, _)) => events,
            Err(Errno::INTR) => return Ok(woken),
            Err(error) => return Err(error.into()),
        };
        if let Some(shared) = &reactor.shared {
            shared.count_turn();
        }
        let told = events.iter().map(|event| (event.data, event.flags));
        let rung = told.clone().any(|(data, _)| data.u64() == ALARM_CLOCK);
        if rung {
            // First: one of those who are told may wait for the clock, in a loop within this one.
            timers::unset();
        }
        let batch = Batch::begin();
        let sources = told.filter(|(data, _)| data.u64() != ALARM_CLOCK);
        guard_each(sources, |(data, flags)| Source::tell(data, flags));
        drop(batch);
        if rung {
            self.wake_sleepers(&now)?;
        }
        let freed = self.free_buried();
        Ok(woken || freed || !events.is_empty())
    }

    /// Wakes whose time has come, and says whether wakers were called or dropped.
    fn wake_sleepers(&self, now: impl FnOnce() -> Instant) -> io::Result<bool> {
        match timers::look(now) {
            Look::Asleep => return Ok(false),
            Look::Woken => return Ok(true),
            Look::Set(time) => self.reactor.alarm_clock.set(time)?,
        }
        Ok(false)
    }

    /// Says whether there was anything, with which wakers may have been dropped. Not while a waker
    /// that is called from a batch drives within that, or while a helper has one: the batch may
    /// still name what is buried.
    fn free_buried(&self) -> bool {
        let reactor = &*self.reactor;
        if is_in_batch() || !reactor.buried.load(Ordering::Acquire) {
            return false;
        }
        let buried = reactor.unless_helped(|| {
            reactor.buried.store(false, Ordering::Relaxed);
            std::mem::take(&mut *lock(&reactor.graveyard))
        });
        // With them goes what others have put there.
        let freed = buried.is_some();
        quietly_drop(buried);
        freed
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if self.reactor.process.is_parent() {
            outbox::forget_turn();
        } else {
            self.end_turn();
        }
        let outer = self.outer.take();
        if let Some(outer) = &outer {
            outer.driven.store(DRIVEN, Ordering::SeqCst);
        }
        let outermost = outer.is_none();
        here::set_reactor(outer.as_ref().map_or(std::ptr::null(), Arc::as_ptr));
        CURRENT.set(outer);
        if outermost {
            timers::end(&self.reactor);
        } else {
            timers::unset();
        }
        self.free_buried();
        self.reactor.leave(IDLE);
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
