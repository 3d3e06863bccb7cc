//! The halves beneath a layer. They count the bytes of the wire, and the reader first yields the
//! bytes that are already read.

use std::cell::Cell;
use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_lite::{AsyncRead, AsyncWrite};

use super::Chunk;
use crate::connection::{Phase, Record};

/// The reading half beneath a layer. It first yields the bytes that the connection has read ahead.
///
/// [`Connection::into_parts`](crate::Connection::into_parts) returns one. The bytes that it yields
/// count in [`Peer::bytes_in`](crate::Peer::bytes_in).
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
/// let (mut beneath, _, peer) = connection.into_parts();
/// let mut rest = String::new();
/// beneath.read_to_string(&mut rest).await?;
/// assert_eq!(rest, "hello");
/// assert_eq!(peer.bytes_in(), 11);
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
pub struct WireReader<R> {
    ahead: Chunk,
    io: R,
    /// `None` above another layer.
    record: Option<Arc<Record>>,
}

/// The writing half beneath a layer.
///
/// [`Connection::into_parts`](crate::Connection::into_parts) returns one. The bytes that it takes
/// count in [`Peer::bytes_out`](crate::Peer::bytes_out).
///
/// # Examples
///
/// ```
/// use futures_lite::AsyncWriteExt;
/// use halves::Connection;
///
/// # smol::block_on(async {
/// let (_, mut writer, peer) = Connection::new(futures_lite::io::empty(), vec![]).into_parts();
/// writer.write_all(b"hello").await?;
/// assert_eq!((peer.bytes_out(), writer.into_inner()), (5, b"hello".to_vec()));
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
pub struct WireWriter<W> {
    io: W,
    /// `None` above another layer.
    record: Option<Arc<Record>>,
}

thread_local! {
    static READS_BENEATH: Cell<usize> = const { Cell::new(0) };
}

/// The number of reads beneath a layer that completed on this thread. It wraps around.
pub(in crate::connection) fn reads_beneath() -> usize {
    READS_BENEATH.get()
}

impl<R> WireReader<R> {
    pub(in crate::connection) fn new(ahead: Chunk, io: R, record: Option<Arc<Record>>) -> Self {
        Self { ahead, io, record }
    }

    /// Returns the bytes that are already read but not yet yielded, at most 64 KiB, and the
    /// underlying half. Neither counts bytes.
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

    /// Records that a handshake waits for the peer. Later, the reader above the layer does.
    fn note_wait<T>(&self, polled: Poll<T>) -> Poll<T> {
        if polled.is_pending()
            && let Some(record) = &self.record
            && record.phase() == Phase::Handshake
        {
            record.reading.wait();
        }
        polled
    }

    /// Counts `n` bytes, of which `counted` are counted already.
    fn count(&self, n: usize, counted: usize) -> Poll<io::Result<usize>> {
        READS_BENEATH.set(READS_BENEATH.get().wrapping_add(1));
        if let Some(record) = &self.record {
            record.received_on_wire(n.saturating_sub(counted));
        }
        Poll::Ready(Ok(n))
    }
}

impl<W> WireWriter<W> {
    pub(in crate::connection) fn new(io: W, record: Option<Arc<Record>>) -> Self {
        Self { io, record }
    }

    /// Returns the underlying half, which does not count bytes.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::Connection;
    ///
    /// let (_, writer, _) = Connection::new(futures_lite::io::empty(), vec![7]).into_parts();
    /// assert_eq!(writer.into_inner(), [7]);
    /// ```
    pub fn into_inner(self) -> W {
        self.io
    }

    fn count(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let (Poll::Ready(Ok(n)), Some(record)) = (&written, &self.record) {
            record.sent_on_wire(*n);
        }
        written
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for WireReader<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let counted = self.ahead.counted();
        let n = if self.ahead.is_empty() && !buf.is_empty() {
            let polled = Pin::new(&mut self.io).poll_read(cx, buf);
            ready!(self.note_wait(polled))?
        } else {
            self.ahead.read_into(buf)
        };
        self.count(n, counted)
    }

    fn poll_read_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        let counted = self.ahead.counted();
        let n = if self.ahead.is_empty() && bufs.iter().any(|buf| !buf.is_empty()) {
            let polled = Pin::new(&mut self.io).poll_read_vectored(cx, bufs);
            ready!(self.note_wait(polled))?
        } else {
            self.ahead.read_into_vectored(bufs)
        };
        self.count(n, counted)
    }
}

impl<W: AsyncWrite + Unpin> AsyncWrite for WireWriter<W> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, buf);
        self.count(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.count(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_close(cx)
    }
}

// The underlying streams are only polled through plain references, which require them to be `Unpin`.
impl<R> Unpin for WireReader<R> {}
impl<W> Unpin for WireWriter<W> {}

impl<R> fmt::Debug for WireReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WireReader")
            .field("ahead", &self.ahead.len())
            .finish_non_exhaustive()
    }
}

impl<W> fmt::Debug for WireWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WireWriter").finish_non_exhaustive()
    }
}
