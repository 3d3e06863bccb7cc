//! The reading half: counts, shares the thread fairly, and hears of the drain.

use std::future::{Future, poll_fn};
use std::io::{self, ErrorKind, IoSliceMut};
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_lite::{AsyncBufRead, AsyncRead};

use super::{AnyRead, Chunk};
use crate::connection::{Flag, Peer, Record};

/// How long a peer must be quiet, once a drain was asked for, to count as having nothing to say.
const QUIET_TIMEOUT: Duration = Duration::from_secs(1);
/// Buffers of so many bytes are read into as they are.
const DIRECT_READ_BYTES: usize = 16 * 1024;

/// The reading half of a connection: an [`AsyncRead`] around whatever is beneath.
///
/// It counts the bytes that it yields. After 64 KiB or 32 reads without ever having to wait it
/// returns `Pending` once and wakes its task, so that a client that floods shares the thread with
/// the others. Once the server has ended the connection, reads fail with
/// [`ConnectionAborted`](io::ErrorKind::ConnectionAborted). A read into an empty buffer is `Ok(0)` and
/// does not wait.
///
/// It is an [`AsyncBufRead`] as well, which lends up to 64 KiB and holds a buffer only while
/// something is in it. On a socket, a read that fills its buffer is followed by one that takes more
/// than is asked for, so that small buffers do not mean many system calls. Dropping a read that is
/// under way loses nothing.
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
    /// What has come, and is not read yet.
    pub(super) ahead: Chunk,
}

impl<R> Reader<R> {
    pub(in crate::connection) fn new(io: R, record: Arc<Record>, ahead: Chunk) -> Self {
        Self { io, record, ahead }
    }

    pub(in crate::connection) fn into_parts(self) -> (R, Arc<Record>, Chunk) {
        (self.io, self.record, self.ahead)
    }

    /// Who is at the other end.
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

impl<R: AsyncRead + Unpin> Reader<R> {
    /// Reads as [`read`](futures_lite::AsyncReadExt::read) does, and says end of input (`Ok(0)`)
    /// also when the server is draining and the peer has been quiet for a second: a handler that
    /// loops over this ends in time, with the reason [`Drained`](crate::Reason::Drained), and
    /// never in the middle of a client's sentence.
    ///
    /// Cancel-safe: what was not returned has not been read, and the second goes on when the call
    /// is made again.
    ///
    /// # Errors
    ///
    /// Those of the stream, and [`ConnectionAborted`](io::ErrorKind::ConnectionAborted).
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_lite::AsyncWriteExt;
    /// use halves::Connection;
    ///
    /// async fn echo(mut c: Connection) -> std::io::Result<()> {
    ///     let mut buf = [0; 1024];
    ///     loop {
    ///         match c.reader.read_or_drain(&mut buf).await? {
    ///             0 => return c.writer.close().await,
    ///             n => c.writer.write_all(&buf[..n]).await?,
    ///         }
    ///     }
    /// }
    /// ```
    pub async fn read_or_drain(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut poll = |cx: &mut Context<'_>| {
            let read =
                |this: &mut Self, cx: &mut Context<'_>| Pin::new(this).poll_read(cx, &mut *buf);
            self.poll_or_drain(cx, read)
        };
        poll_fn(&mut poll).await
    }

    /// Reads what is there, 64 KiB at most, into a buffer that only exists from then on: a
    /// connection that waits holds none. Empty at the end of input.
    ///
    /// Cancel-safe: what was not returned has not been read.
    ///
    /// # Errors
    ///
    /// Those of the stream, and [`ConnectionAborted`](io::ErrorKind::ConnectionAborted).
    ///
    /// # Examples
    ///
    /// See [`Chunk`].
    pub async fn read_chunk(&mut self) -> io::Result<Chunk> {
        let mut chunk = Chunk::default();
        poll_fn(|cx| self.poll_fill(cx, &mut chunk)).await?;
        Ok(chunk)
    }

    /// Reads as [`read_chunk`](Self::read_chunk) does, and ends as
    /// [`read_or_drain`](Self::read_or_drain) does.
    ///
    /// # Errors
    ///
    /// Those of the stream, and [`ConnectionAborted`](io::ErrorKind::ConnectionAborted).
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_lite::AsyncWriteExt;
    /// use halves::Connection;
    ///
    /// async fn echo(mut c: Connection) -> std::io::Result<()> {
    ///     loop {
    ///         let chunk = c.reader.read_chunk_or_drain().await?;
    ///         if chunk.is_empty() {
    ///             return c.writer.close().await;
    ///         }
    ///         c.writer.write_all(&chunk).await?;
    ///     }
    /// }
    /// ```
    pub async fn read_chunk_or_drain(&mut self) -> io::Result<Chunk> {
        let mut chunk = Chunk::default();
        poll_fn(|cx| self.poll_fill_or_drain(cx, &mut chunk)).await?;
        Ok(chunk)
    }

    /// The same, into a chunk that may have a buffer already; it has none when this is pending.
    pub(crate) fn poll_fill_or_drain(
        &mut self,
        cx: &mut Context<'_>,
        chunk: &mut Chunk,
    ) -> Poll<io::Result<()>> {
        self.poll_or_drain(cx, |this, cx| this.poll_fill(cx, chunk))
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>, chunk: &mut Chunk) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() {
            return chunk.poll_fill(|buf| Pin::new(&mut *self).poll_read(cx, buf));
        }
        ready!(self.poll_budget(cx))?;
        *chunk = mem::take(&mut self.ahead);
        self.count_read(chunk.len(), chunk.counted());
        Poll::Ready(Ok(()))
    }

    /// What `poll` does, unless that is pending, and the peer has nothing to say in a drain.
    pub(super) fn poll_or_drain<T: Default>(
        &mut self,
        cx: &mut Context<'_>,
        mut poll: impl FnMut(&mut Self, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        self.record.waiting().forget();
        let mut is_last = false;
        // One call of `poll`, so that the compiler inlines it.
        let polled = loop {
            let polled = poll(self, cx);
            if polled.is_ready() {
                break polled;
            }
            if is_last {
                self.record.flags.set(Flag::Drained);
                return Poll::Ready(Ok(T::default()));
            }
            ready!(self.poll_quiet(cx))?;
            // What came in time may not have been told yet.
            self.record.retry_read();
            is_last = true;
        };
        if self.record.flags.has(Flag::AwaitingQuiet) {
            self.record.flags.clear(Flag::AwaitingQuiet);
            drop(self.record.cold().quiet.take());
        }
        polled
    }

    /// Ready when the server is draining, and the peer has been quiet for so long.
    fn poll_quiet(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(context) = self.record.context() else {
            return Poll::Pending;
        };
        if !self.record.waiting().reaches(cx.waker()) {
            self.record.waiting().register(cx.waker());
        }
        // After the registration: whoever ends us later, wakes us.
        self.record.check()?;
        if !context.shutdown.is_draining() {
            return Poll::Pending;
        }
        self.record.flags.set(Flag::AwaitingQuiet);
        let quiet = &self.record.cold().quiet;
        let mut sleep = quiet
            .take()
            .unwrap_or_else(|| Box::new(context.clock.sleep(QUIET_TIMEOUT)));
        if Pin::new(&mut *sleep).poll(cx).is_pending() {
            quiet.put(sleep);
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    /// Pending when it is the others' turn.
    pub(super) fn poll_budget(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.record.check()?;
        self.record.reading.poll(cx).map(Ok)
    }

    /// So many bytes are the handler's now, of which some are counted already.
    #[inline(always)]
    fn count_read(&self, n: usize, counted: usize) {
        self.record.reading.charge(n);
        self.record.received(n.saturating_sub(counted));
    }

    /// Reads from what is beneath, where there is room for something.
    pub(super) fn poll_io(
        &mut self,
        cx: &mut Context<'_>,
        read: impl FnOnce(Pin<&mut R>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let result = read(Pin::new(&mut self.io), cx);
        match &result {
            Poll::Pending => {
                self.record.reading.reset();
                self.record.begin_input_wait();
            }
            Poll::Ready(Ok(0)) => {
                // A socket tells of an error once, and of an end after that.
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

    /// Whether nothing comes after an error of this kind.
    fn is_final(&self, error: ErrorKind) -> bool {
        match error {
            ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted => true,
            // Of others it may be a deadline of one read.
            ErrorKind::TimedOut => self.record.is_socket(),
            _ => false,
        }
    }

    /// Reads into a buffer that the handler has. On a socket, one that is filled is followed by a
    /// read of more than is asked for, so that small buffers do not mean many system calls.
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

/// Lends what has come, in a buffer that is only there while something is in it: 64 KiB at most, but
/// for the beginning of a longer frame.
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

// The stream beneath is only polled through a plain reference, and both need `Unpin` for that.
impl<R> Unpin for Reader<R> {}
