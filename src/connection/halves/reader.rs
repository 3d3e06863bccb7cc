//! The reading half: counts bytes and yields to other tasks.

use std::future::poll_fn;
use std::io::{self, ErrorKind, IoSliceMut};
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_lite::{AsyncBufRead, AsyncRead};

use super::{AnyRead, Chunk};
use crate::connection::{Flag, Peer, Record, SocketGuard};

/// Reads into a buffer of at least this size never read ahead.
const DIRECT_READ_BYTES: usize = 16 * 1024;

/// The reading half of a connection: an [`AsyncRead`] around the underlying stream.
///
/// It counts the bytes that it yields. After 64 KiB or 32 reads without waiting it returns `Pending`
/// once and wakes its task, so that a flooding client shares the thread with the others. Once the
/// server has ended the connection, reads fail with
/// [`ConnectionAborted`](io::ErrorKind::ConnectionAborted). A read into an empty buffer returns
/// `Ok(0)` and does not wait.
///
/// It also implements [`AsyncBufRead`], which lends up to 64 KiB. The buffer exists only while bytes
/// are in it. On a socket, if a read fills its buffer, the next one reads more than is asked for, so
/// that small buffers do not cause many system calls. Dropping a read in progress loses no bytes.
///
/// # Examples
///
/// ```
/// use futures_lite::AsyncReadExt;
/// use halves::Connection;
///
/// # smol::block_on(async {
/// let mut connection = Connection::new(&b"hello"[..], futures_lite::io::sink());
/// let mut word = [0; 5];
/// connection.reader.read_exact(&mut word).await?;
/// assert_eq!(&word, b"hello");
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
#[derive(Debug)]
pub struct Reader<R = AnyRead> {
    io: R,
    pub(super) record: Arc<Record>,
    /// Bytes received but not yet read.
    pub(super) ahead: Chunk,
}

impl<R> Reader<R> {
    pub(in crate::connection) fn new(io: R, record: Arc<Record>, ahead: Chunk) -> Self {
        Self { io, record, ahead }
    }

    pub(super) fn io(&self) -> &R {
        &self.io
    }

    pub(crate) fn record(&self) -> &Arc<Record> {
        &self.record
    }

    pub(in crate::connection) fn into_parts(self) -> (R, Arc<Record>, Chunk) {
        (self.io, self.record, self.ahead)
    }

    /// Takes the bytes that are read ahead, and counts them as read.
    #[cfg(target_os = "linux")]
    pub(crate) fn take_ahead(&mut self) -> Chunk {
        let ahead = mem::take(&mut self.ahead);
        self.record
            .received(ahead.len().saturating_sub(ahead.counted()));
        ahead
    }

    /// Returns true if bytes are received but not yet read.
    pub(in crate::connection) fn has_ahead(&self) -> bool {
        !self.ahead.is_empty()
    }

    /// Returns the peer of this connection.
    ///
    /// # Examples
    ///
    /// ```
    /// # use halves::Connection;
    /// let connection = Connection::new(futures_lite::io::empty(), futures_lite::io::sink());
    /// assert_eq!(connection.reader.peer().bytes_in(), 0);
    /// ```
    pub fn peer(&self) -> Peer {
        Peer::of(&self.record)
    }
}

impl Reader {
    pub(in crate::connection) fn socket(&self) -> &SocketGuard {
        self.io.socket()
    }
}

impl<R: AsyncRead + Unpin> Reader<R> {
    /// Reads the available bytes, at most 64 KiB. The chunk is empty at the end of input.
    ///
    /// The buffer of the chunk is allocated when bytes arrive, so a waiting connection holds none.
    ///
    /// Cancel-safe: bytes that are not returned stay unread.
    ///
    /// # Errors
    ///
    /// Those of the stream, and [`ConnectionAborted`](io::ErrorKind::ConnectionAborted).
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::Connection;
    ///
    /// # smol::block_on(async {
    /// let mut connection = Connection::new(&b"hello"[..], futures_lite::io::sink());
    /// assert_eq!(&*connection.reader.read_chunk().await?, b"hello");
    /// assert!(connection.reader.read_chunk().await?.is_empty());
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    pub async fn read_chunk(&mut self) -> io::Result<Chunk> {
        let mut chunk = Chunk::default();
        poll_fn(|cx| self.poll_fill(cx, &mut chunk)).await?;
        Ok(chunk)
    }

    /// Polls [`read_chunk`](Self::read_chunk), into a chunk that may already have a buffer. It has
    /// none after `Pending` or an error.
    #[inline(always)]
    pub(crate) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        chunk: &mut Chunk,
    ) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() {
            return chunk.poll_fill(|buf| Pin::new(&mut *self).poll_read(cx, buf));
        }
        ready!(self.poll_budget(cx))?;
        *chunk = mem::take(&mut self.ahead);
        self.count_read(chunk.len(), chunk.counted());
        Poll::Ready(Ok(()))
    }

    /// Returns `Pending` once the budget of this turn is used up.
    pub(super) fn poll_budget(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.record.check()?;
        self.record.reading.poll(cx).map(Ok)
    }

    /// Accounts for `n` bytes yielded to the handler, of which `counted` are counted already.
    #[inline(always)]
    pub(super) fn count_read(&self, n: usize, counted: usize) {
        self.record.reading.charge(n);
        self.record.received(n.saturating_sub(counted));
    }

    /// Reads from the underlying stream, into a buffer that is not empty.
    pub(super) fn poll_io(
        &mut self,
        cx: &mut Context<'_>,
        read: impl FnOnce(Pin<&mut R>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let result = read(Pin::new(&mut self.io), cx);
        match &result {
            Poll::Pending => {
                self.record.reading.wait();
                self.record.begin_input_wait();
            }
            Poll::Ready(Ok(0)) => {
                // A socket reports an error once, and the end of input after that.
                if self.record.flags.has(Flag::ReadFailed) {
                    return Poll::Ready(Err(ErrorKind::ConnectionReset.into()));
                }
                self.record.flags.set(Flag::Eof);
            }
            Poll::Ready(Err(error)) if self.is_final(error.kind()) => {
                self.record.flags.set(Flag::ReadFailed);
            }
            Poll::Ready(_) => {}
        }
        result
    }

    /// Returns true if the stream ends with an error of this kind.
    fn is_final(&self, error: ErrorKind) -> bool {
        match error {
            ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted => true,
            // On other streams, `TimedOut` may concern this read only.
            ErrorKind::TimedOut => self.record.is_socket(),
            _ => false,
        }
    }

    /// Reads into a buffer of the handler. On a socket, if the last read filled its buffer, this one
    /// reads ahead, so that small buffers do not cause many system calls.
    fn poll_into(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let room = buf.len();
        if !self.record.is_socket() {
            return self.poll_io(cx, |io, cx| io.poll_read(cx, buf));
        }
        let bulk = self.record.flags.has(Flag::LastReadFull);
        let n = if bulk && room < DIRECT_READ_BYTES {
            let mut ahead = mem::take(&mut self.ahead);
            let polled = ahead.poll_fill_after(buf, |bufs| {
                self.poll_io(cx, |io, cx| io.poll_read_vectored(cx, bufs))
            });
            self.ahead = ahead;
            ready!(polled)?
        } else {
            ready!(self.poll_io(cx, |io, cx| io.poll_read(cx, buf)))?
        };
        if bulk != (n == room) {
            self.record.flags.put(Flag::LastReadFull, !bulk);
        }
        Poll::Ready(Ok(n))
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Reader<R> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_budget(cx))?;
        if buf.is_empty() {
            this.count_read(0, 0);
            return Poll::Ready(Ok(0));
        }
        let counted = this.ahead.counted();
        let n = if this.ahead.is_empty() {
            ready!(this.poll_into(cx, buf))?
        } else {
            this.ahead.read_into(buf)
        };
        this.count_read(n, counted);
        Poll::Ready(Ok(n))
    }

    fn poll_read_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_budget(cx))?;
        if bufs.iter().all(|buf| buf.is_empty()) {
            this.count_read(0, 0);
            return Poll::Ready(Ok(0));
        }
        let counted = this.ahead.counted();
        let n = if this.ahead.is_empty() {
            ready!(this.poll_io(cx, |io, cx| io.poll_read_vectored(cx, bufs)))?
        } else {
            this.ahead.read_into_vectored(bufs)
        };
        this.count_read(n, counted);
        Poll::Ready(Ok(n))
    }
}

/// Lends the received bytes: at most 64 KiB, unless the reader holds the beginning of a longer
/// frame. The buffer exists only while bytes are in it.
impl<R: AsyncRead + Unpin> AsyncBufRead for Reader<R> {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        ready!(this.poll_budget(cx))?;
        if this.ahead.is_empty() {
            let mut ahead = mem::take(&mut this.ahead);
            let filled = ahead.poll_fill(|buf| this.poll_io(cx, |io, cx| io.poll_read(cx, buf)));
            if !ahead.is_empty() {
                this.ahead = ahead;
            }
            ready!(filled)?;
        }
        Poll::Ready(Ok(&this.ahead))
    }

    fn consume(self: Pin<&mut Self>, amt: usize) {
        let this = self.get_mut();
        if amt > 0 {
            let counted = this.ahead.counted();
            this.ahead.advance(amt);
            this.count_read(amt, counted);
        }
        if this.ahead.is_empty() {
            this.ahead = Chunk::default();
        }
    }
}

// The underlying stream is only polled through a plain reference, which requires it to be `Unpin`.
impl<R> Unpin for Reader<R> {}
