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

use std::io;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::{Mutex, PoisonError};

use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};

pub use activation::receive;
pub(super) use activation::sockets;

/// Held while one is taken: of two who want the same, one gets it.
static TAKING: Mutex<()> = Mutex::new(());

/// Takes over a descriptor that this process was started with, by its number. Of standard input,
/// output and error, 0 to 2, it is a duplicate: those stay with the standard library.
///
/// Only what was handed down can be taken, and only once: it is told by its being open on exec, as
/// nothing is that the standard library opens, nor anything that was taken before. Whoever clears
/// that flag on a descriptor of the program's own must not have it taken, too.
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
/// let ours = File::open("/dev/null")?;
/// assert!(inherited::take(ours.as_raw_fd()).is_err());
/// # std::io::Result::Ok(())
/// ```
pub fn take(number: RawFd) -> io::Result<OwnedFd> {
    match number {
        0 => return io::stdin().as_fd().try_clone_to_owned(),
        1 => return io::stdout().as_fd().try_clone_to_owned(),
        2 => return io::stderr().as_fd().try_clone_to_owned(),
        ..0 => return Err(not_open()),
        _ => {}
    }
    let _alone = TAKING.lock().unwrap_or_else(PoisonError::into_inner);
    // SAFETY: the number is not -1, and the descriptor is only asked for its flags and given one,
    // before this returns; if it is not open, the system says so.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    let flags = fcntl_getfd(borrowed).map_err(|_| not_open())?;
    if flags.contains(FdFlags::CLOEXEC) {
        let problem = "it was not handed down to this process, or is in use already";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
    }
    fcntl_setfd(borrowed, flags | FdFlags::CLOEXEC)?;
    // SAFETY: it is open, as it has told its flags. Nothing in this process owns it: it was open on
    // exec, which what this process opens is not (the standard library and all beneath us see to
    // that, and the contract above forbids the rest), and from now on it is not either, so that it
    // is taken this once.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

fn not_open() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "it is not open")
}
