//! Slices of a vectored call, as far as one system call takes them.

use std::io::{IoSlice, IoSliceMut};

/// Slices that one call takes: `IOV_MAX` of Linux and the BSDs. sendmsg(2) and recvmsg(2) fail with more.
const MOST: usize = 1024;

/// The slices to write in one call, and their length in bytes. Empty slices at the beginning are left
/// out, so that a length of 0 means that there is nothing to write.
pub(crate) fn to_write<'a, 'b>(bufs: &'a [IoSlice<'b>]) -> (&'a [IoSlice<'b>], usize) {
    let bufs = &bufs[empty(bufs.iter().map(|buf| buf.len()))..];
    let bufs = &bufs[..bufs.len().min(MOST)];
    (bufs, bufs.iter().map(|buf| buf.len()).sum())
}

/// The slices to read into in one call, and their length in bytes; as [`to_write`].
pub(crate) fn to_read<'a, 'b>(bufs: &'a mut [IoSliceMut<'b>]) -> (&'a mut [IoSliceMut<'b>], usize) {
    let first = empty(bufs.iter().map(|buf| buf.len()));
    let end = bufs.len().min(first + MOST);
    let bufs = &mut bufs[first..end];
    let length = bufs.iter().map(|buf| buf.len()).sum();
    (bufs, length)
}

/// How many are empty before the first that is not.
fn empty(lengths: impl Iterator<Item = usize>) -> usize {
    lengths.take_while(|&length| length == 0).count()
}
