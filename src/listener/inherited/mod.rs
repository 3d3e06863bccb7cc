//! Inherited descriptors: those that were open when this process started.
//!
//! Each can be taken over once, by its number or by the name that a service manager gave it. The
//! addresses `fd:N` and `sd-listen` do this (see [`Address`](crate::Address)).
//!
//! A descriptor that was taken over is closed on exec, so children do not inherit it. A listener is
//! closed at its end and never shut down, as other processes may listen on it too; the file of a
//! Unix socket stays. For details see
//! [`Listeners::try_from`](crate::Listeners#impl-TryFrom<OwnedFd>-for-Listeners).

#![allow(unsafe_code)]

mod activation;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};

pub use activation::{ActivationFd, receive, unclaimed};
pub(super) use activation::{socket, sockets};

/// The inherited descriptors that are not taken yet. None before the first use.
static UNTAKEN_FDS: Mutex<Option<BTreeSet<RawFd>>> = Mutex::new(None);
/// The highest number that is tried if the system has no list of open descriptors.
const MAX_SCANNED_FD: RawFd = 65_537;

/// Takes over an inherited descriptor by its number. For standard input, output and error (0 to 2)
/// this returns a duplicate, as the standard library owns the original.
///
/// The first use of this module, `fd:N` or `sd-listen` records the inherited descriptors: those
/// that are open without `FD_CLOEXEC`, which the standard library always sets. Each can be taken
/// once. A program that opens descriptors without `FD_CLOEXEC`, for example by `dup`, must call
/// [`receive`] before, at the start of `main`. Otherwise this could take such a descriptor, which
/// would then have two owners.
///
/// # Errors
///
/// If the descriptor is not open, was not inherited, or was taken before.
///
/// # Examples
///
/// ```
/// use halves::listener::inherited;
/// use std::{fs::File, os::fd::AsRawFd};
///
/// inherited::receive();
/// let ours = File::open("/dev/null")?;
/// assert!(inherited::take(ours.as_raw_fd()).is_err());
/// # std::io::Result::Ok(())
/// ```
pub fn take(number: RawFd) -> io::Result<OwnedFd> {
    match number {
        0 => return io::stdin().as_fd().try_clone_to_owned(),
        1 => return io::stdout().as_fd().try_clone_to_owned(),
        2 => return io::stderr().as_fd().try_clone_to_owned(),
        _ => {}
    }
    // The lock is held meanwhile, so that only one of two callers takes a descriptor.
    let mut untaken = untaken();
    let is_untaken = untaken.as_mut().is_some_and(|fds| fds.remove(&number));
    let message = match is_open_on_exec(number) {
        None => return Err(io::Error::new(io::ErrorKind::NotFound, "it is not open")),
        Some(true) if is_untaken => {
            // SAFETY: the descriptor is open and has no owner in this process. It was recorded when
            // only inherited descriptors were open without FD_CLOEXEC (see the contract above), it
            // is still without that flag, and each is taken once.
            let taken = unsafe { OwnedFd::from_raw_fd(number) };
            fcntl_setfd(&taken, FdFlags::CLOEXEC)?;
            return Ok(taken);
        }
        Some(_) => "it was not inherited by this process, or is in use already",
    };
    Err(io::Error::new(io::ErrorKind::InvalidInput, message))
}

/// Returns the descriptors that are not taken yet. Records them at the first call.
fn untaken() -> MutexGuard<'static, Option<BTreeSet<RawFd>>> {
    let mut untaken = UNTAKEN_FDS.lock().unwrap_or_else(PoisonError::into_inner);
    untaken.get_or_insert_with(|| {
        let mut fds = open_fds().unwrap_or_else(|_| (0..=MAX_SCANNED_FD).collect());
        fds.retain(|&number| number > 2 && is_open_on_exec(number) == Some(true));
        fds
    });
    untaken
}

/// Returns the numbers of all open descriptors.
fn open_fds() -> io::Result<BTreeSet<RawFd>> {
    let mut open = BTreeSet::new();
    for entry in fs::read_dir("/dev/fd")? {
        open.extend(
            entry?
                .file_name()
                .to_str()
                .and_then(|name| name.parse::<RawFd>().ok()),
        );
    }
    Ok(open)
}

/// Returns true if exec does not close the descriptor, or None if it is not open.
fn is_open_on_exec(number: RawFd) -> Option<bool> {
    if number < 0 {
        return None;
    }
    // SAFETY: the number is not -1. The descriptor is used for one call that reads its flags, which
    // fails if it is not open.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    let flags = fcntl_getfd(borrowed).ok()?;
    Some(!flags.contains(FdFlags::CLOEXEC))
}
