//! Detects a fork of the process, after which parent and child share the descriptors of a reactor.

use std::io;
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

/// The number of forks that led to this process since the first reactor was made.
static FORK_COUNT: AtomicU32 = AtomicU32::new(0);

const INHERITED_MESSAGE: &str = "an executor from before a fork cannot run in the child: \
                                 make a new one there";

/// The process that made a reactor, as the value of [`FORK_COUNT`] at that time. A child that
/// shares its parent's memory (vfork, posix\_spawn) counts as the same process, as does a child of a
/// bare system call.
#[derive(Debug)]
pub(super) struct ForkCheck(u32);

impl ForkCheck {
    /// Makes a check for this process.
    pub(super) fn new() -> Self {
        static INSTALL_HANDLER: Once = Once::new();
        INSTALL_HANDLER.call_once(|| {
            // SAFETY: the handler is a function that exists for the life of the process. It adds to
            // one atomic, which is safe in the child of a process with threads. If memory is used
            // up, the handler is not installed, and forks are not detected.
            unsafe { libc::pthread_atfork(None, None, Some(count_fork)) };
        });
        Self(FORK_COUNT.load(Ordering::Relaxed))
    }

    /// Returns true in a child of the process that made the check. The descriptors are then the
    /// parent's as well.
    #[inline(always)]
    pub(super) fn is_inherited(&self) -> bool {
        self.0 != FORK_COUNT.load(Ordering::Relaxed)
    }

    /// Checks that this is the process that made the check.
    ///
    /// # Panics
    ///
    /// In a child of that process.
    #[inline(always)]
    #[track_caller]
    pub(super) fn assert(&self) {
        assert!(!self.is_inherited(), "{INHERITED_MESSAGE}");
    }

    /// As [`assert`](Self::assert), with an error instead of a panic.
    pub(super) fn check(&self) -> io::Result<()> {
        if self.is_inherited() {
            return Err(io::Error::other(INHERITED_MESSAGE));
        }
        Ok(())
    }

    /// Makes this process look like the child of a fork, for tests.
    #[cfg(test)]
    pub(super) fn fork(&mut self) {
        self.0 = self.0.wrapping_sub(1);
    }
}

extern "C" fn count_fork() {
    FORK_COUNT.fetch_add(1, Ordering::Relaxed);
}
