//! Forks of the process, after which parent and child share the descriptors of a reactor.

use std::io;
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

/// Forks that led to this process, since the first reactor was made.
static FORKS: AtomicU32 = AtomicU32::new(0);

const INHERITED: &str = "an executor from before a fork cannot run in the child: \
                         make a new one there";

/// The process in which it was made. A child that shares its parent's memory (vfork, posix\_spawn)
/// is the same process here, and so is one of a bare system call.
#[derive(Debug)]
pub(super) struct Process(u32);

impl Process {
    pub(super) fn this() -> Self {
        static COUNTING: Once = Once::new();
        COUNTING.call_once(|| {
            // SAFETY: the handler is a function for the life of the process, and stores to one
            // atomic, which is safe in the child of a process with threads. Where memory is used up
            // it is not installed, and forks go unnoticed.
            unsafe { libc::pthread_atfork(None, None, Some(forked)) };
        });
        Self(FORKS.load(Ordering::Relaxed))
    }

    /// Whether this is a child of that process. Its descriptors are the parent's, too.
    #[inline(always)]
    pub(super) fn is_parent(&self) -> bool {
        self.0 != FORKS.load(Ordering::Relaxed)
    }

    /// # Panics
    ///
    /// In a child of that process.
    #[inline(always)]
    #[track_caller]
    pub(super) fn assert(&self) {
        assert!(!self.is_parent(), "{INHERITED}");
    }

    pub(super) fn check(&self) -> io::Result<()> {
        if self.is_parent() {
            return Err(io::Error::other(INHERITED));
        }
        Ok(())
    }

    /// As after a fork, for a test.
    #[cfg(test)]
    pub(super) fn fork(&mut self) {
        self.0 = self.0.wrapping_sub(1);
    }
}

extern "C" fn forked() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}
