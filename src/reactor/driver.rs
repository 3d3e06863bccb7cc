//! Polls a reactor, on the thread that drives it or on one of several threads that share it.

use std::io;
use std::mem::MaybeUninit;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::event::Timespec;
use rustix::event::epoll;
use rustix::io::Errno;

use super::current::{self, Current};
use super::registration::EventBatch;
use super::source::Source;
use super::{DRIVEN, Group, NOT_DRIVEN, Reactor, SUSPENDED, flush};
use crate::catch::catch_each;

/// The largest number of events that one call takes from the kernel.
const MAX_BATCH_EVENTS: usize = 256;

/// Drives a reactor on this thread, until the driver is dropped.
pub(crate) struct Driver {
    pub(super) reactor: Arc<Reactor>,
    /// The reactor that this thread drove before, and drives again afterwards.
    outer: Option<Current>,
}

impl Reactor {
    /// Makes this the reactor of this thread. Returns None if a thread drives it already, this one
    /// or another.
    ///
    /// # Panics
    ///
    /// In a child of the process that made it.
    pub(crate) fn drive(self: &Arc<Self>) -> Option<Driver> {
        self.fork_check.assert();
        let order = (Ordering::SeqCst, Ordering::Relaxed);
        self.driven
            .compare_exchange(NOT_DRIVEN, DRIVEN, order.0, order.1)
            .ok()?;
        let driver = self.enter(0);
        if let Some(outer) = &driver.outer {
            let outer = &outer.reactor;
            if outer.fork_check.is_inherited() {
                flush::forget_turn();
            }
            if outer.group.is_none() {
                outer.leave(SUSPENDED);
            }
        }
        Some(driver)
    }

    /// Makes this the reactor of this thread, which is one of several workers that share it.
    pub(crate) fn join(self: &Arc<Self>, worker: usize) -> Driver {
        if let Some(group) = &self.group {
            group.join();
        }
        self.driven.store(DRIVEN, Ordering::SeqCst);
        self.enter(worker)
    }

    fn enter(self: &Arc<Self>, worker: usize) -> Driver {
        let current = Current {
            reactor: self.clone(),
            worker,
        };
        Driver {
            reactor: self.clone(),
            outer: current::replace(Some(current)),
        }
    }

    /// Ends the driving. The tasks of the reactor's own executor wait until it is driven again. Any
    /// other task would wait for ever, so it is woken, tries again, and registers with another
    /// reactor.
    fn leave(&self, driven: u8) {
        // Stored before the load: see `admit_outside_waker`.
        self.driven.store(driven, Ordering::SeqCst);
        if !self.has_outside_wakers.load(Ordering::SeqCst) {
            return;
        }
        catch_each(self.registrations(), |registration| {
            registration.source().wake_to_retry();
        });
        // A suspended reactor is driven again by the same thread.
        if driven == NOT_DRIVEN {
            self.has_outside_wakers.store(false, Ordering::SeqCst);
            self.timers.iter().for_each(|timers| timers.wake_all());
        }
    }
}

impl Driver {
    /// Clears the notification, so that the next [`notify`](Reactor::notify) counts again. Returns
    /// true if there was one.
    pub(crate) fn take_notification(&self) -> bool {
        self.reactor.wake_fd.take()
    }

    /// Returns true if [`notify`](Reactor::notify) was called since the last
    /// [`take_notification`](Self::take_notification).
    pub(crate) fn is_notified(&self) -> bool {
        self.reactor.wake_fd.is_set()
    }

    /// Checks, after a task has run, that the task has not forked.
    ///
    /// # Panics
    ///
    /// In the child of a fork: the tasks that follow are the parent's.
    #[inline(always)]
    pub(crate) fn end_task(&self) {
        self.reactor.fork_check.assert();
    }

    /// Sends the small writes that the tasks of this turn have made.
    ///
    /// # Panics
    ///
    /// In the child, if a task has forked: the parent sends them.
    pub(crate) fn end_turn(&self) {
        self.reactor.fork_check.assert();
        flush::end_turn();
    }

    /// Polls the kernel and wakes tasks, including those of alarms that are due.
    ///
    /// Waits at most as long as `wait` returns, which is called right before the wait; None is no
    /// limit. Returns true if wakers were called or dropped, so that there may be tasks to run. A
    /// panic of a waker does not keep the others from being called. `now` is called only if a timer
    /// has expired.
    pub(crate) fn turn(
        &self,
        wait: impl FnOnce() -> Option<Duration>,
        now: impl Fn() -> Instant,
    ) -> io::Result<bool> {
        Ok(self.try_turn(wait, now)?.unwrap_or(false))
    }

    /// As [`turn`](Self::turn), for a reactor that threads share. Returns None if another thread
    /// polls it.
    pub(crate) fn try_turn(
        &self,
        wait: impl FnOnce() -> Option<Duration>,
        now: impl Fn() -> Instant,
    ) -> io::Result<Option<bool>> {
        let reactor = &*self.reactor;
        let _polling = match &reactor.group {
            None => None,
            Some(group) => match group.try_poll() {
                None => return Ok(None),
                polling => polling,
            },
        };
        let mut buffer = [const { MaybeUninit::uninit() }; MAX_BATCH_EVENTS];
        // The drops may have woken tasks, or written to a socket.
        let freed = reactor.free_retired();
        let wait = if freed { Some(Duration::ZERO) } else { wait() };
        // A time that is too long for the kernel is no limit.
        let wait = wait.and_then(|wait| Timespec::try_from(wait).ok());
        let events = match epoll::wait(&reactor.epoll, &mut buffer[..], wait.as_ref()) {
            Ok((events, _)) => events,
            Err(Errno::INTR) => return Ok(Some(freed)),
            Err(error) => return Err(error.into()),
        };
        let all = events.iter().map(|event| (event.data, event.flags));
        let batch = EventBatch::begin();
        catch_each(all, |(data, flags)| match reactor.expired_timers(data) {
            Some(timers) => timers.wake_due(now()),
            None => Source::handle_event(data, flags),
        });
        drop(batch);
        if let Some(group) = &reactor.group {
            group.count_turn();
        }
        Ok(Some(freed || !events.is_empty()))
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if self.reactor.fork_check.is_inherited() {
            flush::forget_turn();
        } else {
            self.end_turn();
        }
        let outer = self.outer.take();
        if let Some(outer) = &outer {
            outer.reactor.driven.store(DRIVEN, Ordering::SeqCst);
        }
        drop(current::replace(outer));
        let reactor = &*self.reactor;
        if reactor.group.as_ref().is_none_or(Group::leave) {
            reactor.unless_polled(|| reactor.free_retired());
            reactor.leave(NOT_DRIVEN);
        }
    }
}
