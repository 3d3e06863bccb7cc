//! Calls to the kernel that several files use, and its limits.

// The request of `ioctl` takes an address of ours.
#![allow(unsafe_code)]

#[cfg(target_os = "linux")]
use std::ffi::c_int;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::BorrowedFd;

#[cfg(target_os = "linux")]
use rustix::ioctl::{Getter, Opcode, opcode};
use rustix::net::SendFlags;

/// The flags of every send: it does not wait, and a closed peer is an error instead of a signal.
pub(super) const SEND_FLAGS: SendFlags = SendFlags::DONTWAIT.union(SendFlags::NOSIGNAL);

/// The largest number of slices in one call: `IOV_MAX` of Linux and the BSDs. sendmsg(2) and
/// recvmsg(2) fail with more.
const MAX_SLICES: usize = 1024;

/// Resets a stream socket now, even if other processes have it open.
pub(crate) fn reset(socket: BorrowedFd<'_>) {
    // Disconnecting sends the reset. A Unix socket cannot be reset so, and both its directions end.
    if rustix::net::connect_unspec(socket).is_err() {
        let _ = rustix::net::shutdown(socket, rustix::net::Shutdown::Both);
    }
}

/// Returns the number of sent bytes that the peer has not acknowledged: `SIOCOUTQ` of tcp(7).
#[cfg(target_os = "linux")]
pub(crate) fn unsent_bytes(socket: BorrowedFd<'_>) -> io::Result<usize> {
    // SAFETY: on Linux this number is that request, and the request writes one `int`.
    let request = unsafe { Getter::<SIOCOUTQ, c_int>::new() };
    // SAFETY: sockets implement the request, and all other descriptors refuse it.
    let left = unsafe { rustix::ioctl::ioctl(socket, request)? };
    Ok(usize::try_from(left).unwrap_or(0))
}

/// Fails: other systems have other requests.
#[cfg(not(target_os = "linux"))]
pub(crate) fn unsent_bytes(_: BorrowedFd<'_>) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}

/// The number of the request, which depends on the architecture.
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

/// Returns the slices to write in one call, and their length in bytes. Empty slices at the
/// beginning are left out, so that a length of 0 means that there is nothing to write.
pub(crate) fn slices_to_write<'a, 'b>(bufs: &'a [IoSlice<'b>]) -> (&'a [IoSlice<'b>], usize) {
    let bufs = &bufs[leading_empty(bufs.iter().map(|buf| buf.len()))..];
    let bufs = &bufs[..bufs.len().min(MAX_SLICES)];
    (bufs, bufs.iter().map(|buf| buf.len()).sum())
}

/// Returns the slices to read into in one call, and their length in bytes, as [`slices_to_write`]
/// does.
pub(crate) fn slices_to_read<'a, 'b>(
    bufs: &'a mut [IoSliceMut<'b>],
) -> (&'a mut [IoSliceMut<'b>], usize) {
    let first = leading_empty(bufs.iter().map(|buf| buf.len()));
    let end = bufs.len().min(first + MAX_SLICES);
    let bufs = &mut bufs[first..end];
    let length = bufs.iter().map(|buf| buf.len()).sum();
    (bufs, length)
}

/// Returns the number of zeros at the beginning.
fn leading_empty(lengths: impl Iterator<Item = usize>) -> usize {
    lengths.take_while(|&length| length == 0).count()
}
