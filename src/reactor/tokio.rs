//! Readiness that the driver of a tokio runtime reports to the tasks of that runtime.

#![allow(unsafe_code)]

use std::io;
use std::os::fd::BorrowedFd;
use std::task::{Context, Poll};

use ::tokio::io::Interest;
use ::tokio::io::unix::AsyncFd;
use ::tokio::runtime::{Handle, Id};

use super::Direction;
use super::foreign::Look;
use super::here::drives_ours;
use super::state::PARTIAL;
use crate::catch::catch_panic;

/// The registration of a descriptor with the driver of one runtime: edge-triggered.
#[derive(Debug)]
pub(super) struct Tokio {
    fd: AsyncFd<BorrowedFd<'static>>,
    runtime: Id,
}

/// The tokio runtime of this thread. None: it has none, or drives a reactor of ours within.
pub(crate) fn tokio_here() -> Option<Id> {
    if drives_ours() {
        return None;
    }
    Some(Handle::try_current().ok()?.id())
}

impl Tokio {
    /// Registers with the runtime of this thread, if it has one.
    pub(super) fn here(fd: BorrowedFd<'static>) -> Option<io::Result<Self>> {
        let runtime = tokio_here()?;
        let registered = catch_panic(|| {
            // SAFETY: the descriptor is open, and stays so until the registration is dropped, as
            // `Descriptor::lasting` says; a `BorrowedFd` always gives the same one.
            unsafe { AsyncFd::register_with_interest(fd, INTEREST) }
        });
        Some(match registered {
            Ok(Ok(fd)) => Ok(Self { fd, runtime }),
            Ok(Err(error)) => Err(error.into()),
            // The runtime was built without `enable_io`, as the message says.
            Err(panic) => Err(io::Error::new(io::ErrorKind::Unsupported, panic)),
        })
    }

    /// The task need not wait at the source before it is known to wait at all.
    pub(super) fn look(
        &self,
        cx: &mut Context<'_>,
        direction: Direction,
        wait: impl FnOnce(&Context<'_>) -> bool,
    ) -> Look {
        let polled = match direction {
            Direction::Read => self.fd.poll_read_ready(cx),
            Direction::Write => self.fd.poll_write_ready(cx),
        };
        match polled {
            Poll::Ready(Ok(mut guard)) => {
                // Before the call that uses it up: what is reported later is news.
                guard.clear_ready();
                Look::Ready(direction.flag() | self.partial())
            }
            Poll::Pending if tokio_here() != Some(self.runtime) => Look::Elsewhere,
            Poll::Pending if wait(cx) => Look::Asleep,
            Poll::Pending => Look::Ready(0),
            Poll::Ready(Err(_)) => Look::Elsewhere,
        }
    }

    /// Whether a short read may leave something: after urgent data, and after the peer's end.
    #[cfg(target_os = "linux")]
    fn partial(&self) -> u32 {
        let reported = self.fd.try_io(Interest::PRIORITY, |_| Ok(()));
        if reported.is_ok() { PARTIAL } else { 0 }
    }

    /// Urgent data is not reported here.
    #[cfg(not(target_os = "linux"))]
    #[allow(clippy::unused_self, reason = "elsewhere it asks")]
    fn partial(&self) -> u32 {
        PARTIAL
    }
}

/// Urgent data counts where it is reported.
#[cfg(target_os = "linux")]
const INTEREST: Interest = Interest::READABLE
    .add(Interest::WRITABLE)
    .add(Interest::PRIORITY);
#[cfg(not(target_os = "linux"))]
const INTEREST: Interest = Interest::READABLE.add(Interest::WRITABLE);
