//! Payload in several buffers: scattered to those of a reader, gathered from those of a writer.

use std::io::{IoSlice, IoSliceMut};
use std::task::Poll;

use crate::connection::Chunk;

/// The most payload in one record, in bytes.
pub(super) const MAX_RECORD_BYTES: usize = 16 * 1024;
/// The most payload that one write takes, in bytes.
pub(super) const MAX_WRITE_BYTES: usize = 4 * MAX_RECORD_BYTES;

/// The free room in the buffers of a reader.
pub(in crate::tls) struct Scatter<'a, 'b> {
    bufs: &'a mut [IoSliceMut<'b>],
    /// The bytes written so far.
    len: usize,
}

impl<'a, 'b> Scatter<'a, 'b> {
    pub(in crate::tls) fn new(mut bufs: &'a mut [IoSliceMut<'b>]) -> Self {
        IoSliceMut::advance_slices(&mut bufs, 0);
        Self { bufs, len: 0 }
    }

    /// Copies as many of these bytes as there is room for, and returns their number.
    pub(super) fn put(&mut self, bytes: &[u8]) -> usize {
        let mut put = 0;
        while put < bytes.len()
            && let Some(buf) = self.bufs.first_mut()
        {
            let n = buf.len().min(bytes.len() - put);
            buf[..n].copy_from_slice(&bytes[put..][..n]);
            IoSliceMut::advance_slices(&mut self.bufs, n);
            put += n;
        }
        self.len += put;
        put
    }

    pub(super) fn is_full(&self) -> bool {
        self.bufs.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }
}

/// The payload of a write, cut into pieces that fill their records.
pub(super) struct Gather<'a> {
    bufs: &'a [IoSlice<'a>],
    /// The bytes of the first buffer that are already taken.
    taken: usize,
    /// The bytes that this write still takes.
    left: usize,
    /// A record that is joined from several buffers.
    joined: Chunk,
}

impl<'a> Gather<'a> {
    pub(super) fn new(bufs: &'a [IoSlice<'a>]) -> Self {
        let size: usize = bufs.iter().map(|buf| buf.len()).sum();
        Self {
            bufs,
            taken: 0,
            left: size.min(MAX_WRITE_BYTES),
            joined: Chunk::default(),
        }
    }

    /// The number of bytes in the pieces to come.
    pub(super) fn left(&self) -> usize {
        self.left
    }

    /// Returns the next piece: full records from one buffer, one record joined from several, or the
    /// last bytes.
    pub(super) fn next_piece(&mut self) -> Option<&[u8]> {
        let first = self.first()?;
        let n = first.len().min(self.left);
        if n == self.left || n >= MAX_RECORD_BYTES {
            let n = if n == self.left {
                n
            } else {
                n - n % MAX_RECORD_BYTES
            };
            self.take(n);
            return Some(&first[..n]);
        }
        let mut joined = std::mem::take(&mut self.joined);
        let _ = joined.poll_fill(|page| {
            let size = self.left.min(MAX_RECORD_BYTES);
            let mut room = &mut page[..size];
            while !room.is_empty()
                && let Some(first) = self.first()
            {
                let n = first.len().min(room.len());
                room[..n].copy_from_slice(&first[..n]);
                room = &mut room[n..];
                self.take(n);
            }
            Poll::Ready(Ok::<_, ()>(size))
        });
        self.joined = joined;
        Some(&self.joined)
    }

    /// Returns the bytes of the first buffer that are not taken yet.
    fn first(&mut self) -> Option<&'a [u8]> {
        while self.left > 0 {
            let (first, rest) = self.bufs.split_first()?;
            if self.taken < first.len() {
                return Some(&first[self.taken..]);
            }
            (self.bufs, self.taken) = (rest, 0);
        }
        None
    }

    fn take(&mut self, n: usize) {
        self.taken += n;
        self.left -= n;
    }
}
