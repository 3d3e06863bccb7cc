//! Tells when a socket is ready, and when it is time: edge-triggered epoll, one reactor for each
//! thread that drives one.
//!
//! A socket is tried first, and registered when it has nothing, once, for reading and writing both,
//! with the reactor of the thread that polls it. From then on that reactor keeps the socket's
//! [state word](state) up to date, and no read follows a short one. See epoll(7).

#![allow(unsafe_code)]

mod alarm_clock;
mod batch;
mod bell;
mod descriptor;
mod driver;
mod foreign;
mod forks;
mod group;
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
#[cfg(feature = "tokio")]
mod tokio;
mod unsent;
mod watched;

use std::cell::RefCell;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use rustix::event::epoll::{self, EventData, EventFlags};

use crate::catch::{catch_each, quietly_drop};
use crate::polling::is_task;
use batch::is_in_batch;
use bell::Bell;
use descriptor::Descriptor;
pub(crate) use driver::Driver;
use forks::Process;
use group::Group;
pub(crate) use outbox::Written;
use registration::Registration;
pub(crate) use socket::{Socket, reset};
use source::Direction;
pub(crate) use source::{Source, SourceOwner};
pub(crate) use timers::Alarm;
use timers::Timers;
#[cfg(feature = "tokio")]
pub(crate) use tokio::tokio_here;
pub(crate) use unsent::unsent;
pub(crate) use watched::Watched;

/// Buried sources that a sleeping reactor is woken for.
const MANY_BURIED: usize = 64;

/// The data that the bell is registered with: no address, as that of a source is.
const BELL: u64 = 0;
/// The data that the clock of a reactor's first worker is registered with; the others follow. No
/// address is as low.
const CLOCKS: u64 = 1;

/// No thread drives the reactor.
const IDLE: u8 = 0;
/// A thread does, or several that share it.
const DRIVEN: u8 = 1;
/// A thread does, and is held up: it drives another one within this.
const HELD: u8 = 2;

/// One epoll instance, and what is registered with it.
#[derive(Debug)]
pub(crate) struct Reactor {
    /// Tells reactors apart.
    id: usize,
    /// The process in which it may be driven.
    process: Process,
    epoll: OwnedFd,
    bell: Bell,
    /// The sleeps of each worker: one, unless threads share the reactor.
    timers: Box<[Arc<Timers>]>,
    /// Whether a thread drives it: otherwise no thread polls it for readiness.
    driven: AtomicU8,
    /// Everything that is registered.
    sources: Mutex<Vec<Registration>>,
    /// A waker may wait for a source or a sleep that is no task's of the executor that drives the
    /// reactor.
    outsiders: AtomicBool,
    /// Registrations that have ended while a batch may still have named them.
    graveyard: Mutex<Vec<Registration>>,
    buried: AtomicBool,
    /// None: one thread at a time drives it.
    group: Option<Group>,
}

/// The reactor of a thread, and the number of its worker there.
#[derive(Clone)]
struct Current {
    reactor: Arc<Reactor>,
    worker: usize,
}

thread_local! {
    /// The reactor that this thread drives.
    static CURRENT: RefCell<Option<Current>> = const { RefCell::new(None) };
}

impl Reactor {
    /// A reactor that one thread at a time drives.
    pub(crate) fn new() -> io::Result<Arc<Self>> {
        Self::with(1, None)
    }

    /// A reactor that several threads [join](Self::join).
    pub(crate) fn for_group(workers: usize) -> io::Result<Arc<Self>> {
        Self::with(workers, Some(Group::default()))
    }

    fn with(workers: usize, group: Option<Group>) -> io::Result<Arc<Self>> {
        static IDS: AtomicUsize = AtomicUsize::new(0);
        let id = IDS.fetch_add(1, Ordering::Relaxed);
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let bell = Bell::new()?;
        let timers = (0..workers).map(|_| Timers::new(id));
        let timers = timers.collect::<io::Result<Box<[_]>>>()?;
        let flags = EventFlags::IN | EventFlags::ET;
        epoll::add(&epoll, &bell, EventData::new_u64(BELL), flags)?;
        for (timers, data) in timers.iter().zip(CLOCKS..) {
            epoll::add(&epoll, timers, EventData::new_u64(data), flags)?;
        }
        Ok(Arc::new(Self {
            id,
            process: Process::this(),
            epoll,
            bell,
            timers,
            driven: AtomicU8::new(IDLE),
            sources: Mutex::default(),
            outsiders: AtomicBool::new(false),
            graveyard: Mutex::default(),
            buried: AtomicBool::new(false),
            group,
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
        let driver = self.enter(0);
        if let Some(outer) = driver.outer() {
            if outer.process.is_parent() {
                outbox::forget_turn();
            }
            if outer.group.is_none() {
                outer.leave(HELD);
            }
        }
        Some(driver)
    }

    /// Makes this the reactor of this thread, as one of several workers that share it.
    pub(crate) fn join(self: &Arc<Self>, worker: usize) -> Driver {
        if let Some(group) = &self.group {
            group.join();
        }
        self.driven.store(DRIVEN, Ordering::SeqCst);
        self.enter(worker)
    }

    fn enter(self: &Arc<Self>, worker: usize) -> Driver {
        here::set_reactor(&raw const **self);
        let current = Current {
            reactor: self.clone(),
            worker,
        };
        Driver::new(self.clone(), CURRENT.replace(Some(current)))
    }

    /// Its own tasks wait until it is driven again. Others would wait for ever: they are woken, try
    /// again, and find another reactor.
    fn leave(&self, driven: u8) {
        // Before it is asked: see `admit_outsider`.
        self.driven.store(driven, Ordering::SeqCst);
        if !self.outsiders.load(Ordering::SeqCst) {
            return;
        }
        catch_each(self.registrations(), |registration| {
            registration.source().orphan();
        });
        // A thread that only drives another one meanwhile comes back.
        if driven == IDLE {
            self.outsiders.store(false, Ordering::SeqCst);
            self.timers.iter().for_each(|timers| timers.abandon());
        }
    }

    /// Whether a waker may wait here that is no task's of the executor that drives it. Where no
    /// thread does, that would be for ever.
    fn admit_outsider(&self) -> bool {
        self.outsiders.store(true, Ordering::SeqCst);
        self.driven.load(Ordering::SeqCst) == DRIVEN && !self.process.is_parent()
    }

    /// The same for the reactor that this thread drives.
    fn admit_outsider_here() {
        Current::with(|current| {
            if !current.reactor.outsiders.load(Ordering::Relaxed) {
                current.reactor.outsiders.store(true, Ordering::SeqCst);
            }
        });
    }

    /// No thread will drive it again: what is registered finds another reactor, or none, and each
    /// sleep another clock.
    pub(crate) fn abandon(&self) {
        catch_each(self.registrations(), |registration| {
            registration.source().evict(self);
        });
        quietly_drop(std::mem::take(&mut *lock(&self.graveyard)));
        self.timers.iter().for_each(|timers| timers.abandon());
    }

    fn registrations(&self) -> Vec<Registration> {
        let sources = lock(&self.sources);
        sources.iter().map(Registration::share).collect()
    }

    /// Whether this process is the child of a fork of the one that made it.
    pub(crate) fn is_of_parent(&self) -> bool {
        self.process.is_parent()
    }

    /// Has the thread that drives this reactor look for work before it sleeps, or wakes it.
    pub(crate) fn notify(&self) {
        // A thread of a group may notify another one that waits. In the child of a fork the bell is
        // the parent's.
        let own = || (self.group.is_none() && self.is_current()) || self.is_of_parent();
        self.bell.ring(own);
    }

    /// Polls so far of a reactor that threads share.
    pub(crate) fn turns(&self) -> usize {
        self.group.as_ref().map_or(0, Group::turns)
    }

    fn current() -> Option<Arc<Self>> {
        Current::with(|current| current.reactor.clone())
    }

    /// The queue of this thread, for a sleep that wakes this waker. None: it drives no reactor, or is
    /// the child of a fork, where the clock of its reactor is the parent's.
    fn current_timers(waker: &Waker) -> Option<Arc<Timers>> {
        let timers = |current: &Current| {
            if current.reactor.is_of_parent() {
                return None;
            }
            if !is_task(waker) {
                current.reactor.admit_outsider();
            }
            Some(current.reactor.timers[current.worker].clone())
        };
        Current::with(timers).flatten()
    }

    /// Whether this thread drives the reactor with this id.
    fn is_id_current(id: usize) -> bool {
        Current::with(|current| current.reactor.id == id).unwrap_or(false)
    }

    /// Whether this thread drives one.
    fn is_one_current() -> bool {
        !here::reactor().is_null()
    }

    fn is_current(&self) -> bool {
        ptr::eq(here::reactor(), self)
    }

    /// Takes a registration in. The kernel has the source's address from now on.
    fn register(
        &self,
        fd: BorrowedFd<'_>,
        host: &Arc<impl SourceOwner + ?Sized>,
    ) -> io::Result<()> {
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
        if self.is_current() && !is_in_batch() && self.unless_driven(|| ()).is_some() {
            // No other thread has events in hand, and this one is done with those that it had.
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

impl Reactor {
    /// The sleeps of which this event tells.
    fn clock(&self, data: EventData) -> Option<&Timers> {
        let worker = data.u64().checked_sub(CLOCKS)?;
        let worker = usize::try_from(worker).ok()?;
        self.timers.get(worker).map(|timers| &**timers)
    }

    /// Frees what is buried, and returns whether there was anything. The caller drives the reactor, and holds its lock in a group: so no
    /// batch names what is buried, unless a waker of this thread's batch has called.
    fn free_buried(&self) -> bool {
        if is_in_batch() || !self.buried.load(Ordering::Acquire) {
            return false;
        }
        self.buried.store(false, Ordering::Relaxed);
        let buried = std::mem::take(&mut *lock(&self.graveyard));
        // With the registrations goes all that they hold, with drops of others.
        quietly_drop(buried);
        true
    }

    /// Calls `f` unless another thread of the group takes events, and keeps the others from it
    /// meanwhile. None: one does.
    fn unless_driven<T>(&self, f: impl FnOnce() -> T) -> Option<T> {
        let _driving = match &self.group {
            Some(group) => Some(group.try_drive()?),
            None => None,
        };
        Some(f())
    }
}

impl Current {
    /// None: this thread drives no reactor.
    fn with<T>(call: impl FnOnce(&Self) -> T) -> Option<T> {
        // The value is gone while the thread ends.
        CURRENT
            .try_with(|current| current.borrow().as_ref().map(call))
            .ok()
            .flatten()
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
