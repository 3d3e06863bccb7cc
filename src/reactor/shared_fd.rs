//! A descriptor that several handles share.

#![allow(unsafe_code)]

use std::os::fd::{BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU32, Ordering};

/// A descriptor that is closed when its last user is gone. The memory of this value may live
/// longer. A user is a handle or a temporary hold.
#[derive(Debug)]
pub(super) struct SharedFd {
    fd: RawFd,
    /// The number of handles in the low 16 bits, and the number of holds in the high 16 bits.
    users: AtomicU32,
}

/// One hold in the count of users.
const ONE_HOLD: u32 = 1 << 16;

impl SharedFd {
    /// Takes over a descriptor, with one handle.
    pub(super) fn new(fd: OwnedFd) -> Self {
        Self {
            fd: fd.into_raw_fd(),
            users: AtomicU32::new(1),
        }
    }

    /// Makes a value that never has a descriptor.
    pub(super) fn none() -> Self {
        Self {
            fd: -1,
            users: AtomicU32::new(0),
        }
    }

    /// Returns true if there is a descriptor, or was one before it was closed.
    pub(super) fn is_some(&self) -> bool {
        self.fd >= 0
    }

    /// Borrows the descriptor. The caller is a user.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the descriptor is open as long as there is a user. Each caller is one, and is a
        // user at least as long as its borrow lasts.
        unsafe { BorrowedFd::borrow_raw(self.fd) }
    }

    /// Borrows the descriptor for a value that is dropped before the descriptor is closed: by
    /// `before_close` of [`drop_handle`](Self::drop_handle), [`with_fd`](Self::with_fd) and
    /// [`release_hold`](Self::release_hold).
    pub(super) fn fd_until_close(&self) -> BorrowedFd<'static> {
        // SAFETY: the caller drops the borrow in `before_close`, before the descriptor is closed.
        unsafe { BorrowedFd::borrow_raw(self.fd) }
    }

    /// Returns true if there are several handles.
    pub(super) fn is_shared(&self) -> bool {
        self.users.load(Ordering::Acquire) % ONE_HOLD > 1
    }

    /// Adds a handle. The caller is a user, or there is no descriptor.
    pub(super) fn add_handle(&self) {
        if self.is_some() {
            self.users.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Removes a handle. If it is the last user, this calls `before_close` and closes the
    /// descriptor.
    pub(super) fn drop_handle(&self, before_close: impl FnOnce()) {
        if self.is_some() {
            self.remove_users(1, before_close);
        }
    }

    /// Calls `f` with the descriptor, which a hold keeps open meanwhile. Returns None if the
    /// descriptor is closed or there never was one.
    pub(super) fn with_fd<T>(
        &self,
        f: impl FnOnce(BorrowedFd<'_>) -> T,
        before_close: impl FnOnce(),
    ) -> Option<T> {
        let add_hold = |users: u32| (users > 0).then_some(users + ONE_HOLD);
        let order = (Ordering::Acquire, Ordering::Relaxed);
        self.users.fetch_update(order.0, order.1, add_hold).ok()?;
        let _hold = ReleaseOnDrop {
            fd: self,
            before_close: Some(before_close),
        };
        Some(f(self.fd()))
    }

    /// Keeps the descriptor open until [`release_hold`](Self::release_hold). The caller is a user.
    #[cfg_attr(
        not(all(target_os = "linux", not(halves_portable))),
        allow(dead_code, reason = "no outbox there")
    )]
    pub(super) fn hold(&self) {
        self.users.fetch_add(ONE_HOLD, Ordering::Relaxed);
    }

    /// Removes a hold, as [`drop_handle`](Self::drop_handle) does a handle.
    pub(super) fn release_hold(&self, before_close: impl FnOnce()) {
        self.remove_users(ONE_HOLD, before_close);
    }

    fn remove_users(&self, users: u32, before_close: impl FnOnce()) {
        if self.users.fetch_sub(users, Ordering::AcqRel) > users {
            return;
        }
        before_close();
        // SAFETY: `new` took the descriptor over, it is open, and no user is left to use or close
        // it.
        drop(unsafe { OwnedFd::from_raw_fd(self.fd) });
    }
}

/// Releases the hold of [`SharedFd::with_fd`], even in a panic.
struct ReleaseOnDrop<'a, F: FnOnce()> {
    fd: &'a SharedFd,
    before_close: Option<F>,
}

impl<F: FnOnce()> Drop for ReleaseOnDrop<'_, F> {
    fn drop(&mut self) {
        if let Some(before_close) = self.before_close.take() {
            self.fd.release_hold(before_close);
        }
    }
}
