//! A descriptor that several handles share.

#![allow(unsafe_code)]

use std::os::fd::{BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU32, Ordering};

/// Open until the last user leaves. What it lives in may live on.
#[derive(Debug)]
pub(super) struct Descriptor {
    fd: RawFd,
    users: AtomicU32,
}

/// One more of those who are no handle, in the count of users.
const VISITOR: u32 = 1 << 16;

impl Descriptor {
    /// Takes over a descriptor, for one user.
    pub(super) fn new(fd: OwnedFd) -> Self {
        Self {
            fd: fd.into_raw_fd(),
            users: AtomicU32::new(1),
        }
    }

    /// None, and never one.
    pub(super) fn none() -> Self {
        Self {
            fd: -1,
            users: AtomicU32::new(0),
        }
    }

    /// Whether there is, or was, one.
    pub(super) fn is_some(&self) -> bool {
        self.fd >= 0
    }

    /// For a caller that is one of the users.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the descriptor is open as long as there is a user, and each call comes from
        // one, who lives at least as long as the borrow of what it holds.
        unsafe { BorrowedFd::borrow_raw(self.fd) }
    }

    /// The same, for what is dropped before the last user has left.
    pub(super) fn lasting(&self) -> BorrowedFd<'static> {
        // SAFETY: `leave` and `visit` have it dropped before they close the descriptor.
        unsafe { BorrowedFd::borrow_raw(self.fd) }
    }

    /// Whether there are several users.
    pub(super) fn is_shared(&self) -> bool {
        self.users.load(Ordering::Acquire) % VISITOR > 1
    }

    /// One user more. The caller is one, or there is no descriptor.
    pub(super) fn join(&self) {
        if self.is_some() {
            self.users.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// One user less. The last one does what is to be done `before` it is closed.
    pub(super) fn leave(&self, before: impl FnOnce()) {
        if self.is_some() {
            self.go(1, before);
        }
    }

    /// Does something with it, unless it is closed, or there never was one. This is no use of it
    /// that [`is_shared`](Self::is_shared) would see.
    pub(super) fn visit<T>(
        &self,
        visit: impl FnOnce(BorrowedFd<'_>) -> T,
        before: impl FnOnce(),
    ) -> Option<T> {
        let come = |users: u32| (users > 0).then_some(users + VISITOR);
        let order = (Ordering::Acquire, Ordering::Relaxed);
        self.users.fetch_update(order.0, order.1, come).ok()?;
        let _leaving = Leaving {
            descriptor: self,
            before: Some(before),
        };
        Some(visit(self.fd()))
    }

    /// Keeps it open as a visit does, until [`go_out`](Self::go_out). The caller is a user.
    #[cfg_attr(
        not(all(target_os = "linux", not(halves_portable))),
        allow(dead_code, reason = "nothing is gathered there")
    )]
    pub(super) fn enter(&self) {
        self.users.fetch_add(VISITOR, Ordering::Relaxed);
    }

    pub(super) fn go_out(&self, before: impl FnOnce()) {
        self.go(VISITOR, before);
    }

    fn go(&self, users: u32, before: impl FnOnce()) {
        if self.users.fetch_sub(users, Ordering::AcqRel) > users {
            return;
        }
        before();
        // SAFETY: it was open, `new` took it over, and no user is left to use or close it.
        drop(unsafe { OwnedFd::from_raw_fd(self.fd) });
    }
}

/// A visit is over, also in a panic.
struct Leaving<'a, F: FnOnce()> {
    descriptor: &'a Descriptor,
    before: Option<F>,
}

impl<F: FnOnce()> Drop for Leaving<'_, F> {
    fn drop(&mut self) {
        if let Some(before) = self.before.take() {
            self.descriptor.go_out(before);
        }
    }
}
