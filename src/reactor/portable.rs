//! Tells when a socket or the like is ready where there is no reactor of ours: another runtime's does.

mod descriptor;
mod foreign;
pub(crate) mod slices;
mod socket;
#[allow(dead_code, reason = "some flags are for a reactor of ours")]
mod state;
#[cfg(feature = "tokio")]
mod tokio;
mod unsent;
mod watched;

#[cfg(feature = "tokio")]
mod here {
    /// Whether this thread drives a reactor of ours, of which there is none.
    pub(super) fn drives_ours() -> bool {
        false
    }
}

/// Turns have no end here: what is written is sent as it is.
mod outbox {
    use std::io::{self, IoSlice};
    use std::sync::Arc;
    use std::task::{Context, Poll};

    use super::SourceOwner;
    use super::socket::Waits;

    pub(super) fn put(_: &Arc<impl SourceOwner>, _: &[IoSlice<'_>]) -> Option<usize> {
        None
    }

    pub(super) fn failure(_: &super::Source) -> Option<super::Errno> {
        None
    }

    pub(super) fn end(_: &Arc<impl SourceOwner>) -> bool {
        false
    }

    pub(super) fn poll_empty(
        _: &Arc<impl SourceOwner>,
        _: &Context<'_>,
        _: Waits,
    ) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    pub(super) fn send_now(_: &Arc<impl SourceOwner>) {}
}

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use rustix::io::Errno;

use crate::waker_slot::WakerSlot;
use descriptor::Descriptor;
use foreign::{Foreign, Look};
pub(crate) use socket::{Socket, reset};
use state::{PARTIAL, READ, State, WRITE};
#[cfg(feature = "tokio")]
pub(crate) use tokio::tokio_here;
pub(crate) use unsent::unsent;
pub(crate) use watched::Watched;

/// What a descriptor is waited for.
#[derive(Clone, Copy, Debug)]
enum Direction {
    Read,
    Write,
}

/// What a source lives in, so that a connection's socket and all that is known of it are one
/// allocation.
pub(crate) trait SourceOwner: Send + Sync + 'static {
    fn source(&self) -> &Source;
}

/// A descriptor that several handles share.
#[derive(Debug)]
pub(crate) struct Source {
    descriptor: Descriptor,
    state: State,
    reader: WakerSlot,
    writer: WakerSlot,
    /// A read has found the peer's end.
    ended: AtomicBool,
    /// None until a call found nothing.
    home: Mutex<Option<Arc<Foreign>>>,
}

impl SourceOwner for Source {
    fn source(&self) -> &Source {
        self
    }
}

impl Source {
    /// Takes over a descriptor, for one user. A short read may leave something.
    pub(crate) fn new(fd: OwnedFd) -> Self {
        let this = Self::trusted(fd);
        this.state.mark(PARTIAL, true);
        this
    }

    /// The same, of a kind of which a short read leaves nothing, nor does a short write any room.
    pub(crate) fn trusted(fd: OwnedFd) -> Self {
        Self::of(Descriptor::new(fd))
    }

    /// One without a descriptor, at which somebody may wait all the same.
    pub(crate) fn none() -> Self {
        Self::of(Descriptor::none())
    }

    fn of(descriptor: Descriptor) -> Self {
        Self {
            descriptor,
            state: State::new(),
            reader: WakerSlot::default(),
            writer: WakerSlot::default(),
            ended: AtomicBool::new(false),
            home: Mutex::new(None),
        }
    }

    /// Whether there is, or was, a descriptor.
    pub(crate) fn is_some(&self) -> bool {
        self.descriptor.is_some()
    }

    /// Does something with the descriptor, unless it is closed, or there never was one. This is no
    /// use of it that [`is_shared`](Self::is_shared) would see.
    pub(crate) fn visit<T>(&self, visit: impl FnOnce(BorrowedFd<'_>) -> T) -> Option<T> {
        self.descriptor.visit(visit, || self.depart())
    }

    /// Where whoever reads waits.
    pub(crate) fn reader(&self) -> &WakerSlot {
        &self.reader
    }

    /// Has the next read or accept make its system call, whatever is known of readiness.
    pub(crate) fn retry_read(&self) {
        self.state.tell(READ);
    }

    /// Bytes that were written, and that the peer has not acknowledged; none where there is no
    /// descriptor that is open, or the system does not tell.
    pub(crate) fn unsent(&self) -> Option<usize> {
        self.visit(unsent)?.ok()
    }

    /// Whether something that was written has not left yet.
    #[allow(clippy::unused_self, reason = "elsewhere it may")]
    pub(crate) fn is_corked(&self) -> bool {
        false
    }

    #[allow(clippy::unused_self, reason = "elsewhere it may be")]
    fn is_ending(&self) -> bool {
        false
    }

    /// Nothing is gathered in any case.
    #[allow(clippy::unused_self, reason = "elsewhere it ends that")]
    fn shut(&self) {}

    /// For a caller that is one of the users.
    fn fd(&self) -> BorrowedFd<'_> {
        self.descriptor.fd()
    }

    /// Whether there are several handles.
    fn is_shared(&self) -> bool {
        self.descriptor.is_shared()
    }

    /// A read has found the peer's end.
    fn end_read(&self) {
        self.ended.store(true, Ordering::Release);
    }

    /// Whether a read has found the peer's end: the kernel has nothing left that was not read.
    fn is_read_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// One user more. The caller is one, or there is no descriptor.
    fn join(&self) {
        self.descriptor.join();
    }

    /// The last one to leave closes the descriptor.
    fn leave(&self) {
        self.descriptor.leave(|| self.depart());
    }

    /// Before the descriptor is closed: ends the registration.
    fn depart(&self) {
        let home = self.home().take();
        drop(home);
    }

    /// Another runtime's reactor says that a direction is ready.
    fn report(&self, flag: u32) {
        self.state.tell(flag);
        let waiting = if flag == READ {
            &self.reader
        } else {
            &self.writer
        };
        waiting.wake();
    }

    /// Calls `io` until it gives something else than "would block", waiting in between. `short`
    /// says of a result that it was less than there was room for: unless that may leave something,
    /// the next call need not be tried.
    fn poll_io<T>(
        host: &Arc<impl SourceOwner>,
        cx: &mut Context<'_>,
        direction: Direction,
        mut io: impl FnMut(BorrowedFd<'_>) -> rustix::io::Result<T>,
        short: impl FnOnce(&T) -> bool,
    ) -> Poll<io::Result<T>> {
        let (this, flag) = (host.source(), direction.flag());
        loop {
            let mut seen = this.state.load();
            if seen & flag == 0 {
                seen = ready!(Self::poll_ready(host, cx, direction))?;
            }
            match io(this.fd()) {
                Ok(value) => {
                    if seen & PARTIAL == 0 && short(&value) {
                        this.state.change(seen, flag, 0);
                    }
                    return Poll::Ready(Ok(value));
                }
                Err(Errno::AGAIN) => {
                    this.state.change(seen, flag, 0);
                }
                Err(Errno::INTR) => {}
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
    }

    /// The state word, once it says that `io` may succeed, which it did not.
    fn poll_ready(
        host: &Arc<impl SourceOwner>,
        cx: &mut Context<'_>,
        direction: Direction,
    ) -> Poll<io::Result<u32>> {
        let (this, flag) = (host.source(), direction.flag());
        let wait = |cx: &Context<'_>| {
            match direction {
                Direction::Read => this.reader.register(cx.waker()),
                Direction::Write => this.writer.register(cx.waker()),
            }
            this.state.load() & flag == 0
        };
        loop {
            let seen = this.state.load();
            if seen & flag != 0 {
                return Poll::Ready(Ok(seen));
            }
            let foreign = Self::registered(host)?;
            match foreign.look(cx, direction, wait)? {
                Look::Asleep => return Poll::Pending,
                Look::Ready(flags) => {
                    this.state.tell(flags);
                }
                Look::Elsewhere => Self::leave_foreign(host, &foreign)?,
            }
        }
    }

    /// The home, which is that of this thread if there is none yet.
    fn registered(host: &Arc<impl SourceOwner>) -> io::Result<Arc<Foreign>> {
        let this = host.source();
        let mut home = this.home();
        if let Some(home) = &*home {
            return Ok(home.clone());
        }
        // `depart` drops it.
        let foreign = Arc::new(Foreign::here(host, this.descriptor.lasting())?);
        this.state.mark(foreign.flags(), true);
        *home = Some(foreign.clone());
        Ok(foreign)
    }

    /// Leaves a runtime that may never wake a task of this thread, for async-io, so that halves in
    /// two runtimes do not take turns at moving.
    fn leave_foreign(host: &Arc<impl SourceOwner>, left: &Arc<Foreign>) -> io::Result<()> {
        let this = host.source();
        {
            let mut home = this.home();
            if !home.as_ref().is_some_and(|now| Arc::ptr_eq(now, left)) {
                // The other half has left it.
                return Ok(());
            }
            // The caller drops the one that is left.
            *home = None;
            let foreign = Foreign::everywhere(host, this.descriptor.lasting())?;
            this.state.mark(foreign.flags(), true);
            *home = Some(Arc::new(foreign));
        }
        this.report(READ);
        this.report(WRITE);
        Ok(())
    }

    fn home(&self) -> MutexGuard<'_, Option<Arc<Foreign>>> {
        self.home.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Direction {
    fn flag(self) -> u32 {
        match self {
            Self::Read => READ,
            Self::Write => WRITE,
        }
    }
}
