//! A descriptor, its readiness, and the tasks that wait for it.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering, fence};
use std::sync::{Arc, Mutex};

use once_cell::race::OnceBox;
use rustix::event::epoll::{EventData, EventFlags};

use super::foreign::{Foreign, ReportReady};
use super::lock;
use super::outbox::Outbox;
use super::reactor_slot::ReactorSlot;
use super::shared_fd::SharedFd;
use super::state::{
    CORKED, Direction, FOREIGN, PARTIAL, READ, READ_ENDED, SHUTDOWN_DUE, StateWord, WRITE,
    WRITE_SHUT,
};
use super::sys::unsent_bytes;
use crate::catch::catch_each;
use crate::waker_slot::WakerSlot;

/// A value that contains a source, so that a connection's socket and all other state of the
/// connection are one allocation.
pub(crate) trait SourceOwner: Send + Sync + 'static {
    fn source(&self) -> &Source;

    /// Converts the owner to the type that a reactor holds.
    fn share(self: Arc<Self>) -> Arc<dyn SourceOwner>;
}

/// A descriptor that several handles share, and its registration with a reactor.
#[derive(Debug)]
pub(crate) struct Source {
    /// Open until the last handle is dropped. A reactor may keep the other fields a little longer.
    pub(super) fd: SharedFd,
    pub(super) state: StateWord,
    /// The index in the list of the reactor.
    index: AtomicU32,
    /// The reactor that the source is registered with.
    pub(super) reactor: ReactorSlot,
    reader: WakerSlot,
    lazy: OnceBox<LazyState>,
}

/// The state that most sockets never need, allocated at its first use.
#[derive(Debug, Default)]
pub(super) struct LazyState {
    writer: WakerSlot,
    outbox: Outbox,
    /// The registration on threads that drive no reactor of ours.
    pub(super) foreign: Mutex<Option<Arc<Foreign>>>,
}

impl SourceOwner for Source {
    fn source(&self) -> &Source {
        self
    }

    fn share(self: Arc<Self>) -> Arc<dyn SourceOwner> {
        self
    }
}

/// Handles and the descriptor.
impl Source {
    /// Takes over a descriptor, with one handle. A short read may leave something: a Unix socket
    /// ends a read after bytes that were sent with descriptors.
    pub(crate) fn new(fd: OwnedFd) -> Self {
        let this = Self::trusted(fd);
        this.state.set(PARTIAL, true);
        this
    }

    /// Takes over a descriptor of a kind that has no more bytes after a short read, and no more
    /// room after a short write: TCP, unless an event reports otherwise, and the writing side of
    /// pipes.
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
            index: AtomicU32::new(0),
            reactor: ReactorSlot::empty(),
            reader: WakerSlot::default(),
            lazy: OnceBox::new(),
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

    /// Borrows the descriptor. The caller is a user of it.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.fd()
    }

    /// Returns true if there are several handles.
    pub(super) fn is_shared(&self) -> bool {
        self.fd.is_shared()
    }

    /// Adds a handle. The caller has one, or there is no descriptor.
    pub(super) fn add_handle(&self) {
        self.fd.add_handle();
    }

    /// Removes a handle. The last one ends the registration and closes the descriptor.
    pub(super) fn drop_handle(&self) {
        self.fd.drop_handle(|| self.end_registration());
    }

    /// Ends the registration, before the descriptor is closed.
    fn end_registration(&self) {
        let reactor = self.reactor.lock().take();
        let lazy = self.lazy.get();
        if let Some(reactor) = reactor {
            reactor.deregister(self.fd(), self);
        } else if let Some(lazy) = lazy {
            // Dropped after the lock is released: the drops of its wakers may run any code.
            let foreign = lock(&lazy.foreign).take();
            drop(foreign);
        }
        if let Some(lazy) = lazy {
            // The waker of a finished flush may still hold this source.
            drop(lazy.writer.take());
        }
    }

    /// Returns the index in the list of the reactor.
    pub(super) fn index(&self) -> usize {
        self.index.load(Ordering::Relaxed) as usize
    }

    #[allow(
        clippy::cast_possible_truncation,
        reason = "there are fewer descriptors than i32::MAX"
    )]
    pub(super) fn set_index(&self, index: usize) {
        self.index.store(index as u32, Ordering::Relaxed);
    }

    pub(super) fn lazy(&self) -> &LazyState {
        self.lazy.get_or_init(Box::default)
    }
}

/// Flags of the state word, and the outbox.
impl Source {
    /// Makes the next read or accept call the kernel, even if the socket is not known to be
    /// readable.
    pub(crate) fn assume_readable(&self) {
        self.state.report(READ);
    }

    /// Returns the number of written bytes that the peer has not acknowledged. Returns None if
    /// there is no open descriptor, or if the kernel does not count them.
    pub(crate) fn unsent(&self) -> Option<usize> {
        let unsent = self.with_fd(|socket| match self.lazy.get() {
            Some(lazy) => lazy.outbox.unsent_bytes(socket),
            None => unsent_bytes(socket),
        });
        unsent?.ok()
    }

    /// Calls `take` with the written bytes that the kernel does not have. If it returns true, they
    /// are dropped, since other code sends them. None of them is sent during the call, which is
    /// under a lock. Returns the result, or false if earlier bytes are lost.
    pub(crate) fn give_up_unsent(&self, take: impl FnOnce(&[u8]) -> bool) -> bool {
        match self.lazy.get() {
            Some(lazy) => lazy.outbox.give_up(self, take),
            None => take(&[]),
        }
    }

    pub(super) fn outbox(&self) -> &Outbox {
        &self.lazy().outbox
    }

    /// Returns true if the outbox has bytes, or an error of lost bytes that no call has returned
    /// yet.
    pub(crate) fn is_corked(&self) -> bool {
        self.state.load() & CORKED != 0
    }

    /// Returns true if written bytes may wait for the end of a turn.
    pub(super) fn can_gather(&self) -> bool {
        self.state.load() & (FOREIGN | WRITE_SHUT) == 0
    }

    /// Keeps the descriptor open for an outbox that is about to have bytes. The caller is a user.
    pub(super) fn cork(&self) {
        self.state.set(CORKED, true);
        self.fd.hold();
    }

    pub(super) fn uncork(&self) {
        self.state.set(CORKED, false);
    }

    /// Releases the hold of an outbox that is empty again. This may close the descriptor.
    pub(super) fn release_hold(&self) {
        self.fd.release_hold(|| self.end_registration());
    }

    /// Returns true if the output is to be shut down at the end of the turn.
    pub(super) fn is_shutdown_due(&self) -> bool {
        self.state.load() & SHUTDOWN_DUE != 0
    }

    /// Records that writes fail from now on.
    pub(super) fn set_write_shut(&self) {
        self.state.set(WRITE_SHUT, true);
    }

    /// Records that a read has found the peer's end.
    pub(super) fn set_read_ended(&self) {
        self.state.set(READ_ENDED, true);
    }

    /// Returns true if a read has found the peer's end. The kernel then has no unread bytes.
    pub(super) fn is_read_ended(&self) -> bool {
        self.state.load() & READ_ENDED != 0
    }
}

/// Events, and the tasks that they wake.
impl Source {
    /// The waker of the reading task.
    pub(crate) fn reader(&self) -> &WakerSlot {
        &self.reader
    }

    /// The waker of the task that waits for the kernel to take more.
    pub(super) fn writer(&self) -> &WakerSlot {
        &self.lazy().writer
    }

    /// Handles an event of the kernel. `data` is the address of the source.
    #[inline(always)]
    pub(super) fn handle_event(data: EventData, flags: EventFlags) {
        let source = data.ptr().cast::<Self>();
        if source.is_null() {
            return;
        }
        // SAFETY: a registered source is at this address. Its registration is ended in the kernel
        // before the reactor's reference is dropped, or is retired. Either reference is
        // dropped only between batches of the thread that drives the reactor, and that thread
        // holds the lock of a reactor that threads share.
        let source = unsafe { &*source };
        let end = EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR;
        // A read ends before urgent data, whatever follows it.
        let partial = EventFlags::PRI | end;
        let mut ready = 0;
        if flags.intersects(EventFlags::IN | partial) {
            ready |= READ;
        }
        if flags.intersects(partial) {
            ready |= PARTIAL;
        }
        if flags.intersects(EventFlags::OUT | EventFlags::HUP | EventFlags::ERR) {
            ready |= WRITE;
        }
        let before = source.state.report(ready);
        let reads = ready & READ != 0;
        // No task waits to write while the flag is set.
        let writes = ready & WRITE != 0 && before & WRITE == 0;
        match (reads, writes) {
            (true, true) => source.wake_both(),
            (true, false) => source.wake_reader(),
            (false, true) => source.wake_writer(),
            (false, false) => {}
        }
    }

    /// Wakes the waiting tasks to try again, as no thread drives the reactor any more.
    pub(super) fn wake_to_retry(&self) {
        self.state.report(READ | WRITE);
        self.wake_both();
    }

    pub(super) fn wake_both(&self) {
        catch_each([Self::wake_reader, Self::wake_writer], |wake| wake(self));
    }

    #[inline(always)]
    fn wake_reader(&self) {
        self.reader.wake();
    }

    fn wake_writer(&self) {
        // With the fence of `wait`: either this load sees the lazy state that a writer has just
        // allocated, or that writer sees the flag.
        fence(Ordering::SeqCst);
        if let Some(lazy) = self.lazy.get() {
            lazy.writer.wake();
        }
    }
}

impl<T: SourceOwner + ?Sized> ReportReady for T {
    fn report_ready(&self, direction: Direction) {
        let source = self.source();
        source.state.report(direction.flag());
        match direction {
            Direction::Read => source.wake_reader(),
            Direction::Write => source.wake_writer(),
        }
    }
}
