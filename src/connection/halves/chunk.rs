//! A buffer that exists only while there is something in it.

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

/// What a chunk holds at most, in bytes, unless a frame is longer.
// Where caches are contended, an echo of 64 KiB messages takes twice the CPU with 128 KiB.
pub(super) const CHUNK_BYTES: usize = 64 * 1024;
/// The beginning of a frame is kept in a smaller buffer, if this part of its own is enough.
const SHRINK_BELOW: usize = 4;
/// The least of these, in bytes.
const MIN_PARTIAL_BYTES: usize = 64;
/// Buffers that a thread keeps for the next chunks.
const MAX_POOLED_PAGES: usize = 8;

/// Bytes that were read, in a buffer that is given back when the chunk is dropped.
///
/// An idle connection holds none: the buffer is taken from a few that each thread keeps when
/// there is something to read. The bytes can be changed in place.
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
// One pointer, as tasks that wait hold an empty one.
#[derive(Default)]
pub struct Chunk(Option<Box<Page>>);

struct Page {
    /// What is left of it begins and ends here.
    start: usize,
    end: usize,
    /// So many of these bytes are counted as received already.
    counted: usize,
    bytes: Box<[u8]>,
}

thread_local! {
    /// The buffer that is given back and taken most.
    static LAST: Cell<Option<Box<Page>>> = const { Cell::new(None) };
    static POOL: RefCell<Vec<Box<Page>>> = const { RefCell::new(Vec::new()) };
}

impl Chunk {
    /// Holds what `read` puts into the buffer, instead of what it held; no buffer while there is
    /// nothing to come.
    pub(super) fn poll_fill<E>(
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

    /// Adds what `read` puts behind what it holds, which is the beginning of a frame of `most` bytes
    /// at most. Where there is nothing to add, a beginning is kept in a buffer of about its size.
    pub(super) fn poll_append<E>(
        &mut self,
        most: usize,
        read: impl FnOnce(&mut [u8]) -> Poll<Result<usize, E>>,
    ) -> Poll<Result<usize, E>> {
        let (mut page, small) = match self.0.take() {
            None => (take_page(), None),
            Some(mut page) if page.bytes.len() >= CHUNK_BYTES => {
                page.make_room(most);
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
            (_, None) => *self = Self::beginning(page),
        }
        polled
    }

    /// What is in a page, in one that is not much larger, or in none.
    fn beginning(page: Box<Page>) -> Self {
        let length = page.end - page.start;
        if length > page.bytes.len() / SHRINK_BELOW {
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

    /// How many of its first bytes are counted.
    pub(super) fn counted(&self) -> usize {
        self.0.as_ref().map_or(0, |page| page.counted)
    }

    /// All are counted now, or none. Says how many were not.
    pub(in crate::connection) fn count(&mut self, counted: bool) -> usize {
        let Some(page) = &mut self.0 else { return 0 };
        let length = page.end - page.start;
        let before = page.counted;
        page.counted = if counted { length } else { 0 };
        length - before
    }

    /// Has `read` fill a buffer of others first, and holds what is beyond that. Says how much the
    /// other buffer got.
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

    /// Moves as much as fits to a buffer of others; a chunk of which nothing is left has none.
    pub(super) fn read_into(&mut self, buf: &mut [u8]) -> usize {
        let n = buf.len().min(self.len());
        buf[..n].copy_from_slice(&self[..n]);
        self.advance(n);
        if self.is_empty() {
            *self = Self::default();
        }
        n
    }

    /// The same, to several.
    pub(super) fn read_into_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> usize {
        bufs.iter_mut().map(|buf| self.read_into(buf)).sum()
    }

    /// Forgets so many bytes at the beginning. The buffer stays, for what comes next.
    pub(crate) fn advance(&mut self, n: usize) {
        assert!(n <= self.len(), "no more is forgotten than there is");
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

    fn filled(&mut self, length: usize) {
        let room = self.bytes.len() - self.end;
        assert!(
            length <= room,
            "a reader has read more than there is room for"
        );
        self.end += length;
    }

    /// Holds what another one holds.
    fn copy(&mut self, other: &Self) {
        let bytes = &other.bytes[other.start..other.end];
        self.bytes[..bytes.len()].copy_from_slice(bytes);
        (self.start, self.end, self.counted) = (0, bytes.len(), other.counted);
    }

    /// So that more of a frame of `most` bytes can be read. Its size grows with what has come.
    fn make_room(&mut self, most: usize) {
        let (size, length) = (self.bytes.len(), self.end - self.start);
        if self.start > 0 && size - self.end < size / 2 {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, length);
        }
        if length == size {
            let mut larger = vec![0; (2 * size).min(most).max(size + 1)];
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
    // While the thread ends there is no pool any more.
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

    fn append(chunk: &mut Chunk, most: usize, bytes: &[u8]) {
        let room = |page: &mut [u8]| {
            let size = page.len().min(bytes.len());
            page[..size].copy_from_slice(&bytes[..size]);
            Poll::Ready(Ok::<_, ()>(size))
        };
        assert!(chunk.poll_append(most, room).is_ready());
    }

    /// Nothing has come: how large the buffer is then.
    fn wait(chunk: &mut Chunk, most: usize) -> usize {
        let held = chunk.to_vec();
        let polled = chunk.poll_append(most, |_| Poll::<Result<usize, ()>>::Pending);
        assert!(polled.is_pending());
        assert_eq!(**chunk, held);
        chunk.0.as_ref().map_or(0, |page| page.bytes.len())
    }

    #[test]
    fn the_beginning_of_a_frame_is_kept_in_little_room() {
        let mut chunk = Chunk::default();
        assert_eq!(wait(&mut chunk, CHUNK_BYTES), 0);
        let mut came = 0;
        for (size, room) in [(1, 64), (64, 64), (65, 128), (5000, 8192), (16_384, 16_384)] {
            append(&mut chunk, CHUNK_BYTES, &BYTES[..size - came]);
            came = size;
            assert_eq!(wait(&mut chunk, CHUNK_BYTES), room, "for {size} bytes");
            assert_eq!(wait(&mut chunk, CHUNK_BYTES), room, "it stays");
        }
        append(&mut chunk, CHUNK_BYTES, b"a");
        assert_eq!(wait(&mut chunk, CHUNK_BYTES), CHUNK_BYTES);
        chunk.advance(came + 1);
        assert_eq!(wait(&mut chunk, CHUNK_BYTES), 0);
    }

    #[test]
    fn a_long_frame_makes_its_buffer_grow_as_it_comes() {
        let mut chunk = Chunk::default();
        let most = 5 * CHUNK_BYTES;
        for size in [2, 4, 4, 5] {
            append(&mut chunk, most, &BYTES);
            assert_eq!(wait(&mut chunk, most) / CHUNK_BYTES, size);
        }
        append(&mut chunk, most, &BYTES);
        assert_eq!(chunk.len(), most);
        chunk.advance(most - 10);
        assert_eq!(wait(&mut chunk, CHUNK_BYTES), 64);
    }
}
