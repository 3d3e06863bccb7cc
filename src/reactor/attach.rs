//! Registers a source with a reactor, and moves it to another one.
//!
//! A source is registered with the reactor of the thread that polls it. On a thread without a
//! reactor of ours it is registered with [another runtime](super::foreign).

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use super::foreign::Foreign;
use super::reactor_slot::LockedSlot;
use super::source::{Source, SourceOwner};
use super::state::{FOREIGN, READ, REGISTERED, WRITE};
use super::{Reactor, current, lock};

impl Source {
    /// Registers with this thread's reactor, after a call that found nothing while the state word
    /// was `seen`.
    pub(super) fn register(
        owner: &Arc<impl SourceOwner + ?Sized>,
        seen: u32,
        flag: u32,
    ) -> io::Result<()> {
        let this = owner.source();
        let slot = this.reactor.lock();
        // Before the kernel may report an event, which it does at once for a socket that is ready.
        // If this fails, an event was reported meanwhile, or the other half has registered the
        // source. The caller then makes its call again.
        if !this.state.change(seen, flag, REGISTERED) {
            return Ok(());
        }
        Self::attach(owner, slot, Foreign::register)
    }

    /// For a source that is not registered with this thread's reactor: returns true if the task may
    /// wait for the reactor that the source has. Otherwise this moves the source to the reactor of
    /// this thread, as the thread of the other reactor may be busy. A thread without a reactor
    /// moves a source only if no thread drives its reactor.
    pub(super) fn wait_or_move(owner: &Arc<impl SourceOwner + ?Sized>) -> io::Result<bool> {
        let this = owner.source();
        let mut slot = this.reactor.lock();
        match slot.get() {
            // The source has just lost its reactor, or found none: the state word has changed.
            None => return Ok(false),
            Some(reactor) => {
                let stays = reactor.is_current() || current::reactor().is_null();
                if stays && reactor.admit_outside_waker() {
                    return Ok(true);
                }
            }
        }
        let left = slot.take();
        if let Some(left) = &left {
            // The reactor's reference is retired until a thread polls that reactor, or the reactor
            // is dropped. Until then the memory of this source may outlive its last handle, but the
            // descriptor does not.
            left.deregister(this.fd(), this);
        }
        if let Some(reactor) = Reactor::current() {
            // The other half may wait in a task of another executor.
            reactor.admit_outside_waker();
        }
        let attached = Self::attach(owner, slot, Foreign::register);
        // Dropped after the slot is unlocked: the drop frees the retired sources of the reactor.
        drop(left);
        attached.map(|()| false)
    }

    /// Leaves a reactor that no thread will drive again. The source is then like a new one: the
    /// next poll that finds nothing registers it. The reactor's own reference keeps the source
    /// meanwhile.
    pub(super) fn evict(&self, reactor: &Reactor) {
        let mut slot = self.reactor.lock();
        if !slot.is(reactor) {
            return;
        }
        let left = slot.take();
        // The descriptor is open: its last user takes the reactor from the slot before the close.
        reactor.deregister(self.fd(), self);
        self.set_unregistered();
        drop(slot);
        self.wake_both();
        drop(left);
    }

    /// Leaves the reactor of a descriptor that other code uses from now on, as its events would wake
    /// the connection's task. The next poll that finds nothing registers it again.
    pub(crate) fn unregister(&self) {
        self.with_fd(|fd| {
            let mut slot = self.reactor.lock();
            let left = slot.take();
            if let Some(left) = &left {
                left.deregister(fd, self);
                self.set_unregistered();
            }
            drop(slot);
            // Dropped last: the drop frees the retired sources of the reactor.
            drop(left);
        });
    }

    /// Leaves a runtime that may never wake a task of this thread. On a thread without a reactor of
    /// ours the source moves to async-io and stays there, so that halves in two runtimes do not
    /// move it back and forth.
    pub(super) fn leave_foreign(
        owner: &Arc<impl SourceOwner + ?Sized>,
        left: &Arc<Foreign>,
    ) -> io::Result<()> {
        let this = owner.source();
        let slot = this.reactor.lock();
        {
            let mut foreign = lock(&this.lazy().foreign);
            if !foreign.as_ref().is_some_and(|now| Arc::ptr_eq(now, left)) {
                // The other half has left it.
                return Ok(());
            }
            // Cleared before the registration is gone: a half that finds no registration reads the
            // flags again. The caller drops the registration.
            this.state.set(FOREIGN, false);
            *foreign = None;
        }
        this.state.report(READ | WRITE);
        Self::attach(owner, slot, Foreign::register_async_io)
    }

    /// Registers with the reactor of this thread or, if there is none, by `foreign`. Wakers may run
    /// any code, so they are called after the slot is unlocked.
    fn attach<T: SourceOwner + ?Sized>(
        owner: &Arc<T>,
        mut slot: LockedSlot<'_>,
        foreign: impl FnOnce(&Arc<T>, BorrowedFd<'static>) -> io::Result<Foreign>,
    ) -> io::Result<()> {
        let this = owner.source();
        if let Some(reactor) = Reactor::current()
            && let Err(error) = reactor
                .register(this.fd(), owner)
                .map(|()| slot.set(reactor))
        {
            // Readiness is not reported, so every waiting task is woken to get the error.
            return this.fail_attach(slot, error);
        }
        if slot.get().is_some() {
            return Ok(());
        }
        // `end_registration` drops it.
        let foreign = match foreign(owner, this.fd.fd_until_close()) {
            Ok(foreign) => foreign,
            Err(error) => return this.fail_attach(slot, error),
        };
        let flags = foreign.flags();
        *lock(&this.lazy().foreign) = Some(Arc::new(foreign));
        // For both halves: a task that waits already is woken to wait for the new registration.
        this.state.report(flags);
        drop(slot);
        this.wake_both();
        Ok(())
    }

    fn fail_attach(&self, slot: LockedSlot<'_>, error: io::Error) -> io::Result<()> {
        self.set_unregistered();
        drop(slot);
        self.wake_both();
        Err(error)
    }

    /// Makes both halves try their calls again.
    fn set_unregistered(&self) {
        while !self
            .state
            .change(self.state.load(), REGISTERED, READ | WRITE)
        {}
    }
}
