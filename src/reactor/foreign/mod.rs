//! Readiness that the reactor of another runtime reports: tokio's to tasks of tokio, async-io's to
//! all others.

#[cfg(feature = "tokio")]
mod tokio;

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use smol::Async;

use super::state::{Direction, FOREIGN, PARTIAL};
#[cfg(feature = "tokio")]
use tokio::Tokio;
#[cfg(feature = "tokio")]
pub(crate) use tokio::current_tokio;

/// The registration of a descriptor with the reactor of another runtime.
#[derive(Debug)]
pub(super) enum Foreign {
    AsyncIo(AsyncIo),
    #[cfg(feature = "tokio")]
    Tokio(Tokio),
}

/// The answer of another runtime to a task that waits.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ForeignPoll {
    /// The task is woken when the descriptor is ready.
    Pending,
    /// The task reads the state word again, after these flags are set in it.
    Retry(u32),
    /// The runtime has ended, or does not run on this thread: it may never wake the task.
    #[cfg_attr(
        not(feature = "tokio"),
        allow(dead_code, reason = "async-io runs everywhere")
    )]
    Unreachable,
}

/// Receives the readiness that async-io reports.
pub(super) trait ReportReady: Send + Sync + 'static {
    fn report_ready(&self, direction: Direction);
}

impl Foreign {
    /// Registers with the runtime of this thread.
    pub(super) fn register(
        receiver: &Arc<impl ReportReady + ?Sized>,
        fd: BorrowedFd<'static>,
    ) -> io::Result<Self> {
        #[cfg(feature = "tokio")]
        if let Some(tokio) = Tokio::register(fd) {
            return tokio.map(Self::Tokio);
        }
        Self::register_async_io(receiver, fd)
    }

    /// Registers with async-io. Its reactor has a thread of its own, so it serves every thread.
    pub(super) fn register_async_io(
        receiver: &Arc<impl ReportReady + ?Sized>,
        fd: BorrowedFd<'static>,
    ) -> io::Result<Self> {
        let waker = |direction| {
            let receiver = receiver.clone();
            Waker::from(Arc::new(ReadyWaker {
                direction,
                receiver,
            }))
        };
        Ok(Self::AsyncIo(AsyncIo {
            fd: Async::new_nonblocking(fd)?,
            read: waker(Direction::Read),
            write: waker(Direction::Write),
        }))
    }

    /// Returns the flags of the state word during this registration. A wait with async-io costs six
    /// system calls, so after a short read one more read is tried first.
    pub(super) fn flags(&self) -> u32 {
        match self {
            Self::AsyncIo(_) => FOREIGN | PARTIAL,
            #[cfg(feature = "tokio")]
            Self::Tokio(_) => FOREIGN,
        }
    }

    /// Polls for a task that has found its flag cleared. `wait` registers the task with the source,
    /// and returns false if the flag has been set meanwhile.
    pub(super) fn poll_ready(
        &self,
        cx: &mut Context<'_>,
        direction: Direction,
        wait: impl FnOnce(&Context<'_>) -> bool,
    ) -> io::Result<ForeignPoll> {
        match self {
            Self::AsyncIo(async_io) => {
                if !wait(cx) {
                    return Ok(ForeignPoll::Retry(0));
                }
                async_io.arm(direction)?;
                Ok(ForeignPoll::Pending)
            }
            #[cfg(feature = "tokio")]
            Self::Tokio(tokio) => Ok(tokio.poll_ready(cx, direction, wait)),
        }
    }
}

/// The registration with async-io: level-triggered, armed for one event at a time. The event wakes
/// a waker of the source, which sets the flag of its direction. A task's own waker sets no flag, so
/// the task would have to try a call to find out why it was woken.
#[derive(Debug)]
pub(super) struct AsyncIo {
    fd: Async<BorrowedFd<'static>>,
    read: Waker,
    write: Waker,
}

impl AsyncIo {
    /// Makes the next event wake the source.
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
                // The previous event, which the waker has reported already.
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => return Ok(()),
            }
        }
    }
}

struct ReadyWaker<T: ReportReady + ?Sized> {
    direction: Direction,
    receiver: Arc<T>,
}

impl<T: ReportReady + ?Sized> Wake for ReadyWaker<T> {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.receiver.report_ready(self.direction);
    }
}
