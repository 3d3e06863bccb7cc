//! Who tells a source of its readiness: where it registers, and what it does when that is gone.

use std::io;
use std::sync::{Arc, MutexGuard};

use smol::Async;

use super::source::{Host, Source};
use super::state::{FOREIGN, ORPHAN, READ, REGISTERED, WRITE};
use super::{Reactor, lock};

impl Source {
    /// Registers with this thread's reactor, after a call that found nothing.
    pub(super) fn register(host: &Arc<impl Host + ?Sized>, seen: u32, flag: u32) -> io::Result<()> {
        let this = host.source();
        let home = lock(&this.home);
        // Before the kernel may tell anything, which it does at once where there is something.
        // If that fails, there was an event between, or the other half has registered, and the
        // call is made again.
        if !this.state.change(seen, flag, REGISTERED) {
            return Ok(());
        }
        Self::settle(host, home)
    }

    /// Leaves a reactor that nobody drives, for this thread's.
    pub(super) fn rehome(host: &Arc<impl Host + ?Sized>) -> io::Result<()> {
        let this = host.source();
        let mut home = lock(&this.home);
        let seen = this.state.load();
        if seen & ORPHAN == 0 {
            // The other half has.
            return Ok(());
        }
        let left = match home.take() {
            Some(reactor) if !reactor.is_driven() => reactor,
            stays => {
                // It has found another thread, or we were told late of one that has been left
                // already. Unless that has lost its thread, too, meanwhile.
                *home = stays;
                this.state.change(seen, ORPHAN, 0);
                return Ok(());
            }
        };
        // Its reference to us is buried there until somebody drives it again, or nobody has it any more:
        // our memory may outlive the last handle so long, but not the descriptor.
        left.deregister(this.fd(), this);
        // Where that fails, it is found out on the next round that there is a new home.
        this.state.change(seen, ORPHAN, 0);
        let settled = Self::settle(host, home);
        // Not while `home` was locked: with it goes what is buried there.
        drop(left);
        settled
    }

    /// Finds a home. Wakers may do anything, so they are called when it is unlocked.
    fn settle(
        host: &Arc<impl Host + ?Sized>,
        mut home: MutexGuard<'_, Option<Arc<Reactor>>>,
    ) -> io::Result<()> {
        let this = host.source();
        if let Some(reactor) = Reactor::current()
            && let Err(error) = reactor
                .register(this.fd(), host)
                .map(|()| *home = Some(reactor))
        {
            // Nobody tells of readiness, and whoever waits is to hear why.
            return this.fail(home, error);
        }
        if home.is_some() {
            return Ok(());
        }
        // `depart` drops it.
        match Async::new_nonblocking(this.descriptor.lasting()) {
            Ok(foreign) => *lock(&this.seldom().foreign) = Some(Arc::new(foreign)),
            Err(error) => return this.fail(home, error),
        }
        // For both halves: whoever waits already, waits for async-io from now on.
        this.state.tell(READ | WRITE | FOREIGN);
        drop(home);
        this.wake_both();
        Ok(())
    }

    fn fail<T>(&self, home: MutexGuard<'_, T>, error: io::Error) -> io::Result<()> {
        while !self
            .state
            .change(self.state.load(), REGISTERED, READ | WRITE)
        {}
        drop(home);
        self.wake_both();
        Err(error)
    }
}
