//! Readiness that the driver of a tokio runtime reports to the tasks of that runtime.

#![allow(unsafe_code)]

use std::io;
use std::os::fd::BorrowedFd;
use std::task::{Context, Poll};

use ::tokio::io::Interest;
use ::tokio::io::unix::AsyncFd;
use ::tokio::runtime::{Handle, Id};

use super::super::current::drives_reactor;
use super::super::state::{Direction, PARTIAL};
use super::ForeignPoll;
use crate::catch::catch_panic;

/// The registration of a descriptor with the driver of one runtime: edge-triggered.
#[derive(Debug)]
pub(in crate::reactor) struct Tokio {
    fd: AsyncFd<BorrowedFd<'static>>,
    runtime: Id,
}

/// Returns the tokio runtime of this thread. Returns None if there is none, or if a task of the
/// runtime drives a reactor of ours.
pub(crate) fn current_tokio() -> Option<Id> {
    if drives_reactor() {
        return None;
    }
    Some(Handle::try_current().ok()?.id())
}

impl Tokio {
    /// Registers with the runtime of this thread, if it has one.
    pub(super) fn register(fd: BorrowedFd<'static>) -> Option<io::Result<Self>> {
        let runtime = current_tokio()?;
        let registered = catch_panic(|| {
            // SAFETY: the descriptor is open until the registration is dropped, as
            // `SharedFd::fd_until_close` requires, and a `BorrowedFd` always returns the same one.
            unsafe { AsyncFd::register_with_interest(fd, INTEREST) }
        });
        Some(match registered {
            Ok(Ok(fd)) => Ok(Self { fd, runtime }),
            Ok(Err(error)) => Err(error.into()),
            // The runtime was built without `enable_io`. The message says so.
            Err(panic) => Err(io::Error::new(io::ErrorKind::Unsupported, panic)),
        })
    }

    /// As [`Foreign::poll_ready`](super::Foreign::poll_ready). The task is registered with
    /// the source only after the driver has found nothing.
    pub(super) fn poll_ready(
        &self,
        cx: &mut Context<'_>,
        direction: Direction,
        wait: impl FnOnce(&Context<'_>) -> bool,
    ) -> ForeignPoll {
        let polled = match direction {
            Direction::Read => self.fd.poll_read_ready(cx),
            Direction::Write => self.fd.poll_write_ready(cx),
        };
        match polled {
            Poll::Ready(Ok(mut guard)) => {
                // Cleared before the call of the task, so that a later event is reported again.
                guard.clear_ready();
                ForeignPoll::Retry(direction.flag() | self.partial())
            }
            Poll::Pending if current_tokio() != Some(self.runtime) => ForeignPoll::Unreachable,
            Poll::Pending if wait(cx) => ForeignPoll::Pending,
            Poll::Pending => ForeignPoll::Retry(0),
            Poll::Ready(Err(_)) => ForeignPoll::Unreachable,
        }
    }

    /// Returns the flag that a short read may leave something, which is so after urgent data and
    /// after the peer's end.
    #[cfg(target_os = "linux")]
    fn partial(&self) -> u32 {
        let reported = self.fd.try_io(Interest::PRIORITY, |_| Ok(()));
        if reported.is_ok() { PARTIAL } else { 0 }
    }

    /// Returns the flag that a short read may leave something: urgent data is not reported on this
    /// system.
    #[cfg(not(target_os = "linux"))]
    #[allow(clippy::unused_self, reason = "used on Linux")]
    fn partial(&self) -> u32 {
        PARTIAL
    }
}

/// The events to register for. Urgent data is one where the system reports it.
#[cfg(target_os = "linux")]
const INTEREST: Interest = Interest::READABLE
    .add(Interest::WRITABLE)
    .add(Interest::PRIORITY);
#[cfg(not(target_os = "linux"))]
const INTEREST: Interest = Interest::READABLE.add(Interest::WRITABLE);
