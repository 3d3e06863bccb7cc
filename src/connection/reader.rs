//! The reading half: counts, shares the thread fairly, and hears of the drain.

use std::future::{Future, poll_fn};
use std::io::{self, IoSliceMut};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_lite::AsyncRead;

use super::record::Flag;
use super::{AnyRead, Chunk, Peer, Record};

/// How long a peer must be quiet, once a drain was asked for, to count as having nothing to say.
const QUIET: Duration = Duration::from_secs(1);

/// The reading half of a connection: an [`AsyncRead`] around whatever is beneath.
///
/// It counts the bytes that it yields. After 64 KiB or 32 reads without ever having to wait it
/// returns `Pending` once and wakes its task, so that a client that floods shares the thread with
/// the others. Once the server has ended the connection, reads fail with
/// [`ConnectionAborted`](io::ErrorKind::ConnectionAborted).
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
    record: Arc<Record>,
}

impl<R> Reader<R> {
    pub(super) fn new(io: R, record: Arc<Record>) -> Self {
        Self { io, record }
    }

    pub(super) fn into_parts(self) -> (R, Arc<Record>) {
        (self.io, self.record)
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
        poll_fn(|cx| self.poll_read_or_drain(cx, buf)).await
    }

    /// Reads what is there, 16 KiB at most, into a buffer that only exists from then on: a
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
        poll_fn(|cx| chunk.poll_fill(|buf| Pin::new(&mut *self).poll_read(cx, buf))).await?;
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
        chunk.poll_fill(|buf| self.poll_read_or_drain(cx, buf))
    }

    fn poll_read_or_drain(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.record.waiting().forget();
        match Pin::new(&mut *self).poll_read(cx, buf) {
            Poll::Pending => self.poll_drain(cx),
            ready @ Poll::Ready(_) => {
                if self.record.flags.has(Flag::Quiet) {
                    self.record.flags.clear(Flag::Quiet);
                    drop(self.record.seldom().quiet.take());
                }
                ready
            }
        }
    }

    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Some(home) = self.record.home() else {
            return Poll::Pending;
        };
        if !self.record.waiting().reaches(cx.waker()) {
            self.record.waiting().register(cx.waker());
        }
        // After the registration: whoever ends us later, wakes us.
        self.record.check()?;
        if !home.shutdown.is_draining() {
            return Poll::Pending;
        }
        self.record.flags.set(Flag::Quiet);
        let quiet = &self.record.seldom().quiet;
        let mut sleep = quiet
            .take()
            .unwrap_or_else(|| Box::new(home.clock.sleep(QUIET)));
        if Pin::new(&mut *sleep).poll(cx).is_pending() {
            quiet.put(sleep);
            return Poll::Pending;
        }
        self.record.flags.set(Flag::Drained);
        Poll::Ready(Ok(0))
    }

    fn poll_counted(
        &mut self,
        cx: &mut Context<'_>,
        empty: bool,
        read: impl FnOnce(Pin<&mut R>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        self.record.check()?;
        ready!(self.record.reading.poll(cx));
        let result = read(Pin::new(&mut self.io), cx);
        match result {
            Poll::Pending => self.record.reading.reset(),
            Poll::Ready(Ok(n)) => {
                self.record.reading.charge(n);
                self.record.received(n);
                if n == 0 && !empty {
                    self.record.flags.set(Flag::Eof);
                }
            }
            Poll::Ready(Err(_)) => {}
        }
        result
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Reader<R> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let empty = buf.is_empty();
        self.get_mut()
            .poll_counted(cx, empty, |io, cx| io.poll_read(cx, buf))
    }

    fn poll_read_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        let empty = bufs.iter().all(|buf| buf.is_empty());
        self.get_mut()
            .poll_counted(cx, empty, |io, cx| io.poll_read_vectored(cx, bufs))
    }
}

// The stream beneath is only polled through a plain reference, and both need `Unpin` for that.
impl<R> Unpin for Reader<R> {}
