//! A reading half with bytes that are already read from it.

use std::cell::Cell;
use std::fmt;
use std::io::{self, IoSliceMut};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_lite::AsyncRead;

use super::Chunk;

/// A reading half that first yields the bytes already read from it.
///
/// [`Connection::into_parts`](crate::Connection::into_parts) returns one.
///
/// # Examples
///
/// ```
/// use futures_lite::{AsyncBufReadExt, AsyncReadExt};
/// use halves::Connection;
///
/// # smol::block_on(async {
/// let mut connection = Connection::new(&b"layer\nhello"[..], futures_lite::io::sink());
/// let mut line = String::new();
/// connection.reader.read_line(&mut line).await?;
/// let (mut beneath, _, _) = connection.into_parts();
/// let mut rest = String::new();
/// beneath.read_to_string(&mut rest).await?;
/// assert_eq!(rest, "hello");
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
pub struct ReadAhead<R> {
    ahead: Chunk,
    io: R,
}

thread_local! {
    static READS_BENEATH: Cell<usize> = const { Cell::new(0) };
}

/// The number of reads beneath a layer that completed on this thread. It wraps around.
pub(in crate::connection) fn reads_beneath() -> usize {
    READS_BENEATH.get()
}

fn count<T>(read: Poll<T>) -> Poll<T> {
    if read.is_ready() {
        READS_BENEATH.set(READS_BENEATH.get().wrapping_add(1));
    }
    read
}

impl<R> ReadAhead<R> {
    pub(in crate::connection) fn new(ahead: Chunk, io: R) -> Self {
        Self { ahead, io }
    }

    /// Returns the bytes that are already read but not yet yielded, at most 64 KiB, and the
    /// underlying half.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::Connection;
    ///
    /// let (beneath, _, _) = Connection::new(&b"hello"[..], futures_lite::io::sink()).into_parts();
    /// let (ahead, reader) = beneath.into_inner();
    /// assert_eq!((&*ahead, reader), (&b""[..], &b"hello"[..]));
    /// ```
    pub fn into_inner(self) -> (Chunk, R) {
        (self.ahead, self.io)
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for ReadAhead<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if self.ahead.is_empty() && !buf.is_empty() {
            return count(Pin::new(&mut self.io).poll_read(cx, buf));
        }
        count(Poll::Ready(Ok(self.ahead.read_into(buf))))
    }

    fn poll_read_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.ahead.is_empty() && bufs.iter().any(|buf| !buf.is_empty()) {
            return count(Pin::new(&mut self.io).poll_read_vectored(cx, bufs));
        }
        count(Poll::Ready(Ok(self.ahead.read_into_vectored(bufs))))
    }
}

impl<R> Unpin for ReadAhead<R> {}

impl<R> fmt::Debug for ReadAhead<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadAhead")
            .field("ahead", &self.ahead.len())
            .finish_non_exhaustive()
    }
}
