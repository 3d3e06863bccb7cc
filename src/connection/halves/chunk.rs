//! A buffer that exists only while bytes are in it.

#![allow(
    clippy::vec_box,
    clippy::unnecessary_box_returns,
    reason = "a chunk is a pointer to its page, which moves as such"
)]

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io::IoSliceMut;
use std::ops::{Deref, DerefMut};
use std::task::Poll;

/// The most bytes that a chunk holds, unless a frame is longer.
// Where caches are contended, an echo of 64 KiB messages takes twice the CPU with 128 KiB.
pub(crate) const CHUNK_BYTES: usize = 64 * 1024;
/// The beginning of a frame moves to a smaller buffer if it fits into 1/4 of the current one.
const MIN_FILL_DIVISOR: usize = 4;
/// The smallest buffer for the beginning of a frame.
const MIN_PARTIAL_BYTES: usize = 64;
/// The most buffers that a thread keeps for the next chunks, beside [`LAST`].
const MAX_POOLED_PAGES: usize = 8;

/// Bytes read from a connection, in a buffer that returns to a pool when the chunk is dropped.
///
/// Each thread keeps a small pool of buffers. A chunk takes one when there are bytes to read, so an
/// idle connection holds none. The bytes can be changed in place.
///
/// # Examples
///
/// ```
/// use halves::Connection;
///
/// # smol::block_on(async {
/// let mut connection = Connection::new(&b"hello"[..], futures_lite::io::sink());
/// let mut chunk = connection.reader.read_chunk().await?;
/// chunk.make_ascii_uppercase();
/// assert_eq!(&*chunk, b"HELLO");
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
// This is one pointer, since waiting tasks hold an empty chunk.
#[derive(Default)]
pub struct Chunk(Option<Box<Page>>);

struct Page {
    /// The bytes of the chunk are `bytes[start..end]`.
    start: usize,
    end: usize,
    /// The number of these bytes that are already counted as received.
    counted: usize,
    bytes: Box<[u8]>,
}

thread_local! {
    /// The buffer returned last. Most takes and returns use only this one.
    static LAST: Cell<Option<Box<Page>>> = const { Cell::new(None) };
    static POOL: RefCell<Vec<Box<Page>>> = const { RefCell::new(Vec::new()) };
}

impl Chunk {
    /// Replaces the contents by the bytes that `read` writes into the buffer. The chunk has no
    /// buffer after `Pending` or an error.
    #[inline(always)]
    pub(crate) fn poll_fill<E>(
        &mut self,
        read: impl FnOnce(&mut [u8]) -> Poll<Result<usize, E>>,
    ) -> Poll<Result<(), E>> {
        let kept = self.0.take().filter(|page| page.bytes.len() == CHUNK_BYTES);
        let page = self.0.insert(kept.unwrap_or_else(take_page));
        (page.start, page.end, page.counted) = (0, 0, 0);
        let polled = read(&mut page.bytes);
        match polled {
            Poll::Ready(Ok(length)) => page.filled(length),
            _ => *self = Self::default(),
        }
        polled.map_ok(drop)
    }

    /// Appends the bytes that `read` writes behind the contents, which are the beginning of a frame
    /// of at most `max_bytes` bytes. If `read` adds none, the contents move to a buffer of about their
    /// size.
    pub(crate) fn poll_append<E>(
        &mut self,
        max_bytes: usize,
        read: impl FnOnce(&mut [u8]) -> Poll<Result<usize, E>>,
    ) -> Poll<Result<usize, E>> {
        let (mut page, small) = match self.0.take() {
            None => (take_page(), None),
            Some(mut page) if page.bytes.len() >= CHUNK_BYTES => {
                page.make_room(max_bytes);
                (page, None)
            }
            Some(small) => {
                let mut page = take_page();
                page.copy(&small);
                (page, Some(small))
            }
        };
        let end = page.end;
        let polled = read(&mut page.bytes[end..]);
        match (&polled, small) {
            (&Poll::Ready(Ok(length @ 1..)), _) => {
                page.filled(length);
                self.0 = Some(page);
            }
            (_, Some(small)) => {
                return_page(page);
                self.0 = Some(small);
            }
            (_, None) => *self = Self::shrunk(page),
        }
        polled
    }

    /// Replaces the contents by the bytes that `read` writes. Room for `front` bytes stays free before
    /// them, for [`prepend`](Self::prepend).
    #[cfg(feature = "tls")]
    pub(crate) fn poll_fill_behind<E>(
        &mut self,
        front: usize,
        read: impl FnOnce(&mut [u8]) -> Poll<Result<usize, E>>,
    ) -> Poll<Result<(), E>> {
        let filled = self.poll_fill(|page| read(&mut page[front..]).map_ok(|n| front + n));
        if !self.is_empty() {
            self.advance(front);
        }
        filled
    }

    /// Puts bytes before the contents, which are at least as many bytes from the begin of the buffer.
    #[cfg(feature = "tls")]
    pub(crate) fn prepend(&mut self, bytes: &[u8]) {
        let Some(page) = &mut self.0 else { return };
        page.start -= bytes.len();
        page.bytes[page.start..][..bytes.len()].copy_from_slice(bytes);
    }

    /// Moves the contents to a buffer of about their size, for a wait.
    #[cfg(feature = "tls")]
    pub(crate) fn shrink(&mut self) {
        if let Some(page) = self.0.take() {
            *self = Self::shrunk(page);
        }
    }

    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.0.as_ref().map_or(0, |page| page.bytes.len())
    }

    /// Moves the contents of a page to a page that is not much larger, or to none if it is empty.
    fn shrunk(page: Box<Page>) -> Self {
        let length = page.len();
        if length > page.bytes.len() / MIN_FILL_DIVISOR {
            return Self(Some(page));
        }
        let small = (length > 0).then(|| {
            let mut small = Page::new(length.next_power_of_two().max(MIN_PARTIAL_BYTES));
            small.copy(&page);
            small
        });
        return_page(page);
        Self(small)
    }

    // Cheaper than the methods of the slice, which has its bounds checked.
    pub(crate) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |page| page.len())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns how many of the first bytes are already counted as received.
    pub(super) fn counted(&self) -> usize {
        self.0.as_ref().map_or(0, |page| page.counted)
    }

    /// Marks all bytes as counted, or none. Returns how many were not.
    pub(in crate::connection) fn count(&mut self, counted: bool) -> usize {
        let Some(page) = &mut self.0 else { return 0 };
        let length = page.len();
        let before = page.counted;
        page.counted = if counted { length } else { 0 };
        length - before
    }

    /// Replaces the contents by the bytes that `read` reads beyond `buf`. Returns the number of bytes
    /// in `buf`.
    pub(super) fn poll_fill_after<E>(
        &mut self,
        buf: &mut [u8],
        read: impl FnOnce(&mut [IoSliceMut<'_>]) -> Poll<Result<usize, E>>,
    ) -> Poll<Result<usize, E>> {
        let (room, mut got) = (buf.len(), 0);
        let filled = self.poll_fill(|page| {
            let bufs = &mut [IoSliceMut::new(buf), IoSliceMut::new(page)];
            read(bufs).map_ok(|n| {
                got = n.min(room);
                n - got
            })
        });
        if self.is_empty() {
            *self = Self::default();
        }
        filled.map_ok(|()| got)
    }

    /// Moves as many bytes as fit into `buf`, and returns their number. An emptied chunk has no
    /// buffer.
    pub(super) fn read_into(&mut self, buf: &mut [u8]) -> usize {
        let n = buf.len().min(self.len());
        buf[..n].copy_from_slice(&self[..n]);
        self.advance(n);
        if self.is_empty() {
            *self = Self::default();
        }
        n
    }

    /// Like [`read_into`](Self::read_into), with several buffers.
    pub(super) fn read_into_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> usize {
        bufs.iter_mut().map(|buf| self.read_into(buf)).sum()
    }

    /// Removes the first `n` bytes. The buffer stays, for the next read.
    pub(crate) fn advance(&mut self, n: usize) {
        assert!(n <= self.len(), "cannot advance past the end of the chunk");
        if let Some(page) = &mut self.0 {
            page.start += n;
            page.counted = page.counted.saturating_sub(n);
        }
    }
}

impl Page {
    fn new(size: usize) -> Box<Self> {
        Box::new(Self {
            start: 0,
            end: 0,
            counted: 0,
            bytes: vec![0; size].into(),
        })
    }

    fn len(&self) -> usize {
        self.end - self.start
    }

    fn filled(&mut self, length: usize) {
        let room = self.bytes.len() - self.end;
        assert!(
            length <= room,
            "a reader returned more bytes than its buffer has"
        );
        self.end += length;
    }

    /// Replaces the contents by those of another page.
    fn copy(&mut self, other: &Self) {
        let bytes = &other.bytes[other.start..other.end];
        self.bytes[..bytes.len()].copy_from_slice(bytes);
        (self.start, self.end, self.counted) = (0, bytes.len(), other.counted);
    }

    /// Makes room for more of a frame of at most `max_bytes` bytes. The size grows with the contents.
    fn make_room(&mut self, max_bytes: usize) {
        let (size, length) = (self.bytes.len(), self.len());
        if self.start > 0 && size - self.end < size / 2 {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, length);
        }
        if length == size {
            let mut larger = vec![0; (2 * size).min(max_bytes).max(size + 1)];
            larger[..size].copy_from_slice(&self.bytes);
            self.bytes = larger.into();
        }
    }
}

impl Deref for Chunk {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Some(page) => &page.bytes[page.start..page.end],
            None => &[],
        }
    }
}

impl DerefMut for Chunk {
    fn deref_mut(&mut self) -> &mut [u8] {
        match &mut self.0 {
            Some(page) => &mut page.bytes[page.start..page.end],
            None => &mut [],
        }
    }
}

impl Drop for Chunk {
    #[inline(always)]
    fn drop(&mut self) {
        if let Some(page) = self.0.take() {
            return_page(page);
        }
    }
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Chunk").field(&&**self).finish()
    }
}

#[inline(always)]
fn take_page() -> Box<Page> {
    // The pool is gone while the thread ends.
    let last = LAST.try_with(Cell::take).ok().flatten();
    let kept = last.or_else(|| POOL.try_with(|pool| pool.borrow_mut().pop()).ok().flatten());
    let mut page = kept.unwrap_or_else(|| Page::new(CHUNK_BYTES));
    (page.start, page.end, page.counted) = (0, 0, 0);
    page
}

#[inline(always)]
fn return_page(page: Box<Page>) {
    if page.bytes.len() != CHUNK_BYTES {
        return;
    }
    let Ok(Some(page)) = LAST.try_with(|last| last.replace(Some(page))) else {
        return;
    };
    let _ = POOL.try_with(|pool| {
        let mut pool = pool.borrow_mut();
        if pool.len() < MAX_POOLED_PAGES {
            pool.push(page);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    static BYTES: [u8; CHUNK_BYTES] = [7; CHUNK_BYTES];

    fn append(chunk: &mut Chunk, max_bytes: usize, bytes: &[u8]) {
        let room = |page: &mut [u8]| {
            let size = page.len().min(bytes.len());
            page[..size].copy_from_slice(&bytes[..size]);
            Poll::Ready(Ok::<_, ()>(size))
        };
        assert!(chunk.poll_append(max_bytes, room).is_ready());
    }

    /// Polls an append that has no bytes, and returns the size of the buffer after it.
    fn wait(chunk: &mut Chunk, max_bytes: usize) -> usize {
        let held = chunk.to_vec();
        let polled = chunk.poll_append(max_bytes, |_| Poll::<Result<usize, ()>>::Pending);
        assert!(polled.is_pending());
        assert_eq!(**chunk, held);
        chunk.capacity()
    }

    #[test]
    fn the_beginning_of_a_frame_moves_to_a_small_buffer() {
        let mut chunk = Chunk::default();
        assert_eq!(wait(&mut chunk, CHUNK_BYTES), 0);
        let mut length = 0;
        for (size, room) in [(1, 64), (64, 64), (65, 128), (5000, 8192), (16_384, 16_384)] {
            append(&mut chunk, CHUNK_BYTES, &BYTES[..size - length]);
            length = size;
            assert_eq!(wait(&mut chunk, CHUNK_BYTES), room, "for {size} bytes");
            assert_eq!(wait(&mut chunk, CHUNK_BYTES), room, "the buffer stays");
        }
        append(&mut chunk, CHUNK_BYTES, b"a");
        assert_eq!(wait(&mut chunk, CHUNK_BYTES), CHUNK_BYTES);
        chunk.advance(length + 1);
        assert_eq!(wait(&mut chunk, CHUNK_BYTES), 0);
    }

    #[test]
    fn the_buffer_of_a_long_frame_grows_with_its_contents() {
        let mut chunk = Chunk::default();
        let max_bytes = 5 * CHUNK_BYTES;
        for size in [2, 4, 4, 5] {
            append(&mut chunk, max_bytes, &BYTES);
            assert_eq!(wait(&mut chunk, max_bytes) / CHUNK_BYTES, size);
        }
        append(&mut chunk, max_bytes, &BYTES);
        assert_eq!(chunk.len(), max_bytes);
        chunk.advance(max_bytes - 10);
        assert_eq!(wait(&mut chunk, CHUNK_BYTES), 64);
    }
}
