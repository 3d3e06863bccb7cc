//! The sources that a reactor is registered for.
//!
//! The kernel has the address of each of them. A reactor holds a reference to the source until no
//! event can name it: a registration that has ended while another thread may handle events, or this
//! thread does, goes to the list of retired ones first.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::event::epoll::{self, EventData, EventFlags};

use super::source::{Source, SourceOwner};
use super::{Reactor, lock};
use crate::catch::quietly_drop;

/// The number of retired registrations for which a waiting reactor is woken.
pub(super) const MAX_RETIRED_SOURCES: usize = 64;

thread_local! {
    /// This thread handles a batch of events.
    static IN_BATCH: Cell<bool> = const { Cell::new(false) };
}

/// A reactor's reference to a source. As long as it exists, the kernel may name the source.
pub(super) struct Registration(Arc<dyn SourceOwner>);

/// While it exists, this thread's events may name sources of registrations that have ended.
pub(super) struct EventBatch {
    /// The batch is within another one: a waker may drive a reactor.
    nested: bool,
}

impl Registration {
    pub(super) fn source(&self) -> &Source {
        self.0.source()
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Registration").field(self.source()).finish()
    }
}

impl EventBatch {
    pub(super) fn begin() -> Self {
        Self {
            nested: IN_BATCH.replace(true),
        }
    }
}

impl Drop for EventBatch {
    fn drop(&mut self) {
        IN_BATCH.set(self.nested);
    }
}

impl Reactor {
    /// Registers a source. The kernel has its address from now on.
    pub(super) fn register(
        &self,
        fd: BorrowedFd<'_>,
        owner: &Arc<impl SourceOwner + ?Sized>,
    ) -> io::Result<()> {
        self.fork_check.check()?;
        let registration = Registration(owner.clone().share());
        let source = owner.source();
        let mut registrations = lock(&self.registrations);
        source.set_index(registrations.len());
        registrations.push(registration);
        let data = EventData::new_ptr((&raw const *source).cast_mut().cast());
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::PRI | EventFlags::RDHUP;
        let flags = flags | EventFlags::ET;
        epoll::add(&self.epoll, fd, data, flags).map_err(|error| {
            drop(registrations.pop());
            error.into()
        })
    }

    /// Ends a registration. Events that the kernel has reported already are handled before the
    /// source is freed.
    pub(super) fn deregister(&self, fd: BorrowedFd<'_>, source: &Source) {
        // The close does not do this: a child between fork and exec may still have the socket open,
        // which keeps the registration and the address in it. In the child of a fork the
        // registration is the parent's.
        if !self.fork_check.is_inherited() {
            let _ = epoll::delete(&self.epoll, fd);
        }
        let registration = {
            let mut registrations = lock(&self.registrations);
            let index = source.index();
            let registration = registrations.swap_remove(index);
            if let Some(moved) = registrations.get(index) {
                moved.source().set_index(index);
            }
            registration
        };
        if self.is_current() && !IN_BATCH.get() && self.unless_polled(|| ()).is_some() {
            // No other thread handles events, and this one has handled all that it took.
            drop(registration);
        } else {
            self.retire(registration);
        }
    }

    fn retire(&self, registration: Registration) {
        let mut retired = lock(&self.retired);
        retired.push(registration);
        let full = retired.len() >= MAX_RETIRED_SOURCES;
        self.has_retired.store(true, Ordering::Release);
        drop(retired);
        if full {
            self.notify();
        }
    }

    /// Frees the retired registrations, and returns false if there were none. The caller drives
    /// the reactor and, in a group, holds its lock. So no batch names a retired source, unless a
    /// waker of this thread's batch has called: then nothing is freed.
    pub(super) fn free_retired(&self) -> bool {
        if IN_BATCH.get() || !self.has_retired.load(Ordering::Acquire) {
            return false;
        }
        self.has_retired.store(false, Ordering::Relaxed);
        let retired = std::mem::take(&mut *lock(&self.retired));
        // The drop of an owner may run code of others.
        quietly_drop(retired);
        true
    }

    /// Returns a copy of the list, so that sources can be woken without the lock.
    pub(super) fn registrations(&self) -> Vec<Registration> {
        let registrations = lock(&self.registrations);
        registrations
            .iter()
            .map(|registration| Registration(registration.0.clone()))
            .collect()
    }
}
