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

/// What a chunk holds at most, in bytes.
pub(super) const SIZE: usize = 128 * 1024;
/// Buffers that a thread keeps for the next chunks.
const KEPT: usize = 8;

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
    start: u32,
    end: u32,
    bytes: Box<[u8]>,
}

thread_local! {
    /// The buffer that is given back and taken most.
    static LAST: Cell<Option<Box<Page>>> = const { Cell::new(None) };
    static POOL: RefCell<Vec<Box<Page>>> = const { RefCell::new(Vec::new()) };
}

#[allow(clippy::cast_possible_truncation, reason = "a page is smaller")]
impl Chunk {
    /// Holds what `read` puts into the buffer, instead of what it held; no buffer while there is
    /// nothing to come.
    pub(super) fn poll_fill<E>(
        &mut self,
        read: impl FnOnce(&mut [u8]) -> Poll<Result<usize, E>>,
    ) -> Poll<Result<(), E>> {
        let page = self.0.get_or_insert_with(take);
        (page.start, page.end) = (0, 0);
        let polled = read(&mut page.bytes);
        match polled {
            Poll::Ready(Ok(length)) => {
                assert!(
                    length <= SIZE,
                    "a reader has read more than there is room for"
                );
                page.end = length as u32;
            }
            _ => *self = Self::default(),
        }
        polled.map_ok(drop)
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
    pub(super) fn move_to(&mut self, buf: &mut [u8]) -> usize {
        let n = buf.len().min(self.len());
        buf[..n].copy_from_slice(&self[..n]);
        self.advance(n);
        if self.is_empty() {
            *self = Self::default();
        }
        n
    }

    /// The same, to several.
    pub(super) fn move_to_all(&mut self, bufs: &mut [IoSliceMut<'_>]) -> usize {
        bufs.iter_mut().map(|buf| self.move_to(buf)).sum()
    }

    /// Forgets so many bytes at the beginning. The buffer stays, for what comes next.
    pub(crate) fn advance(&mut self, n: usize) {
        assert!(n <= self.len(), "no more is forgotten than there is");
        if let Some(page) = &mut self.0 {
            page.start += n as u32;
        }
    }
}

impl Deref for Chunk {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Some(page) => &page.bytes[page.start as usize..page.end as usize],
            None => &[],
        }
    }
}

impl DerefMut for Chunk {
    fn deref_mut(&mut self) -> &mut [u8] {
        match &mut self.0 {
            Some(page) => &mut page.bytes[page.start as usize..page.end as usize],
            None => &mut [],
        }
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        if let Some(page) = self.0.take() {
            give_back(page);
        }
    }
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Chunk").field(&&**self).finish()
    }
}

fn take() -> Box<Page> {
    // While the thread ends there is no pool any more.
    let last = LAST.try_with(Cell::take).ok().flatten();
    let kept = last.or_else(|| POOL.try_with(|pool| pool.borrow_mut().pop()).ok().flatten());
    kept.unwrap_or_else(|| {
        Box::new(Page {
            start: 0,
            end: 0,
            bytes: vec![0; SIZE].into(),
        })
    })
}

fn give_back(page: Box<Page>) {
    let Ok(Some(page)) = LAST.try_with(|last| last.replace(Some(page))) else {
        return;
    };
    let _ = POOL.try_with(|pool| {
        let mut pool = pool.borrow_mut();
        if pool.len() < KEPT {
            pool.push(page);
        }
    });
}
