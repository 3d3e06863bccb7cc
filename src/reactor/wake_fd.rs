//! Wakes a reactor from another thread.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{EventfdFlags, eventfd};

use crate::sync::atomic::{AtomicBool, Ordering};

/// An eventfd that is watched edge-triggered and never read: each write is an edge. See eventfd(2).
#[derive(Debug)]
pub(super) struct WakeFd {
    fd: OwnedFd,
    /// A wake was requested since the last [`take`](Self::take).
    set: AtomicBool,
}

impl WakeFd {
    pub(super) fn new() -> io::Result<Self> {
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self {
            fd,
            set: AtomicBool::new(false),
        })
    }

    /// Wakes the reactor, once until the next [`take`](Self::take). Nothing is written if `own`
    /// returns true: this is the reactor's own thread, which is not asleep.
    pub(super) fn wake(&self, own: impl FnOnce() -> bool) {
        if !self.set.swap(true, Ordering::AcqRel) && !own() {
            // Fails only after 2^64 - 2 writes.
            let _ = rustix::io::write(&self.fd, &1_u64.to_ne_bytes());
        }
    }

    pub(super) fn is_set(&self) -> bool {
        self.set.load(Ordering::Acquire)
    }

    /// Clears the flag, so that the next wake is written again. Returns true if it was set. All
    /// stores of the waking thread before that wake are visible from here on.
    pub(super) fn take(&self) -> bool {
        self.set.swap(false, Ordering::AcqRel)
    }
}

impl AsFd for WakeFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
