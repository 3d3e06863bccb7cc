//! A descriptor, its readiness, and who waits for it.

use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, ready};

use atomic_waker::AtomicWaker;
use rustix::event::epoll::{EventData, EventFlags};
use rustix::io::Errno;
use smol::Async;

use super::state::{END, FOREIGN, ORPHAN, READ, REGISTERED, State, WRITE};
use super::{Reactor, lock};

/// What a descriptor is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Read,
    Write,
}

/// A non-blocking descriptor that several handles share, and a reactor while it is registered.
#[derive(Debug)]
pub(super) struct Source {
    /// Open until the last handle is dropped; a reactor may hold the rest a little longer.
    fd: RawFd,
    state: State,
    /// Handles, not counting the reactor.
    users: AtomicU32,
    /// Where it stands in its reactor's list.
    place: AtomicUsize,
    home: Mutex<Option<Home>>,
    reader: AtomicWaker,
    writer: AtomicWaker,
}

/// Who tells of readiness.
#[derive(Clone, Debug)]
enum Home {
    Ours(Arc<Reactor>),
    /// async-io, on threads that drive no reactor of ours.
    Foreign(Arc<Async<BorrowedFd<'static>>>),
}

/// A reactor's own reference: as long as it lives, the kernel may name the source.
#[derive(Debug)]
pub(super) struct Registration(Arc<Source>);

impl Registration {
    pub(super) fn new(source: &Arc<Source>) -> Self {
        Self(source.clone())
    }

    pub(super) fn source(&self) -> &Source {
        &self.0
    }

    pub(super) fn share(&self) -> Arc<Source> {
        self.0.clone()
    }
}

impl Source {
    pub(super) fn new(fd: OwnedFd) -> Arc<Self> {
        Arc::new(Self {
            fd: fd.into_raw_fd(),
            state: State::new(),
            users: AtomicU32::new(1),
            place: AtomicUsize::new(0),
            home: Mutex::new(None),
            reader: AtomicWaker::new(),
            writer: AtomicWaker::new(),
        })
    }

    pub(super) fn place(&self) -> usize {
        self.place.load(Ordering::Relaxed)
    }

    pub(super) fn set_place(&self, place: usize) {
        self.place.store(place, Ordering::Relaxed);
    }

    /// For a caller that is one of the users.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the descriptor is open as long as there is a user, and each call comes from
        // one, who lives at least as long as the borrow of what it holds.
        unsafe { BorrowedFd::borrow_raw(self.fd) }
    }

    /// Whether there are several handles.
    pub(super) fn is_shared(&self) -> bool {
        self.users.load(Ordering::Acquire) > 1
    }

    pub(super) fn join(&self) {
        self.users.fetch_add(1, Ordering::Relaxed);
    }

    /// The last one to leave ends the registration and closes the descriptor.
    pub(super) fn leave(&self) {
        if self.users.fetch_sub(1, Ordering::AcqRel) > 1 {
            return;
        }
        let home = lock(&self.home).take();
        match home {
            Some(Home::Ours(reactor)) => reactor.deregister(self.fd(), self),
            foreign => drop(foreign),
        }
        // SAFETY: it was open, `new` took it over, and no user is left to use or close it.
        drop(unsafe { OwnedFd::from_raw_fd(self.fd) });
    }

    /// What the kernel tells, with the data of the registration.
    pub(super) fn tell(data: EventData, flags: EventFlags) {
        let source = data.ptr().cast::<Self>();
        if source.is_null() {
            return;
        }
        // SAFETY: the address is that of a registered source. Its registration is ended in the
        // kernel before the reactor's reference goes to the graveyard, which is emptied only by
        // the thread that drives the reactor, between its batches, and while nobody helps it.
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
            source.writer.wake();
        }
    }

    /// The reactor is not driven any more: whoever waits is to try again.
    pub(super) fn orphan(&self) {
        self.state.tell(READ | WRITE | ORPHAN);
        self.reader.wake();
        self.writer.wake();
    }

    /// Calls `io` until it gives something else than "would block", waiting in between. `short`
    /// says of a result that it was all there was, so that the next call need not be tried.
    pub(super) fn poll_io<T>(
        self: &Arc<Self>,
        cx: &mut Context<'_>,
        direction: Direction,
        mut io: impl FnMut(BorrowedFd<'_>) -> rustix::io::Result<T>,
        short: impl FnOnce(&T) -> bool,
    ) -> Poll<io::Result<T>> {
        let flag = direction.flag();
        loop {
            let seen = ready!(self.poll_ready(cx, direction))?;
            match io(self.fd()) {
                Ok(value) => {
                    // After the peer's end, an event is not to be expected for what is left.
                    if seen & (END | FOREIGN | REGISTERED) == REGISTERED && short(&value) {
                        self.state.change(seen, flag, 0);
                    }
                    return Poll::Ready(Ok(value));
                }
                Err(Errno::AGAIN) if seen & REGISTERED == 0 => self.register(seen, flag)?,
                // Which means no more than that it is worth a try, and may wake us without: so
                // each poll makes the call.
                Err(Errno::AGAIN) if seen & FOREIGN != 0 => {
                    ready!(self.poll_foreign(cx, direction))?;
                }
                Err(Errno::AGAIN) => {
                    self.state.change(seen, flag, 0);
                }
                Err(Errno::INTR) => {}
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
    }

    /// The state word, once it says that `io` may succeed.
    fn poll_ready(
        self: &Arc<Self>,
        cx: &mut Context<'_>,
        direction: Direction,
    ) -> Poll<io::Result<u32>> {
        let flag = direction.flag();
        let seen = self.state.load();
        if seen & flag != 0 {
            return Poll::Ready(Ok(seen));
        }
        let waker = match direction {
            Direction::Read => &self.reader,
            Direction::Write => &self.writer,
        };
        waker.register(cx.waker());
        loop {
            let seen = self.state.load();
            if seen & flag != 0 {
                return Poll::Ready(Ok(seen));
            }
            if seen & ORPHAN == 0 {
                return Poll::Pending;
            }
            self.rehome()?;
        }
    }

    fn poll_foreign(&self, cx: &mut Context<'_>, direction: Direction) -> Poll<io::Result<()>> {
        let home = lock(&self.home).clone();
        match (home, direction) {
            (Some(Home::Foreign(foreign)), Direction::Read) => foreign.poll_readable(cx),
            (Some(Home::Foreign(foreign)), Direction::Write) => foreign.poll_writable(cx),
            _ => Poll::Ready(Ok(())),
        }
    }

    /// Registers with this thread's reactor, after a call that found nothing.
    fn register(self: &Arc<Self>, seen: u32, flag: u32) -> io::Result<()> {
        let home = lock(&self.home);
        if home.is_some() {
            // The other half has.
            return Ok(());
        }
        // Before the kernel may tell anything, which it does at once where there is something.
        // If that fails, there was an event between, and the call is made again.
        if !self.state.change(seen, flag, REGISTERED) {
            return Ok(());
        }
        self.settle(home)
    }

    /// Leaves a reactor that nobody drives, for this thread's.
    fn rehome(self: &Arc<Self>) -> io::Result<()> {
        let mut home = lock(&self.home);
        let seen = self.state.load();
        if seen & ORPHAN == 0 {
            // The other half has.
            return Ok(());
        }
        let left = match home.take() {
            Some(Home::Ours(reactor)) if !reactor.is_driven() => reactor,
            stays => {
                // It has found another thread, or we were told late of one that has been left
                // already. Unless that has lost its thread, too, meanwhile.
                *home = stays;
                self.state.change(seen, ORPHAN, 0);
                return Ok(());
            }
        };
        left.deregister(self.fd(), self);
        // Where that fails, it is found out on the next round that there is a new home.
        self.state.change(seen, ORPHAN, 0);
        let settled = self.settle(home);
        // Not while `home` was locked: with it goes what is buried there.
        drop(left);
        settled
    }

    /// Finds a home. Wakers may do anything, so they are called when it is unlocked.
    fn settle(self: &Arc<Self>, mut home: MutexGuard<'_, Option<Home>>) -> io::Result<()> {
        let found = self.find_home();
        match &found {
            Ok(Home::Ours(_)) => {}
            // For both halves: whoever waits already, waits for async-io from now on.
            Ok(Home::Foreign(_)) => {
                self.state.tell(READ | WRITE | FOREIGN);
            }
            // Nobody tells of readiness, and whoever waits is to hear why.
            Err(_) => {
                while !self
                    .state
                    .change(self.state.load(), REGISTERED, READ | WRITE)
                {}
            }
        }
        let quiet = matches!(found, Ok(Home::Ours(_)));
        let settled = found.map(|found| *home = Some(found));
        drop(home);
        if !quiet {
            self.reader.wake();
            self.writer.wake();
        }
        settled
    }

    fn find_home(self: &Arc<Self>) -> io::Result<Home> {
        if let Some(reactor) = Reactor::current() {
            reactor.register(self.fd(), self)?;
            return Ok(Home::Ours(reactor));
        }
        // SAFETY: `leave` drops what is in `home` before it closes the descriptor.
        let fd = unsafe { BorrowedFd::<'static>::borrow_raw(self.fd) };
        Ok(Home::Foreign(Arc::new(Async::new_nonblocking(fd)?)))
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
