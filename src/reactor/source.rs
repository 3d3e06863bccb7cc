//! A descriptor, its readiness, and who waits for it.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering, fence};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use once_cell::race::OnceBox;
use rustix::event::epoll::{EventData, EventFlags};
use rustix::io::Errno;

use super::foreign::Foreign;
use super::outbox::Outbox;
use super::registered::Registered;
use super::state::{CORKED, ENDED, ENDING, FOREIGN, PARTIAL, READ, REGISTERED, SHUT, State, WRITE};
use super::unsent::unsent;
use super::{Descriptor, Reactor, here, lock};
use crate::catch::catch_each;
use crate::polling::is_task;
use crate::waker_slot::WakerSlot;

/// What a descriptor is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Read,
    Write,
}

/// What a source lives in, so that a connection's socket and all that is known of it are one
/// allocation.
pub(crate) trait SourceOwner: Send + Sync + 'static {
    fn source(&self) -> &Source;

    /// As what a reactor holds.
    fn share(self: Arc<Self>) -> Arc<dyn SourceOwner>;
}

/// A descriptor that several handles share, and a reactor while it is registered.
#[derive(Debug)]
pub(crate) struct Source {
    /// Open until the last handle is dropped; a reactor may hold the rest a little longer.
    pub(super) descriptor: Descriptor,
    pub(super) state: State,
    /// Where it stands in its reactor's list.
    place: AtomicU32,
    pub(super) home: Registered,
    reader: WakerSlot,
    seldom: OnceBox<Seldom>,
}

/// What most sockets never need.
#[derive(Debug, Default)]
pub(super) struct Seldom {
    writer: WakerSlot,
    outbox: Outbox,
    /// The home on threads that drive no reactor of ours.
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

impl Source {
    /// Takes over a descriptor, for one user. A short read may leave something: so it is where the
    /// kernel keeps together what was sent together, as Unix sockets do with descriptors.
    pub(crate) fn new(fd: OwnedFd) -> Self {
        let this = Self::trusted(fd);
        this.state.mark(PARTIAL, true);
        this
    }

    /// The same, of a kind of which a short read leaves nothing, nor does a short write any room:
    /// TCP, as far as events say nothing else, and the writing side of pipes.
    pub(crate) fn trusted(fd: OwnedFd) -> Self {
        Self::with(Descriptor::new(fd))
    }

    /// One without a descriptor, at which somebody may wait all the same.
    pub(crate) fn none() -> Self {
        Self::with(Descriptor::none())
    }

    fn with(descriptor: Descriptor) -> Self {
        Self {
            descriptor,
            state: State::new(),
            place: AtomicU32::new(0),
            home: Registered::nowhere(),
            reader: WakerSlot::default(),
            seldom: OnceBox::new(),
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

    /// Where whoever writes waits for the kernel.
    pub(super) fn writer(&self) -> &WakerSlot {
        &self.seldom().writer
    }

    pub(super) fn outbox(&self) -> &Outbox {
        &self.seldom().outbox
    }

    /// Bytes that were written, and that the peer has not acknowledged; none where there is no
    /// descriptor that is open.
    pub(crate) fn unsent(&self) -> Option<usize> {
        let unsent = self.visit(|socket| match self.seldom.get() {
            Some(seldom) => seldom.outbox.unsent(socket),
            None => unsent(socket),
        });
        unsent?.ok()
    }

    /// Whether something that was written has not left yet, or was lost and nobody knows.
    pub(crate) fn is_corked(&self) -> bool {
        self.state.load() & CORKED != 0
    }

    /// Whether what is written may wait for the end of a turn.
    pub(super) fn may_gather(&self) -> bool {
        self.state.load() & (FOREIGN | SHUT) == 0
    }

    /// The outbox is about to have something in it, which keeps the descriptor open. For a user.
    pub(super) fn cork(&self) {
        self.state.mark(CORKED, true);
        self.descriptor.enter();
    }

    pub(super) fn uncork(&self) {
        self.state.mark(CORKED, false);
    }

    /// The outbox is empty again, and does not keep the descriptor open any more.
    pub(super) fn let_go(&self) {
        self.descriptor.go_out(|| self.depart());
    }

    /// Whether the end of output is about to be said.
    pub(super) fn is_ending(&self) -> bool {
        self.state.load() & ENDING != 0
    }

    /// Writes fail from now on.
    pub(super) fn shut(&self) {
        self.state.mark(SHUT, true);
    }

    pub(super) fn seldom(&self) -> &Seldom {
        self.seldom.get_or_init(Box::default)
    }

    pub(super) fn place(&self) -> usize {
        self.place.load(Ordering::Relaxed) as usize
    }

    /// Descriptors are numbered by an `i32`, so places fit.
    #[allow(clippy::cast_possible_truncation)]
    pub(super) fn set_place(&self, place: usize) {
        self.place.store(place as u32, Ordering::Relaxed);
    }

    /// For a caller that is one of the users.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.descriptor.fd()
    }

    /// Whether there are several handles.
    pub(super) fn is_shared(&self) -> bool {
        self.descriptor.is_shared()
    }

    /// A read has found the peer's end.
    pub(super) fn end_read(&self) {
        self.state.mark(ENDED, true);
    }

    /// Whether a read has found the peer's end: the kernel has nothing left that was not read.
    pub(super) fn is_read_ended(&self) -> bool {
        self.state.load() & ENDED != 0
    }

    /// One user more. The caller is one, or there is no descriptor.
    pub(super) fn join(&self) {
        self.descriptor.join();
    }

    /// The last one to leave ends the registration and closes the descriptor.
    pub(super) fn leave(&self) {
        self.descriptor.leave(|| self.depart());
    }

    /// Before the descriptor is closed: ends the registration.
    fn depart(&self) {
        let home = self.home.lock().take();
        let seldom = self.seldom.get();
        if let Some(reactor) = home {
            reactor.deregister(self.fd(), self);
        } else if let Some(seldom) = seldom {
            // Not while it is locked: with it go wakers, whose drops run code of others.
            let foreign = lock(&seldom.foreign).take();
            drop(foreign);
        }
        if let Some(seldom) = seldom {
            // A flush for which there was nothing left: it holds what it is held by.
            drop(seldom.writer.take());
        }
    }

    /// What the kernel tells, with the data of the registration.
    #[inline(always)]
    pub(super) fn tell(data: EventData, flags: EventFlags) {
        let source = data.ptr().cast::<Self>();
        if source.is_null() {
            return;
        }
        // SAFETY: the address is that of a registered source. Its registration is ended in the
        // kernel before the reactor's reference goes to the graveyard, or is dropped: either is
        // done only between batches of the thread that drives the reactor, which holds its lock
        // where threads share it.
        let source = unsafe { &*source };
        let end = EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR;
        // A read ends before urgent data, whatever comes after that.
        let partial = EventFlags::PRI | end;
        let mut told = 0;
        if flags.intersects(EventFlags::IN | partial) {
            told |= READ;
        }
        if flags.intersects(partial) {
            told |= PARTIAL;
        }
        if flags.intersects(EventFlags::OUT | EventFlags::HUP | EventFlags::ERR) {
            told |= WRITE;
        }
        let before = source.state.tell(told);
        let reads = told & READ != 0;
        // Nobody waits to write while it is known to be possible.
        let writes = told & WRITE != 0 && before & WRITE == 0;
        match (reads, writes) {
            (true, true) => source.wake_both(),
            (true, false) => source.wake_reader(),
            (false, true) => source.wake_writer(),
            (false, false) => {}
        }
    }

    /// The reactor is not driven any more: whoever waits is to try again.
    pub(super) fn orphan(&self) {
        self.state.tell(READ | WRITE);
        self.wake_both();
    }

    /// Another runtime's reactor says that a direction is ready.
    pub(super) fn report(&self, flag: u32) {
        self.state.tell(flag);
        if flag == READ {
            self.wake_reader();
        } else {
            self.wake_writer();
        }
    }

    pub(super) fn wake_both(&self) {
        catch_each([Self::wake_reader, Self::wake_writer], |wake| wake(self));
    }

    #[inline(always)]
    fn wake_reader(&self) {
        self.reader.wake();
    }

    fn wake_writer(&self) {
        // Either a writer's place that has just been made is seen here, or what was told is seen by
        // that writer: see `wait`.
        fence(Ordering::SeqCst);
        if let Some(seldom) = self.seldom.get() {
            seldom.writer.wake();
        }
    }

    /// Calls `io` until it gives something else than "would block", waiting in between. `short`
    /// says of a result that it was less than there was room for: unless that
    /// [may leave something](PARTIAL), the next call need not be tried.
    #[inline(always)]
    pub(super) fn poll_io<T>(
        host: &Arc<impl SourceOwner + ?Sized>,
        cx: &mut Context<'_>,
        direction: Direction,
        mut io: impl FnMut(BorrowedFd<'_>) -> rustix::io::Result<T>,
        short: impl FnOnce(&T) -> bool,
    ) -> Poll<io::Result<T>> {
        let (this, flag) = (host.source(), direction.flag());
        loop {
            let mut seen = this.state.load();
            if seen & flag == 0 {
                seen = ready!(Self::poll_ready(host, cx, direction, seen))?;
            }
            match io(this.fd()) {
                Ok(value) => {
                    if seen & (PARTIAL | REGISTERED) == REGISTERED && short(&value) {
                        this.state.change(seen, flag, 0);
                    }
                    return Poll::Ready(Ok(value));
                }
                Err(Errno::AGAIN) if seen & REGISTERED == 0 => Self::register(host, seen, flag)?,
                Err(Errno::AGAIN) => {
                    this.state.change(seen, flag, 0);
                }
                Err(Errno::INTR) => {}
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
    }

    /// The state word, once it says that `io` may succeed, which it did not.
    #[inline(always)]
    fn poll_ready(
        host: &Arc<impl SourceOwner + ?Sized>,
        cx: &mut Context<'_>,
        direction: Direction,
        seen: u32,
    ) -> Poll<io::Result<u32>> {
        if seen & FOREIGN != 0 {
            return Self::poll_foreign(host, cx, direction);
        }
        let (this, flag) = (host.source(), direction.flag());
        this.wait(cx, direction);
        loop {
            let seen = this.state.load();
            if seen & flag != 0 {
                return Poll::Ready(Ok(seen));
            }
            if seen & FOREIGN != 0 {
                return Self::poll_foreign(host, cx, direction);
            }
            if this.home.is(here::reactor()) {
                if !is_task(cx.waker()) {
                    Reactor::admit_outsider_here();
                }
                return Poll::Pending;
            }
            if Self::waits_outside(host)? {
                return Poll::Pending;
            }
        }
    }

    /// What is told from now on wakes; what was told before is seen in the state word.
    pub(super) fn wait(&self, cx: &Context<'_>, direction: Direction) {
        match direction {
            Direction::Read => self.reader.register(cx.waker()),
            Direction::Write => {
                self.writer().register(cx.waker());
                fence(Ordering::SeqCst);
            }
        }
    }
}

impl Direction {
    pub(super) fn flag(self) -> u32 {
        match self {
            Self::Read => READ,
            Self::Write => WRITE,
        }
    }
}
