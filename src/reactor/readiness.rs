//! Calls on a source that wait until the source is ready.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::task::{Context, Poll, ready};

use rustix::io::Errno;

use super::foreign::ForeignPoll;
use super::source::{Source, SourceOwner};
use super::state::{Direction, FOREIGN, PARTIAL, READ, REGISTERED};
use super::{Reactor, current, lock};
use crate::polling::is_task;

impl Source {
    /// Calls `io` until it returns anything but "would block", and waits in between. `short`
    /// returns true for a result of fewer bytes than there is room for. After such a result the
    /// next call waits at once, unless a short transfer [may leave something](PARTIAL).
    #[inline(always)]
    pub(super) fn poll_io<T>(
        owner: &Arc<impl SourceOwner + ?Sized>,
        cx: &mut Context<'_>,
        direction: Direction,
        mut io: impl FnMut(BorrowedFd<'_>) -> rustix::io::Result<T>,
        short: impl FnOnce(&T) -> bool,
    ) -> Poll<io::Result<T>> {
        let (this, flag) = (owner.source(), direction.flag());
        loop {
            let mut seen = this.state.load();
            if seen & flag == 0 {
                seen = ready!(Self::poll_ready(owner, cx, direction, seen))?;
            }
            match io(this.fd()) {
                Ok(value) => {
                    if seen & (PARTIAL | REGISTERED) == REGISTERED && short(&value) {
                        this.state.change(seen, flag, 0);
                    }
                    return Poll::Ready(Ok(value));
                }
                Err(Errno::AGAIN) if seen & REGISTERED == 0 => Self::register(owner, seen, flag)?,
                Err(Errno::AGAIN) => {
                    this.state.change(seen, flag, 0);
                }
                Err(Errno::INTR) => {}
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
    }

    /// Returns true if there is nothing to read, and the task is registered to be woken when there is.
    #[inline(always)]
    pub(super) fn is_unreadable(
        owner: &Arc<impl SourceOwner + ?Sized>,
        cx: &mut Context<'_>,
    ) -> bool {
        let seen = owner.source().state.load();
        seen & (READ | FOREIGN) == 0
            && Self::poll_ready(owner, cx, Direction::Read, seen).is_pending()
    }

    /// Waits until the flag of the direction is set, and returns the state word. The flag is clear
    /// in `seen`.
    #[inline(always)]
    fn poll_ready(
        owner: &Arc<impl SourceOwner + ?Sized>,
        cx: &mut Context<'_>,
        direction: Direction,
        seen: u32,
    ) -> Poll<io::Result<u32>> {
        if seen & FOREIGN != 0 {
            return Self::poll_foreign(owner, cx, direction);
        }
        let (this, flag) = (owner.source(), direction.flag());
        this.wait(cx, direction);
        loop {
            let seen = this.state.load();
            if seen & flag != 0 {
                return Poll::Ready(Ok(seen));
            }
            if seen & FOREIGN != 0 {
                return Self::poll_foreign(owner, cx, direction);
            }
            if this.reactor.is(current::reactor()) {
                if !is_task(cx.waker()) {
                    Reactor::admit_outside_waker_on_thread();
                }
                return Poll::Pending;
            }
            if Self::wait_or_move(owner)? {
                return Poll::Pending;
            }
        }
    }

    /// As [`poll_ready`](Self::poll_ready), for a source that is registered with another runtime.
    fn poll_foreign(
        owner: &Arc<impl SourceOwner + ?Sized>,
        cx: &mut Context<'_>,
        direction: Direction,
    ) -> Poll<io::Result<u32>> {
        let (this, flag) = (owner.source(), direction.flag());
        let wait = |cx: &Context<'_>| {
            this.wait(cx, direction);
            this.state.load() & (flag | FOREIGN) == FOREIGN
        };
        loop {
            let seen = this.state.load();
            if seen & (flag | FOREIGN) != FOREIGN {
                return Poll::Ready(Ok(seen));
            }
            let Some(foreign) = lock(&this.lazy().foreign).clone() else {
                continue;
            };
            match foreign.poll_ready(cx, direction, wait)? {
                ForeignPoll::Pending => return Poll::Pending,
                ForeignPoll::Retry(flags) => {
                    this.state.report(flags);
                }
                ForeignPoll::Unreachable => Self::leave_foreign(owner, &foreign)?,
            }
        }
    }

    /// Registers the task to be woken by later events. Earlier events are visible in the state
    /// word.
    fn wait(&self, cx: &Context<'_>, direction: Direction) {
        match direction {
            Direction::Read => self.reader().register(cx.waker()),
            Direction::Write => {
                self.writer().register(cx.waker());
                // See `wake_writer`.
                fence(Ordering::SeqCst);
            }
        }
    }
}
