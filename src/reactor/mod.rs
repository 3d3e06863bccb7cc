//! Tells when a socket is ready: edge-triggered epoll, one reactor for each thread that drives one.
//!
//! A socket is tried first, and registered when it has nothing, once, for reading and writing
//! both, with the reactor of the thread that polls it. From then on that reactor keeps the
//! socket's [state word](state) up to date, and a read that was short is not followed by one that
//! only learns that there is no more. See epoll(7), "Edge-triggered and level-triggered".

#![allow(unsafe_code)]

mod bell;
mod help;
mod socket;
mod source;
mod state;
#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;

use bell::Bell;
use help::{FEW, Shared};
pub(crate) use socket::Socket;
use source::{Registration, Source};

/// Events that are taken from the kernel at once.
const BATCH: usize = 256;
/// Buried sources that a sleeping reactor is woken for.
const MANY_BURIED: usize = 64;

/// No thread drives the reactor.
const IDLE: u8 = 0;
/// A thread does.
const DRIVEN: u8 = 1;
/// A thread does, and is held up: it drives another one within this.
const HELD: u8 = 2;

/// One epoll instance, and what is registered with it.
#[derive(Debug)]
pub(crate) struct Reactor {
    epoll: OwnedFd,
    bell: Bell,
    /// Whether a thread drives it: otherwise nobody would hear of readiness.
    driven: AtomicU8,
    /// Everything that is registered, to be told when the reactor is driven no more.
    sources: Mutex<Vec<Registration>>,
    /// Registrations that have ended while a batch may still have named them.
    graveyard: Mutex<Vec<Registration>>,
    buried: AtomicBool,
    /// None: nobody helps.
    shared: Option<Shared>,
}

/// A thread's hold on the reactor that it drives.
pub(crate) struct Driver {
    reactor: Arc<Reactor>,
    within: Within,
}

/// What a thread drives already, when it begins to drive a reactor.
enum Within {
    Nothing,
    Another(Arc<Reactor>),
    /// The same one, which goes on.
    Itself,
}

thread_local! {
    /// The reactor that this thread drives.
    static CURRENT: RefCell<Option<Arc<Reactor>>> = const { RefCell::new(None) };
    /// This thread is handing out a batch of events.
    static IN_BATCH: Cell<bool> = const { Cell::new(false) };
}

impl Reactor {
    pub(crate) fn new() -> io::Result<Arc<Self>> {
        Self::with(None)
    }

    fn with(shared: Option<Shared>) -> io::Result<Arc<Self>> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let bell = Bell::new()?;
        // No pointer: nothing is registered at address 0.
        let flags = EventFlags::IN | EventFlags::ET;
        epoll::add(&epoll, &bell, EventData::new_u64(0), flags)?;
        Ok(Arc::new(Self {
            epoll,
            bell,
            driven: AtomicU8::new(IDLE),
            sources: Mutex::default(),
            graveyard: Mutex::default(),
            buried: AtomicBool::new(false),
            shared,
        }))
    }

    /// Makes this the reactor of this thread. None: another thread drives it, or this one does
    /// and is held up.
    pub(crate) fn drive(self: &Arc<Self>) -> Option<Driver> {
        let within = if self.is_current() {
            Within::Itself
        } else {
            let order = (Ordering::AcqRel, Ordering::Relaxed);
            self.driven
                .compare_exchange(IDLE, DRIVEN, order.0, order.1)
                .ok()?;
            match CURRENT.replace(Some(self.clone())) {
                Some(outer) => {
                    outer.leave(HELD);
                    Within::Another(outer)
                }
                None => Within::Nothing,
            }
        };
        Some(Driver {
            reactor: self.clone(),
            within,
        })
    }

    /// Who waits for this reactor would wait for ever: everyone is told to try again, and finds
    /// another reactor then.
    fn leave(&self, driven: u8) {
        self.driven.store(driven, Ordering::Release);
        let sources: Vec<_> = {
            let sources = lock(&self.sources);
            sources.iter().map(Registration::share).collect()
        };
        for source in sources {
            source.orphan();
        }
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

    fn is_current(&self) -> bool {
        let is_us = |current: &RefCell<Option<Arc<Self>>>| {
            let current = current.borrow();
            current
                .as_ref()
                .is_some_and(|current| std::ptr::eq(&raw const **current, self))
        };
        CURRENT.try_with(is_us).unwrap_or(false)
    }

    fn is_driven(&self) -> bool {
        self.driven.load(Ordering::Acquire) == DRIVEN
    }

    /// Takes a registration in. The kernel has the source's address from now on.
    fn register(&self, fd: BorrowedFd<'_>, source: &Arc<Source>) -> io::Result<()> {
        let registration = Registration::new(source);
        let mut sources = lock(&self.sources);
        source.set_place(sources.len());
        sources.push(registration);
        let data = EventData::new_ptr(Arc::as_ptr(source).cast_mut().cast());
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        epoll::add(&self.epoll, fd, data, flags).map_err(|error| {
            drop(sources.pop());
            error.into()
        })
    }

    /// Ends a registration. What the kernel still has told of it is looked at before it is freed.
    fn deregister(&self, fd: BorrowedFd<'_>, source: &Source) {
        // Not left to the close: a child between fork and exec may still have the socket, and
        // with it the registration, and the address in it.
        let _ = epoll::delete(&self.epoll, fd);
        let registration = {
            let mut sources = lock(&self.sources);
            let place = source.place();
            let registration = sources.swap_remove(place);
            if let Some(moved) = sources.get(place) {
                moved.source().set_place(place);
            }
            registration
        };
        if self.is_current() && !IN_BATCH.get() && self.unless_helped(|| ()).is_some() {
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

    /// Takes what the kernel has to tell, and wakes tasks; waits for it no longer than this. Says
    /// whether there was anything.
    pub(crate) fn turn(&self, wait: Option<Duration>) -> io::Result<bool> {
        let reactor = &*self.reactor;
        let mut buffer = [const { MaybeUninit::uninit() }; BATCH];
        // One that is too long for the kernel ends when something happens.
        let wait = wait.and_then(|wait| Timespec::try_from(wait).ok());
        let most = reactor.shared.as_ref().map_or(BATCH, |_| FEW);
        let events = match epoll::wait(&reactor.epoll, &mut buffer[..most], wait.as_ref()) {
            Ok((events, _)) => events,
            Err(Errno::INTR) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        if let Some(shared) = &reactor.shared {
            shared.count_turn();
        }
        let batch = Batch::begin();
        for event in &*events {
            let (flags, data) = (event.flags, event.data);
            Source::tell(data, flags);
        }
        drop(batch);
        self.free_buried();
        Ok(!events.is_empty())
    }

    /// Not while a waker that is called from a batch drives within that, or while a helper has
    /// one: the batch may still name what is buried.
    fn free_buried(&self) {
        let reactor = &*self.reactor;
        if IN_BATCH.get() || !reactor.buried.load(Ordering::Acquire) {
            return;
        }
        let buried = reactor.unless_helped(|| {
            reactor.buried.store(false, Ordering::Relaxed);
            std::mem::take(&mut *lock(&reactor.graveyard))
        });
        drop(buried);
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let outer = match std::mem::replace(&mut self.within, Within::Nothing) {
            Within::Itself => return,
            Within::Another(outer) => Some(outer),
            Within::Nothing => None,
        };
        if let Some(outer) = &outer {
            outer.driven.store(DRIVEN, Ordering::Release);
        }
        CURRENT.set(outer);
        self.free_buried();
        self.reactor.leave(IDLE);
    }
}

/// While it lives, the thread's events may name sources whose registration has ended.
struct Batch {
    /// Whether it is within another: a waker may drive a reactor.
    within: bool,
}

impl Batch {
    fn begin() -> Self {
        Self {
            within: IN_BATCH.replace(true),
        }
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        IN_BATCH.set(self.within);
    }
}

/// This thread hands out events just now.
pub(crate) fn is_in_batch() -> bool {
    IN_BATCH.get()
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
