//! Wakes a reactor from another thread.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{EventfdFlags, eventfd};

use crate::sync::atomic::{AtomicBool, Ordering};

/// An eventfd that is watched edge-triggered and never read: each write is an edge. See
/// eventfd(2).
#[derive(Debug)]
pub(super) struct Bell {
    fd: OwnedFd,
    /// It was rung since somebody last listened.
    rung: AtomicBool,
}

impl Bell {
    pub(super) fn new() -> io::Result<Self> {
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self {
            fd,
            rung: AtomicBool::new(false),
        })
    }

    /// Rings, once until somebody listens again. The listening thread itself, `own`, does not
    /// sleep while it rings, so nothing has to be written.
    pub(super) fn ring(&self, own: impl FnOnce() -> bool) {
        if !self.rung.swap(true, Ordering::AcqRel) && !own() {
            self.ring_again();
        }
    }

    /// Rings for a listener who has been overheard by somebody else.
    pub(super) fn ring_again(&self) {
        // It fails only when it has been rung 2^64 - 2 times.
        let _ = rustix::io::write(&self.fd, &1_u64.to_ne_bytes());
    }

    pub(super) fn is_rung(&self) -> bool {
        self.rung.load(Ordering::Acquire)
    }

    /// From now on a ring is news. Says whether it was rung before; what was done before that
    /// ring is seen from here on.
    pub(super) fn listen(&self) -> bool {
        self.rung.swap(false, Ordering::AcqRel)
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
