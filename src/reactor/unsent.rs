//! What the kernel still has of what was sent.
// Asking has an address of ours in it.
#![allow(unsafe_code)]

#[cfg(target_os = "linux")]
use std::ffi::c_int;
use std::io;
use std::os::fd::BorrowedFd;

#[cfg(target_os = "linux")]
use rustix::ioctl::{Getter, Opcode, opcode};

/// Bytes that the kernel has, and the peer has not acknowledged: `SIOCOUTQ` of tcp(7).
#[cfg(target_os = "linux")]
pub(crate) fn unsent(socket: BorrowedFd<'_>) -> io::Result<usize> {
    // SAFETY: this number is that request on Linux, and it writes one `int`.
    let request = unsafe { Getter::<SIOCOUTQ, c_int>::new() };
    // SAFETY: a socket knows it, and any other descriptor refuses it.
    let left = unsafe { rustix::ioctl::ioctl(socket, request)? };
    Ok(usize::try_from(left).unwrap_or(0))
}

/// Other systems have other requests.
#[cfg(not(target_os = "linux"))]
pub(crate) fn unsent(_: BorrowedFd<'_>) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Where they differ, systems have it from those on which they began.
#[cfg(target_os = "linux")]
const SIOCOUTQ: Opcode = if cfg!(any(target_arch = "mips", target_arch = "mips64")) {
    0x7472
} else if cfg!(any(
    target_arch = "powerpc",
    target_arch = "powerpc64",
    target_arch = "sparc64"
)) {
    opcode::read::<c_int>(b't', 115)
} else {
    0x5411
};
