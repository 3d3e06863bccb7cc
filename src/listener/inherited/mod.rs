//! Descriptors that this process was started with.
//!
//! They are taken over once, by their number, or as a service manager names them: `fd:N` and
//! `sd-listen` in an [`Address`](crate::Address) do this.
//!
//! What is taken over is closed on exec from then on: children do not have it. A listener is
//! closed at its end, and never shut down, as others may listen on it too; the file of a Unix
//! socket stays where it is. [`Listeners::try_from`](crate::Listeners#impl-TryFrom<OwnedFd>-for-Listeners)
//! says more.

#![allow(unsafe_code)]

mod activation;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};

pub use activation::{HandedOver, receive, unclaimed};
pub(super) use activation::{socket, sockets};

/// The descriptors that were handed down, and are not taken yet. None: nobody has looked.
static LEFT: Mutex<Option<BTreeSet<RawFd>>> = Mutex::new(None);
/// The last one that is looked for where the system lists none.
const LAST: RawFd = 65_537;

/// Takes over a descriptor that this process was started with, by its number. Of standard input,
/// output and error, 0 to 2, it is a duplicate: those stay with the standard library.
///
/// Which these are is found out once, when anything of this module, `fd:N` or `sd-listen` is first
/// used: those that are then open on exec, as nothing is that the standard library opens. Each can be
/// taken once. A program that may itself open descriptors that are open on exec, by a `dup` perhaps,
/// must call [`receive`] before, at the beginning of `main`: else one of those would be taken, too,
/// and have two owners.
///
/// # Errors
///
/// It is not open, it was not handed down, or it was taken before.
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
    // Held while it is taken: of two who want the same, one gets it.
    let mut left = left();
    let is_left = left.as_mut().is_some_and(|left| left.remove(&number));
    let problem = match is_open_on_exec(number) {
        None => return Err(io::Error::new(io::ErrorKind::NotFound, "it is not open")),
        Some(true) if is_left => {
            // SAFETY: it is open, and nothing in this process owns it: it was there when nothing
            // was open on exec but what was handed down (the contract above says so), still is so,
            // and is taken this once.
            let taken = unsafe { OwnedFd::from_raw_fd(number) };
            fcntl_setfd(&taken, FdFlags::CLOEXEC)?;
            return Ok(taken);
        }
        Some(_) => "it was not handed down to this process, or is in use already",
    };
    Err(io::Error::new(io::ErrorKind::InvalidInput, problem))
}

fn left() -> MutexGuard<'static, Option<BTreeSet<RawFd>>> {
    let mut left = LEFT.lock().unwrap_or_else(PoisonError::into_inner);
    left.get_or_insert_with(|| {
        let mut open = open().unwrap_or_else(|_| (0..=LAST).collect());
        open.retain(|&number| number > 2 && is_open_on_exec(number) == Some(true));
        open
    });
    left
}

/// The numbers of all that is open.
fn open() -> io::Result<BTreeSet<RawFd>> {
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

/// None: it is not open.
fn is_open_on_exec(number: RawFd) -> Option<bool> {
    if number < 0 {
        return None;
    }
    // SAFETY: the number is not -1, and the descriptor is only asked for its flags, before this
    // returns; if it is not open, the system says so.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    let flags = fcntl_getfd(borrowed).ok()?;
    Some(!flags.contains(FdFlags::CLOEXEC))
}
