//! Waits for the readiness of sockets and other descriptors without a reactor of ours: the reactor
//! of another runtime reports it.

mod foreign;
mod shared_fd;
mod socket;
#[cfg(target_os = "linux")]
mod splice;
#[allow(dead_code, reason = "some flags are for a reactor of ours")]
mod state;
mod sys;
mod tcp_info;

#[cfg(feature = "tokio")]
mod current {
    /// Returns true if this thread drives a reactor of ours. There is none.
    pub(super) fn drives_reactor() -> bool {
        false
    }
}

/// Turns have no end here, so no write is gathered.
mod flush {
    use std::io::{self, IoSlice};
    use std::sync::Arc;
    use std::task::{Context, Poll};

    use super::SourceOwner;

    pub(super) enum FlushWaiter {
        Writer,
        End,
    }

    pub(super) fn gather(_: &Arc<impl SourceOwner>, _: &[IoSlice<'_>]) -> Option<usize> {
        None
    }

    pub(super) fn take_read_error(_: &super::Source) -> Option<super::Errno> {
        None
    }

    pub(super) fn end_output(_: &Arc<impl SourceOwner>) -> bool {
        false
    }

    pub(super) fn poll_flushed(
        _: &Arc<impl SourceOwner>,
        _: &Context<'_>,
        _: FlushWaiter,
    ) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    pub(super) fn flush(_: &Arc<impl SourceOwner>) {}
}

/// Bytes are moved through a pipe on Linux only.
#[cfg(not(target_os = "linux"))]
mod splice {
    use std::io::{self, ErrorKind};
    use std::task::{Context, Poll};

    use super::{Socket, SourceOwner};

    #[derive(Debug, Default)]
    pub(crate) struct Pipe(());

    impl Pipe {
        pub(crate) fn take() -> Option<Self> {
            None
        }

        pub(crate) fn is_empty(&self) -> bool {
            true
        }

        pub(crate) fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Ok(0)
        }
    }

    impl<T: SourceOwner> Socket<T> {
        pub(crate) fn poll_splice_in(
            &self,
            _: &mut Context<'_>,
            _: &mut Pipe,
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Err(ErrorKind::Unsupported.into()))
        }

        pub(crate) fn poll_splice_out(
            &self,
            _: &mut Context<'_>,
            _: &mut Pipe,
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(0))
        }
    }
}

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use rustix::io::Errno;

use crate::waker_slot::WakerSlot;
#[cfg(feature = "tokio")]
pub(crate) use foreign::current_tokio;
use foreign::{Foreign, ForeignPoll, ReportReady};
use shared_fd::SharedFd;
pub(crate) use socket::{Socket, WatchedFd};
pub(crate) use splice::Pipe;
use state::{Direction, PARTIAL, READ, StateWord};
pub(crate) use sys::{reset, slices_to_read, slices_to_write, unsent_bytes};
pub(crate) use tcp_info::tcp_info;

/// A sleep that no reactor of ours can wake: the timer of another runtime does.
pub(crate) struct Alarm(Instant);

impl Alarm {
    pub(crate) fn new(deadline: Instant) -> Self {
        Self(deadline)
    }

    pub(crate) fn deadline(&self) -> Instant {
        self.0
    }

    /// Returns None: this thread has no reactor to wake the task.
    #[allow(clippy::unused_self, reason = "used with a reactor of ours")]
    pub(crate) fn poll(
        &mut self,
        _: &mut Context<'_>,
        _: impl FnOnce() -> Instant,
    ) -> Option<Poll<()>> {
        None
    }
}

/// A value that contains a source, so that a connection's socket and all other state of the
/// connection are one allocation.
pub(crate) trait SourceOwner: Send + Sync + 'static {
    fn source(&self) -> &Source;
}

/// A descriptor that several handles share.
#[derive(Debug)]
pub(crate) struct Source {
    fd: SharedFd,
    state: StateWord,
    reader: WakerSlot,
    writer: WakerSlot,
    /// A read has found the peer's end.
    ended: AtomicBool,
    /// The registration. None until a call found nothing.
    foreign: Mutex<Option<Arc<Foreign>>>,
}

impl SourceOwner for Source {
    fn source(&self) -> &Source {
        self
    }
}

impl Source {
    /// Takes over a descriptor, with one handle. A short read may leave something.
    pub(crate) fn new(fd: OwnedFd) -> Self {
        let this = Self::trusted(fd);
        this.state.set(PARTIAL, true);
        this
    }

    /// Takes over a descriptor of a kind that has no more bytes after a short read, and no more
    /// room after a short write.
    pub(crate) fn trusted(fd: OwnedFd) -> Self {
        Self::with(SharedFd::new(fd))
    }

    /// Makes a source without a descriptor. Tasks can still register their wakers.
    pub(crate) fn none() -> Self {
        Self::with(SharedFd::none())
    }

    fn with(fd: SharedFd) -> Self {
        Self {
            fd,
            state: StateWord::new(),
            reader: WakerSlot::default(),
            writer: WakerSlot::default(),
            ended: AtomicBool::new(false),
            foreign: Mutex::new(None),
        }
    }

    /// Returns true if there is a descriptor, or was one before it was closed.
    pub(crate) fn is_some(&self) -> bool {
        self.fd.is_some()
    }

    /// Calls `f` with the descriptor, which stays open meanwhile. Returns None if it is closed or
    /// there never was one. This is no handle that [`is_shared`](Self::is_shared) counts.
    pub(crate) fn with_fd<T>(&self, f: impl FnOnce(BorrowedFd<'_>) -> T) -> Option<T> {
        self.fd.with_fd(f, || self.end_registration())
    }

    /// The waker of the reading task.
    pub(crate) fn reader(&self) -> &WakerSlot {
        &self.reader
    }

    /// Makes the next read or accept call the kernel, even if the socket is not known to be
    /// readable.
    pub(crate) fn assume_readable(&self) {
        self.state.report(READ);
    }

    /// Returns the number of written bytes that the peer has not acknowledged. Returns None if
    /// there is no open descriptor, or if the system does not count them.
    pub(crate) fn unsent(&self) -> Option<usize> {
        self.with_fd(unsent_bytes)?.ok()
    }

    /// Returns false: no write is gathered.
    #[allow(clippy::unused_self, reason = "used with a reactor of ours")]
    pub(crate) fn is_corked(&self) -> bool {
        false
    }

    /// Returns false: an output is shut down at once.
    #[allow(clippy::unused_self, reason = "used with a reactor of ours")]
    fn is_shutdown_due(&self) -> bool {
        false
    }

    /// Does nothing: no write is gathered.
    #[allow(clippy::unused_self, reason = "used with a reactor of ours")]
    fn set_write_shut(&self) {}

    /// Borrows the descriptor. The caller is a user of it.
    fn fd(&self) -> BorrowedFd<'_> {
        self.fd.fd()
    }

    /// Returns true if there are several handles.
    fn is_shared(&self) -> bool {
        self.fd.is_shared()
    }

    /// Records that a read has found the peer's end.
    fn set_read_ended(&self) {
        self.ended.store(true, Ordering::Release);
    }

    /// Returns true if a read has found the peer's end. The kernel then has no unread bytes.
    fn is_read_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Adds a handle. The caller has one, or there is no descriptor.
    fn add_handle(&self) {
        self.fd.add_handle();
    }

    /// Removes a handle. The last one ends the registration and closes the descriptor.
    fn drop_handle(&self) {
        self.fd.drop_handle(|| self.end_registration());
    }

    /// Ends the registration, before the descriptor is closed.
    fn end_registration(&self) {
        // Dropped after the lock is released: the drops of its wakers may run any code.
        let foreign = self.foreign().take();
        drop(foreign);
    }

    /// Calls `io` until it returns anything but "would block", and waits in between. `short`
    /// returns true for a result of fewer bytes than there is room for. After such a result the
    /// next call waits at once, unless a short transfer may leave something.
    fn poll_io<T>(
        owner: &Arc<impl SourceOwner>,
        cx: &mut Context<'_>,
        direction: Direction,
        mut io: impl FnMut(BorrowedFd<'_>) -> rustix::io::Result<T>,
        short: impl FnOnce(&T) -> bool,
    ) -> Poll<io::Result<T>> {
        let (this, flag) = (owner.source(), direction.flag());
        loop {
            let mut seen = this.state.load();
            if seen & flag == 0 {
                seen = ready!(Self::poll_ready(owner, cx, direction))?;
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

    /// Returns false: a read has to find out.
    fn is_unreadable(_: &Arc<impl SourceOwner>, _: &mut Context<'_>) -> bool {
        false
    }

    /// Waits until the flag of the direction is set, and returns the state word.
    fn poll_ready(
        owner: &Arc<impl SourceOwner>,
        cx: &mut Context<'_>,
        direction: Direction,
    ) -> Poll<io::Result<u32>> {
        let (this, flag) = (owner.source(), direction.flag());
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
            let foreign = Self::register(owner)?;
            match foreign.poll_ready(cx, direction, wait)? {
                ForeignPoll::Pending => return Poll::Pending,
                ForeignPoll::Retry(flags) => {
                    this.state.report(flags);
                }
                ForeignPoll::Unreachable => Self::leave_foreign(owner, &foreign)?,
            }
        }
    }

    /// Returns the registration. If there is none yet, the source registers with the runtime of
    /// this thread.
    fn register(owner: &Arc<impl SourceOwner>) -> io::Result<Arc<Foreign>> {
        let this = owner.source();
        let mut slot = this.foreign();
        if let Some(foreign) = &*slot {
            return Ok(foreign.clone());
        }
        // `end_registration` drops it.
        let foreign = Arc::new(Foreign::register(owner, this.fd.fd_until_close())?);
        this.state.set(foreign.flags(), true);
        *slot = Some(foreign.clone());
        Ok(foreign)
    }

    /// Leaves a runtime that may never wake a task of this thread. The source moves to async-io and
    /// stays there, so that halves in two runtimes do not move it back and forth.
    fn leave_foreign(owner: &Arc<impl SourceOwner>, left: &Arc<Foreign>) -> io::Result<()> {
        let this = owner.source();
        {
            let mut slot = this.foreign();
            if !slot.as_ref().is_some_and(|now| Arc::ptr_eq(now, left)) {
                // The other half has left it.
                return Ok(());
            }
            // The caller drops the registration.
            *slot = None;
            let foreign = Foreign::register_async_io(owner, this.fd.fd_until_close())?;
            this.state.set(foreign.flags(), true);
            *slot = Some(Arc::new(foreign));
        }
        this.report_ready(Direction::Read);
        this.report_ready(Direction::Write);
        Ok(())
    }

    fn foreign(&self) -> MutexGuard<'_, Option<Arc<Foreign>>> {
        self.foreign.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: SourceOwner + ?Sized> ReportReady for T {
    fn report_ready(&self, direction: Direction) {
        let source = self.source();
        source.state.report(direction.flag());
        match direction {
            Direction::Read => source.reader.wake(),
            Direction::Write => source.writer.wake(),
        }
    }
}
