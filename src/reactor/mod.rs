//! Waits for the readiness of descriptors and for deadlines, with edge-triggered epoll: one reactor
//! for each thread that drives one, or one that several threads share.
//!
//! A call on a socket is tried first. If it finds nothing, the socket is registered once, for
//! reading and writing both, with the reactor of the thread that polls it. From then on that
//! reactor updates the socket's [state word](state), and after a short read no further read is
//! tried until an event comes. See epoll(7).
//!
//! Each file imports only from `Reactor` and from files before it in this list: `sys`, `tcp_info`,
//! `state`, `wake_fd`, `fork_check`, `shared_fd`, `timers`, `outbox`, `reactor_slot`, `current`,
//! `foreign`, `source`, `registration`, `attach`, `readiness`, `flush`, `driver`, `socket`,
//! `splice`.

#![allow(unsafe_code)]

mod attach;
mod current;
mod driver;
mod flush;
mod foreign;
mod fork_check;
mod outbox;
mod reactor_slot;
mod readiness;
mod registration;
mod shared_fd;
mod socket;
mod source;
mod splice;
mod state;
mod sys;
mod tcp_info;
#[cfg(test)]
mod tests;
mod timers;
mod wake_fd;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use rustix::event::epoll::{self, EventData, EventFlags};

use crate::catch::{catch_each, quietly_drop};
pub(crate) use driver::Driver;
pub(crate) use flush::WrittenSockets;
#[cfg(feature = "tokio")]
pub(crate) use foreign::current_tokio;
use fork_check::ForkCheck;
use registration::Registration;
pub(crate) use socket::{Socket, WatchedFd};
pub(crate) use source::{Source, SourceOwner};
pub(crate) use splice::Pipe;
pub(crate) use sys::{reset, slices_to_read, slices_to_write, unsent_bytes};
pub(crate) use tcp_info::tcp_info;
pub(crate) use timers::Alarm;
use timers::Timers;
use wake_fd::WakeFd;

/// The data of the events of `wake_fd`. It is no address, as the data of a source is.
const WAKE_FD_DATA: u64 = 0;
/// The data of the events of the first worker's timer. Those of the other workers follow. No
/// address is as low.
const FIRST_TIMER_DATA: u64 = 1;

/// No thread drives the reactor.
const NOT_DRIVEN: u8 = 0;
/// One thread drives the reactor, or several that share it.
const DRIVEN: u8 = 1;
/// The thread that drives the reactor drives another one within a task.
const SUSPENDED: u8 = 2;

/// An epoll instance, and the sources that are registered with it.
#[derive(Debug)]
pub(crate) struct Reactor {
    id: usize,
    /// The process in which the reactor may be driven.
    fork_check: ForkCheck,
    epoll: OwnedFd,
    wake_fd: WakeFd,
    /// The alarms of each worker. There is one worker, unless threads share the reactor.
    timers: Box<[Arc<Timers>]>,
    /// [`NOT_DRIVEN`], [`DRIVEN`] or [`SUSPENDED`].
    driven: AtomicU8,
    registrations: Mutex<Vec<Registration>>,
    /// A source or an alarm may hold a waker that is not of a task of the executor that drives the
    /// reactor.
    has_outside_wakers: AtomicBool,
    /// Registrations that have ended while a batch of events may still have named them.
    retired: Mutex<Vec<Registration>>,
    /// `retired` may not be empty.
    has_retired: AtomicBool,
    /// None if one thread at a time drives the reactor.
    group: Option<Group>,
}

/// The state of a reactor that several threads share. One of them at a time polls it.
#[derive(Debug, Default)]
struct Group {
    /// Held by the thread that polls, from before its wait until it has handled all events.
    polling: Mutex<()>,
    /// The number of threads that have joined.
    drivers: AtomicUsize,
    /// The number of polls so far.
    turns: AtomicUsize,
}

impl Reactor {
    /// Makes a reactor that one thread at a time drives.
    pub(crate) fn new() -> io::Result<Arc<Self>> {
        Self::with(1, None)
    }

    /// Makes a reactor that several threads [join](Self::join).
    pub(crate) fn for_group(workers: usize) -> io::Result<Arc<Self>> {
        Self::with(workers, Some(Group::default()))
    }

    fn with(workers: usize, group: Option<Group>) -> io::Result<Arc<Self>> {
        static IDS: AtomicUsize = AtomicUsize::new(0);
        let id = IDS.fetch_add(1, Ordering::Relaxed);
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let wake_fd = WakeFd::new()?;
        let timers = (0..workers).map(|_| Timers::new(id));
        let timers = timers.collect::<io::Result<Box<[_]>>>()?;
        let flags = EventFlags::IN | EventFlags::ET;
        epoll::add(&epoll, &wake_fd, EventData::new_u64(WAKE_FD_DATA), flags)?;
        for (timers, data) in timers.iter().zip(FIRST_TIMER_DATA..) {
            epoll::add(&epoll, timers, EventData::new_u64(data), flags)?;
        }
        Ok(Arc::new(Self {
            id,
            fork_check: ForkCheck::new(),
            epoll,
            wake_fd,
            timers,
            driven: AtomicU8::new(NOT_DRIVEN),
            registrations: Mutex::default(),
            has_outside_wakers: AtomicBool::new(false),
            retired: Mutex::default(),
            has_retired: AtomicBool::new(false),
            group,
        }))
    }

    /// Wakes the thread that drives this reactor, or makes it look for work before it waits.
    pub(crate) fn notify(&self) {
        // A thread of a group may notify another one that waits. In the child of a fork the eventfd
        // is the parent's.
        let own = || (self.group.is_none() && self.is_current()) || self.is_inherited();
        self.wake_fd.wake(own);
    }

    /// Releases everything that is registered, as no thread will drive the reactor again. Sources
    /// register with another reactor at their next wait, and alarms with another timer.
    pub(crate) fn abandon(&self) {
        catch_each(self.registrations(), |registration| {
            registration.source().evict(self);
        });
        quietly_drop(std::mem::take(&mut *lock(&self.retired)));
        self.timers.iter().for_each(|timers| timers.wake_all());
    }

    /// Returns true in a child of the process that made the reactor.
    pub(crate) fn is_inherited(&self) -> bool {
        self.fork_check.is_inherited()
    }

    /// Returns the number of polls so far of a reactor that threads share.
    pub(crate) fn turns(&self) -> usize {
        self.group.as_ref().map_or(0, Group::turns)
    }

    /// Allows a waker here that is not of a task of the executor that drives the reactor. Returns
    /// false if no thread drives it: such a waker would wait for ever.
    fn admit_outside_waker(&self) -> bool {
        self.has_outside_wakers.store(true, Ordering::SeqCst);
        self.driven.load(Ordering::SeqCst) == DRIVEN && !self.fork_check.is_inherited()
    }

    /// Returns the timers that have expired, if the event is for a timerfd.
    fn expired_timers(&self, data: EventData) -> Option<&Timers> {
        let worker = data.u64().checked_sub(FIRST_TIMER_DATA)?;
        let worker = usize::try_from(worker).ok()?;
        self.timers.get(worker).map(|timers| &**timers)
    }

    /// Calls `f` unless another thread of the group polls, and keeps the others from polling
    /// meanwhile. Returns None if one polls.
    fn unless_polled<T>(&self, f: impl FnOnce() -> T) -> Option<T> {
        let _polling = match &self.group {
            Some(group) => Some(group.try_poll()?),
            None => None,
        };
        Some(f())
    }
}

impl Group {
    /// Counts one more thread that drives the reactor.
    fn join(&self) {
        self.drivers.fetch_add(1, Ordering::AcqRel);
    }

    /// Counts one less. Returns true if it was the last one.
    fn leave(&self) -> bool {
        self.drivers.fetch_sub(1, Ordering::AcqRel) == 1
    }

    /// Takes the right to poll. Returns None if another thread has it.
    fn try_poll(&self) -> Option<MutexGuard<'_, ()>> {
        match self.polling.try_lock() {
            Ok(polling) => Some(polling),
            Err(TryLockError::Poisoned(error)) => Some(error.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    fn turns(&self) -> usize {
        self.turns.load(Ordering::Relaxed)
    }

    /// Counts a poll. The caller has the right to poll.
    fn count_turn(&self) {
        let turns = self.turns.load(Ordering::Relaxed);
        self.turns.store(turns.wrapping_add(1), Ordering::Relaxed);
    }
}

/// Locks a mutex, even if a thread has panicked while it held the lock.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
