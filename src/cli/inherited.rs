//! Descriptors that whoever started us left open for us, and named by number.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::fs::{OFlags, fcntl_getfl};
use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};

/// Takes over a descriptor that can be written to. The children of this process will not have it.
///
/// To be called before this process opens any descriptor of its own: a number that nobody handed
/// down would otherwise be one of ours. The standard ones, 0 to 2, are never taken.
pub(super) fn writable(number: RawFd) -> io::Result<File> {
    if number < 3 {
        return Err(io::Error::other("that is a standard descriptor"));
    }
    // SAFETY: the number is not -1, and the descriptor is only asked about, and this once; if it
    // is not open, the system says so.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    let flags = fcntl_getfd(borrowed).map_err(|_| io::Error::other("it is not open"))?;
    if !fcntl_getfl(borrowed)?.intersects(OFlags::WRONLY | OFlags::RDWR) {
        return Err(io::Error::other("it is not open for writing"));
    }
    fcntl_setfd(borrowed, flags | FdFlags::CLOEXEC)?;
    // SAFETY: it is open, as it has just told its flags. It was inherited, by the contract above,
    // so nothing in this process owns it yet, and it is taken over once: there is one option that
    // names one, and it can be given once.
    let owned = unsafe { OwnedFd::from_raw_fd(number) };
    Ok(owned.into())
}
