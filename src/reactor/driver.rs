//! Polls a reactor, for the thread that drives it or for one of several that share it.

use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::event::Timespec;
use rustix::event::epoll;
use rustix::io::Errno;

use super::batch::Batch;
use super::{CURRENT, Current, DRIVEN, Group, IDLE, Reactor, Source, here, outbox};
use crate::catch::catch_each;

/// Events that are taken from the kernel at once.
const BATCH: usize = 256;

/// A thread's hold on the reactor that it drives.
pub(crate) struct Driver {
    pub(super) reactor: Arc<Reactor>,
    /// The reactor that this thread drove before, to which it returns.
    outer: Option<Current>,
}

impl Driver {
    pub(super) fn new(reactor: Arc<Reactor>, outer: Option<Current>) -> Self {
        Self { reactor, outer }
    }

    /// The reactor that this thread drove before.
    pub(super) fn outer(&self) -> Option<&Arc<Reactor>> {
        self.outer.as_ref().map(|outer| &outer.reactor)
    }

    /// From now on a [`notify`](Reactor::notify) is news. Says whether there was one before.
    pub(crate) fn listen(&self) -> bool {
        self.reactor.bell.listen()
    }

    /// Whether [`notify`](Reactor::notify) was called since then.
    pub(crate) fn is_notified(&self) -> bool {
        self.reactor.bell.is_rung()
    }

    /// # Panics
    ///
    /// Where the task that has run has forked, in the child: the tasks that follow are the parent's.
    #[inline(always)]
    pub(crate) fn end_task(&self) {
        self.reactor.process.assert();
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

    /// Polls the kernel and wakes tasks, also those whose sleep is over. Waits as long as `wait` says,
    /// which is asked right before. Returns whether wakers were called or dropped, which may leave
    /// something to do. A waker that panics ends nothing. `now` is asked only when a clock has rung.
    pub(crate) fn turn(
        &self,
        wait: impl FnOnce() -> Option<Duration>,
        now: impl Fn() -> Instant,
    ) -> io::Result<bool> {
        Ok(self.try_turn(wait, now)?.unwrap_or(false))
    }

    /// The same for a reactor that threads share. None: another thread polls it.
    pub(crate) fn try_turn(
        &self,
        wait: impl FnOnce() -> Option<Duration>,
        now: impl Fn() -> Instant,
    ) -> io::Result<Option<bool>> {
        let reactor = &*self.reactor;
        let _driving = match &reactor.group {
            None => None,
            Some(group) => match group.try_drive() {
                None => return Ok(None),
                driving => driving,
            },
        };
        let mut buffer = [const { MaybeUninit::uninit() }; BATCH];
        // What was freed may have woken tasks, or written to a socket.
        let freed = reactor.free_buried();
        let wait = if freed { Some(Duration::ZERO) } else { wait() };
        // A wait that is too long for the kernel ends when something happens.
        let wait = wait.and_then(|wait| Timespec::try_from(wait).ok());
        let events = match epoll::wait(&reactor.epoll, &mut buffer[..], wait.as_ref()) {
            Ok((events, _)) => events,
            Err(Errno::INTR) => return Ok(Some(freed)),
            Err(error) => return Err(error.into()),
        };
        let told = events.iter().map(|event| (event.data, event.flags));
        let batch = Batch::begin();
        catch_each(told, |(data, flags)| match reactor.clock(data) {
            Some(timers) => timers.ring(now()),
            None => Source::tell(data, flags),
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
        if self.reactor.process.is_parent() {
            outbox::forget_turn();
        } else {
            self.end_turn();
        }
        let outer = self.outer.take();
        let here = outer.as_ref().map(|outer| &raw const *outer.reactor);
        if let Some(outer) = &outer {
            outer.reactor.driven.store(DRIVEN, Ordering::SeqCst);
        }
        here::set_reactor(here.unwrap_or(ptr::null()));
        CURRENT.set(outer);
        let reactor = &*self.reactor;
        if reactor.group.as_ref().is_none_or(Group::leave) {
            reactor.unless_driven(|| reactor.free_buried());
            reactor.leave(IDLE);
        }
    }
}
