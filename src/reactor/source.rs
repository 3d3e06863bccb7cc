//! A descriptor, its readiness, and who waits for it.

use std::fmt;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, ready};

use once_cell::race::OnceBox;
use rustix::event::epoll::{EventData, EventFlags};
use rustix::io::Errno;
use smol::Async;

use super::state::{END, FOREIGN, ORPHAN, READ, REGISTERED, State, WRITE};
use super::{Descriptor, Reactor, lock};
use crate::waiting::Waiting;

/// What a descriptor is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Read,
    Write,
}

/// What a source lives in, so that a connection's socket and all that is known of it are one
/// allocation.
pub(crate) trait Host: Send + Sync + 'static {
    fn source(&self) -> &Source;
}

/// A descriptor that several handles share, and a reactor while it is registered.
#[derive(Debug)]
pub(crate) struct Source {
    /// Open until the last handle is dropped; a reactor may hold the rest a little longer.
    descriptor: Descriptor,
    state: State,
    /// Where it stands in its reactor's list.
    place: AtomicU32,
    home: Mutex<Option<Arc<Reactor>>>,
    reader: Waiting,
    seldom: OnceBox<Seldom>,
}

/// What most sockets never need.
#[derive(Debug, Default)]
struct Seldom {
    writer: Waiting,
    /// The home on threads that drive no reactor of ours.
    foreign: Mutex<Option<Arc<Async<BorrowedFd<'static>>>>>,
}

/// A reactor's own reference: as long as it lives, the kernel may name the source.
pub(super) struct Registration(Arc<dyn Host>);

impl Registration {
    pub(super) fn new(host: &Arc<impl Host>) -> Self {
        Self(host.clone())
    }

    pub(super) fn source(&self) -> &Source {
        self.0.source()
    }

    pub(super) fn share(&self) -> Self {
        Self(self.0.clone())
    }
}

impl Host for Source {
    fn source(&self) -> &Source {
        self
    }
}

impl Source {
    /// Takes over a descriptor, for one user.
    pub(crate) fn new(fd: OwnedFd) -> Self {
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
            place: AtomicU32::new(0),
            home: Mutex::new(None),
            reader: Waiting::default(),
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
    pub(crate) fn reader(&self) -> &Waiting {
        &self.reader
    }

    fn seldom(&self) -> &Seldom {
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
        let home = lock(&self.home).take();
        if let Some(reactor) = home {
            reactor.deregister(self.fd(), self);
        } else if let Some(seldom) = self.seldom.get() {
            drop(lock(&seldom.foreign).take());
        }
    }

    /// What the kernel tells, with the data of the registration.
    pub(super) fn tell(data: EventData, flags: EventFlags) {
        let source = data.ptr().cast::<Self>();
        if source.is_null() {
            return;
        }
        // SAFETY: the address is that of a registered source. Its registration is ended in the
        // kernel before the reactor's reference goes to the graveyard, which is emptied only
        // between batches, by the thread that takes them.
        let source = unsafe { &*source };
        let end = EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR;
        let mut told = 0;
        if flags.intersects(EventFlags::IN | end) {
            told |= READ;
        }
        if flags.intersects(end) {
            told |= END;
        }
        if flags.intersects(EventFlags::OUT | EventFlags::HUP | EventFlags::ERR) {
            told |= WRITE;
        }
        let before = source.state.tell(told);
        if told & READ != 0 {
            source.reader.wake();
        }
        // Nobody waits to write while it is known to be possible.
        if told & WRITE != 0 && before & WRITE == 0 {
            source.wake_writer();
        }
    }

    /// The reactor is not driven any more: whoever waits is to try again.
    pub(super) fn orphan(&self) {
        self.state.tell(READ | WRITE | ORPHAN);
        self.wake_both();
    }

    fn wake_both(&self) {
        self.reader.wake();
        self.wake_writer();
    }

    fn wake_writer(&self) {
        if let Some(seldom) = self.seldom.get() {
            seldom.writer.wake();
        }
    }

    /// Calls `io` until it gives something else than "would block", waiting in between. `short`
    /// says of a result that it was all there was, so that the next call need not be tried.
    pub(super) fn poll_io<T>(
        host: &Arc<impl Host>,
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
                    // After the peer's end, an event is not to be expected for what is left.
                    if seen & (END | FOREIGN | REGISTERED) == REGISTERED && short(&value) {
                        this.state.change(seen, flag, 0);
                    }
                    return Poll::Ready(Ok(value));
                }
                Err(Errno::AGAIN) if seen & REGISTERED == 0 => Self::register(host, seen, flag)?,
                // Which means no more than that it is worth a try, and may wake us without: so
                // each poll makes the call.
                Err(Errno::AGAIN) if seen & FOREIGN != 0 => {
                    ready!(this.poll_foreign(cx, direction))?;
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
        host: &Arc<impl Host>,
        cx: &mut Context<'_>,
        direction: Direction,
    ) -> Poll<io::Result<u32>> {
        let (this, flag) = (host.source(), direction.flag());
        this.waiting(direction).register(cx.waker());
        loop {
            let seen = this.state.load();
            if seen & flag != 0 {
                return Poll::Ready(Ok(seen));
            }
            if seen & ORPHAN == 0 {
                return Poll::Pending;
            }
            Self::rehome(host)?;
        }
    }

    fn waiting(&self, direction: Direction) -> &Waiting {
        match direction {
            Direction::Read => &self.reader,
            Direction::Write => &self.seldom().writer,
        }
    }

    fn poll_foreign(&self, cx: &mut Context<'_>, direction: Direction) -> Poll<io::Result<()>> {
        let Some(foreign) = lock(&self.seldom().foreign).clone() else {
            return Poll::Ready(Ok(()));
        };
        // For those who wake whoever waits here, and are not async-io.
        self.waiting(direction).register(cx.waker());
        match direction {
            Direction::Read => foreign.poll_readable(cx),
            Direction::Write => foreign.poll_writable(cx),
        }
    }

    /// Registers with this thread's reactor, after a call that found nothing.
    fn register(host: &Arc<impl Host>, seen: u32, flag: u32) -> io::Result<()> {
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
    fn rehome(host: &Arc<impl Host>) -> io::Result<()> {
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
        host: &Arc<impl Host>,
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

impl Direction {
    fn flag(self) -> u32 {
        match self {
            Self::Read => READ,
            Self::Write => WRITE,
        }
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Registration").field(self.source()).finish()
    }
}
