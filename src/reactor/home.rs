//! Who tells a source of its readiness: where it registers, and what it does when that is gone.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::foreign::{Foreign, Look};
use super::registered::Locked;
use super::source::{Direction, Source, SourceOwner};
use super::state::{FOREIGN, READ, REGISTERED, WRITE};
use super::{Reactor, here, lock};

impl Source {
    /// Registers with this thread's reactor, after a call that found nothing.
    pub(super) fn register(
        host: &Arc<impl SourceOwner + ?Sized>,
        seen: u32,
        flag: u32,
    ) -> io::Result<()> {
        let this = host.source();
        let home = this.home.lock();
        // Before the kernel may tell anything, which it does at once where there is something.
        // If that fails, there was an event between, or the other half has registered, and the
        // call is made again.
        if !this.state.change(seen, flag, REGISTERED) {
            return Ok(());
        }
        Self::settle(host, home, Foreign::here)
    }

    /// For a source that is not registered with this thread's reactor. Whether it may wait. A source moves to the reactor
    /// of the thread that polls it, as the thread of the other one may be held; a thread without a
    /// reactor moves it only if no thread drives that one.
    pub(super) fn waits_outside(host: &Arc<impl SourceOwner + ?Sized>) -> io::Result<bool> {
        let this = host.source();
        let mut home = this.home.lock();
        match home.get() {
            // It has just lost its reactor, or found none: the state word says so.
            None => return Ok(false),
            Some(reactor) => {
                let stays = reactor.is_current() || here::reactor().is_null();
                if stays && reactor.admit_outsider() {
                    return Ok(true);
                }
            }
        }
        let left = home.take();
        if let Some(left) = &left {
            // Its reference to us is buried there until a thread polls it again, or it is dropped:
            // our memory may outlive the last handle so long, but not the descriptor.
            left.deregister(this.fd(), this);
        }
        if let Some(reactor) = Reactor::current() {
            // The other half may wait, in a task of another executor.
            reactor.admit_outsider();
        }
        let settled = Self::settle(host, home, Foreign::here);
        // Not while `home` was locked: with it goes what is buried there.
        drop(left);
        settled.map(|()| false)
    }

    /// Leaves that reactor, which no thread will drive again, and is as if it were new: the next
    /// poll that finds nothing registers it. A reactor's own reference keeps the source meanwhile.
    pub(super) fn evict(&self, reactor: &Reactor) {
        let mut home = self.home.lock();
        if !home.is(reactor) {
            return;
        }
        let left = home.take();
        // The descriptor is open: its last user takes `home` before it is closed.
        reactor.deregister(self.fd(), self);
        while !self
            .state
            .change(self.state.load(), REGISTERED, READ | WRITE)
        {}
        drop(home);
        self.wake_both();
        drop(left);
    }

    /// Finds a home. Wakers may do anything, so they are called when it is unlocked.
    fn settle<T: SourceOwner + ?Sized>(
        host: &Arc<T>,
        mut home: Locked<'_>,
        foreign: impl FnOnce(&Arc<T>, BorrowedFd<'static>) -> io::Result<Foreign>,
    ) -> io::Result<()> {
        let this = host.source();
        if let Some(reactor) = Reactor::current()
            && let Err(error) = reactor
                .register(this.fd(), host)
                .map(|()| home.set(reactor))
        {
            // Nobody tells of readiness, and whoever waits is to hear why.
            return this.fail(home, error);
        }
        if home.get().is_some() {
            return Ok(());
        }
        // `depart` drops it.
        let foreign = match foreign(host, this.descriptor.lasting()) {
            Ok(foreign) => foreign,
            Err(error) => return this.fail(home, error),
        };
        let flags = foreign.flags();
        *lock(&this.seldom().foreign) = Some(Arc::new(foreign));
        // For both halves: a task that waits already is woken to wait there.
        this.state.tell(flags);
        drop(home);
        this.wake_both();
        Ok(())
    }

    /// As `poll_ready`, where the home is another runtime's.
    pub(super) fn poll_foreign(
        host: &Arc<impl SourceOwner + ?Sized>,
        cx: &mut Context<'_>,
        direction: Direction,
    ) -> Poll<io::Result<u32>> {
        let (this, flag) = (host.source(), direction.flag());
        let wait = |cx: &Context<'_>| {
            this.wait(cx, direction);
            this.state.load() & (flag | FOREIGN) == FOREIGN
        };
        loop {
            let seen = this.state.load();
            if seen & (flag | FOREIGN) != FOREIGN {
                return Poll::Ready(Ok(seen));
            }
            let Some(foreign) = lock(&this.seldom().foreign).clone() else {
                continue;
            };
            match foreign.look(cx, direction, wait)? {
                Look::Asleep => return Poll::Pending,
                Look::Ready(flags) => {
                    this.state.tell(flags);
                }
                Look::Elsewhere => Self::leave_foreign(host, &foreign)?,
            }
        }
    }

    /// Leaves a runtime that may never wake a task of this thread. Without a reactor of ours
    /// async-io takes its place, so that halves in two runtimes do not take turns at moving.
    fn leave_foreign(host: &Arc<impl SourceOwner + ?Sized>, left: &Arc<Foreign>) -> io::Result<()> {
        let this = host.source();
        let home = this.home.lock();
        {
            let mut foreign = lock(&this.seldom().foreign);
            if !foreign.as_ref().is_some_and(|now| Arc::ptr_eq(now, left)) {
                // The other half has left it.
                return Ok(());
            }
            // Before it is gone: a half that finds none looks at the flags again. The caller
            // drops it.
            this.state.mark(FOREIGN, false);
            *foreign = None;
        }
        this.state.tell(READ | WRITE);
        Self::settle(host, home, Foreign::everywhere)
    }

    fn fail(&self, home: Locked<'_>, error: io::Error) -> io::Result<()> {
        while !self
            .state
            .change(self.state.load(), REGISTERED, READ | WRITE)
        {}
        drop(home);
        self.wake_both();
        Err(error)
    }
}
