//! A buffer that exists only while there is something in it.

use std::cell::RefCell;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::task::Poll;

/// What a chunk holds at most, in bytes.
pub(super) const SIZE: usize = 16 * 1024;
/// Buffers that a thread keeps for the next chunks.
const KEPT: usize = 64;

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
#[derive(Default)]
pub struct Chunk {
    /// Empty at the end of input, and then not from the pool.
    buffer: Box<[u8]>,
    length: usize,
}

thread_local! {
    static POOL: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}

impl Chunk {
    /// A chunk of what `read` puts into a buffer; none is kept while it has nothing.
    pub(super) fn poll<E>(
        read: impl FnOnce(&mut [u8]) -> Poll<Result<usize, E>>,
    ) -> Poll<Result<Self, E>> {
        let mut chunk = Self {
            buffer: take(),
            length: 0,
        };
        read(&mut chunk.buffer).map_ok(|length| {
            chunk.length = length;
            chunk
        })
    }
}

impl Deref for Chunk {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.buffer[..self.length]
    }
}

impl DerefMut for Chunk {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.buffer[..self.length]
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.buffer);
        if !buffer.is_empty() {
            give_back(buffer);
        }
    }
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Chunk").field(&&**self).finish()
    }
}

fn take() -> Box<[u8]> {
    // While the thread ends there is no pool any more.
    let kept = POOL.try_with(|pool| pool.borrow_mut().pop()).ok().flatten();
    kept.unwrap_or_else(|| vec![0; SIZE].into())
}

fn give_back(buffer: Box<[u8]>) {
    let _ = POOL.try_with(|pool| {
        let mut pool = pool.borrow_mut();
        if pool.len() < KEPT {
            pool.push(buffer);
        }
    });
}
