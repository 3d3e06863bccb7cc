//! Readiness that the reactor of another runtime reports: tokio's to tasks of tokio, async-io's
//! everywhere else.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use smol::Async;

use super::state::{FOREIGN, PARTIAL, READ, WRITE};
#[cfg(feature = "tokio")]
use super::tokio::Tokio;
use super::{Direction, SourceOwner};

/// The registration of a descriptor with the reactor of another runtime.
#[derive(Debug)]
pub(super) enum Foreign {
    AsyncIo(AsyncIo),
    #[cfg(feature = "tokio")]
    Tokio(Tokio),
}

/// The answer of another runtime to a task that waits.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// The task is woken when the descriptor is ready.
    Asleep,
    /// The task is to look again, after these flags are set in the state word.
    Ready(u32),
    /// The runtime has ended, or does not run this thread: it may never wake the task.
    #[cfg_attr(
        not(feature = "tokio"),
        allow(dead_code, reason = "async-io is everywhere")
    )]
    Elsewhere,
}

impl Foreign {
    /// Registers with the runtime of this thread.
    pub(super) fn here(
        host: &Arc<impl SourceOwner + ?Sized>,
        fd: BorrowedFd<'static>,
    ) -> io::Result<Self> {
        #[cfg(feature = "tokio")]
        if let Some(tokio) = Tokio::here(fd) {
            return tokio.map(Self::Tokio);
        }
        Self::everywhere(host, fd)
    }

    /// Registers with async-io, whose reactor serves each thread.
    pub(super) fn everywhere(
        host: &Arc<impl SourceOwner + ?Sized>,
        fd: BorrowedFd<'static>,
    ) -> io::Result<Self> {
        Ok(Self::AsyncIo(AsyncIo {
            fd: Async::new_nonblocking(fd)?,
            read: Arc::new(OnReadable(host.clone())).into(),
            write: Arc::new(OnWritable(host.clone())).into(),
        }))
    }

    /// The flags that the state word has while this is the home. A wait with async-io costs six
    /// system calls, so each read asks first whether there is more.
    pub(super) fn flags(&self) -> u32 {
        match self {
            Self::AsyncIo(_) => FOREIGN | PARTIAL,
            #[cfg(feature = "tokio")]
            Self::Tokio(_) => FOREIGN,
        }
    }

    /// For a task that finds its flag cleared. `wait` has it wait at the source, and says whether
    /// it has to: the state word has not changed meanwhile.
    pub(super) fn look(
        &self,
        cx: &mut Context<'_>,
        direction: Direction,
        wait: impl FnOnce(&Context<'_>) -> bool,
    ) -> io::Result<Look> {
        match self {
            Self::AsyncIo(async_io) => {
                if !wait(cx) {
                    return Ok(Look::Ready(0));
                }
                async_io.arm(direction)?;
                Ok(Look::Asleep)
            }
            #[cfg(feature = "tokio")]
            Self::Tokio(tokio) => Ok(tokio.look(cx, direction, wait)),
        }
    }
}

/// With async-io: level-triggered, armed for one event at a time, which goes to wakers of the
/// source. A task's own waker would have to try a call to find out what it is woken for.
#[derive(Debug)]
pub(super) struct AsyncIo {
    fd: Async<BorrowedFd<'static>>,
    read: Waker,
    write: Waker,
}

impl AsyncIo {
    /// Has the next event wake the source.
    fn arm(&self, direction: Direction) -> io::Result<()> {
        let waker = match direction {
            Direction::Read => &self.read,
            Direction::Write => &self.write,
        };
        let mut cx = Context::from_waker(waker);
        loop {
            let polled = match direction {
                Direction::Read => self.fd.poll_readable(&mut cx),
                Direction::Write => self.fd.poll_writable(&mut cx),
            };
            match polled {
                // Of the event before, which the waker has reported.
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => return Ok(()),
            }
        }
    }
}

struct OnReadable<T: SourceOwner + ?Sized>(Arc<T>);

impl<T: SourceOwner + ?Sized> Wake for OnReadable<T> {
    fn wake(self: Arc<Self>) {
        self.0.source().report(READ);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.source().report(READ);
    }
}

struct OnWritable<T: SourceOwner + ?Sized>(Arc<T>);

impl<T: SourceOwner + ?Sized> Wake for OnWritable<T> {
    fn wake(self: Arc<Self>) {
        self.0.source().report(WRITE);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.source().report(WRITE);
    }
}
