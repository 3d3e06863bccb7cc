//! Tells when a socket or the like is ready where there is no reactor of ours: async-io does.

mod descriptor;
pub(crate) mod slices;
mod socket;
mod unsent;
mod watched;

/// Turns have no end here: what is written is sent as it is.
mod outbox {
    use std::io::{self, IoSlice};
    use std::sync::Arc;
    use std::task::{Context, Poll};

    use super::Host;
    use super::socket::Waits;

    pub(super) fn put(_: &Arc<impl Host>, _: &[IoSlice<'_>]) -> Option<usize> {
        None
    }

    pub(super) fn failure(_: &super::Source) -> Option<super::Errno> {
        None
    }

    pub(super) fn end(_: &Arc<impl Host>) -> bool {
        false
    }

    pub(super) fn poll_empty(
        _: &Arc<impl Host>,
        _: &Context<'_>,
        _: Waits,
    ) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    pub(super) fn send_now(_: &Arc<impl Host>) {}
}

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use rustix::io::Errno;
use smol::Async;

use crate::waiting::Waiting;
use descriptor::Descriptor;
pub(crate) use socket::{Socket, reset};
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
pub(crate) trait Host: Send + Sync + 'static {
    fn source(&self) -> &Source;
}

/// A descriptor that several handles share.
#[derive(Debug)]
pub(crate) struct Source {
    descriptor: Descriptor,
    reader: Waiting,
    writer: Waiting,
    /// A read has found the peer's end.
    ended: AtomicBool,
    /// None until there was nothing to do.
    watched: Mutex<Option<Registered>>,
}

type Registered = Arc<Async<BorrowedFd<'static>>>;

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

    /// The same: nothing is made of short reads here.
    pub(crate) fn trusted(fd: OwnedFd) -> Self {
        Self::new(fd)
    }

    /// One without a descriptor, at which somebody may wait all the same.
    pub(crate) fn none() -> Self {
        Self::of(Descriptor::none())
    }

    fn of(descriptor: Descriptor) -> Self {
        Self {
            descriptor,
            reader: Waiting::default(),
            writer: Waiting::default(),
            ended: AtomicBool::new(false),
            watched: Mutex::new(None),
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

    /// Each read and accept makes its system call in any case.
    #[allow(clippy::unused_self, reason = "elsewhere readiness is cached")]
    fn look_again(&self) {}

    /// Where whoever reads waits.
    pub(crate) fn reader(&self) -> &Waiting {
        &self.reader
    }

    /// Each read asks the kernel in any case.
    #[allow(clippy::unused_self, reason = "elsewhere it has to be told")]
    pub(crate) fn retry_read(&self) {}

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

    /// Before the descriptor is closed: async-io forgets it.
    fn depart(&self) {
        let watched = self.watching().take();
        drop(watched);
    }

    /// Calls `io` until it gives something else than "would block", waiting in between. How much
    /// there was makes no difference: the next call is tried.
    fn poll_io<T>(
        host: &Arc<impl Host>,
        cx: &mut Context<'_>,
        direction: Direction,
        mut io: impl FnMut(BorrowedFd<'_>) -> rustix::io::Result<T>,
        _short: impl FnOnce(&T) -> bool,
    ) -> Poll<io::Result<T>> {
        let this = host.source();
        loop {
            match io(this.fd()) {
                Ok(value) => return Poll::Ready(Ok(value)),
                Err(Errno::AGAIN) => ready!(this.poll_ready(cx, direction))?,
                Err(Errno::INTR) => {}
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
    }

    fn poll_ready(&self, cx: &mut Context<'_>, direction: Direction) -> Poll<io::Result<()>> {
        let watched = self.watched()?;
        // Here for those who wake whoever waits, and are not async-io.
        match direction {
            Direction::Read => {
                self.reader.register(cx.waker());
                watched.poll_readable(cx)
            }
            Direction::Write => {
                self.writer.register(cx.waker());
                watched.poll_writable(cx)
            }
        }
    }

    fn watched(&self) -> io::Result<Registered> {
        let mut watched = self.watching();
        if let Some(watched) = &*watched {
            return Ok(watched.clone());
        }
        // `depart` drops it.
        let new = Arc::new(Async::new_nonblocking(self.descriptor.lasting())?);
        *watched = Some(new.clone());
        Ok(new)
    }

    fn watching(&self) -> MutexGuard<'_, Option<Registered>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
