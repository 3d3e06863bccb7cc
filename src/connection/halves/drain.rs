//! Reading until the end of input or a drain, and copying to any writer until then.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_lite::{AsyncBufRead, AsyncRead, AsyncWrite};

use super::{Chunk, Reader};
use crate::connection::{Flag, ServerContext};

/// Once the server drains, a peer that sends nothing for this long counts as idle.
const QUIET_TIMEOUT: Duration = Duration::from_secs(1);

impl<R: AsyncRead + Unpin> Reader<R> {
    /// Reads like [`read`](futures_lite::AsyncReadExt::read), and also returns `Ok(0)` when the
    /// server drains and the peer has sent nothing for one second.
    ///
    /// A handler that loops over this method ends in time for the drain, with the reason
    /// [`Drained`](crate::Reason::Drained), and does not stop while the client is sending.
    ///
    /// Cancel-safe: bytes that are not returned stay unread, and the second continues when the method
    /// is called again.
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

    /// Reads like [`read_chunk`](Self::read_chunk), and also returns an empty chunk when
    /// [`read_or_drain`](Self::read_or_drain) would return `Ok(0)` because of a drain.
    ///
    /// Cancel-safe, as these are.
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

    /// Copies the input to `writer`, and returns the number of bytes copied.
    ///
    /// Ends at the end of input. Like [`read_or_drain`](Self::read_or_drain), it also ends when the
    /// server drains and the peer has sent nothing for one second. The writer is flushed at the end,
    /// and whenever there is nothing to read. It is not closed.
    ///
    /// Cancel-safe. Bytes that the writer has not accepted stay in the reader, also after an error.
    ///
    /// # Errors
    ///
    /// Those of both halves, [`ConnectionAborted`](io::ErrorKind::ConnectionAborted), and
    /// [`WriteZero`](io::ErrorKind::WriteZero) if the writer accepts no bytes.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_lite::{AsyncWriteExt, future};
    /// use halves::{Connection, connect};
    /// use std::io;
    ///
    /// /// Forwards both directions to another server.
    /// async fn relay(mut c: Connection) -> io::Result<()> {
    ///     let mut target = connect("127.0.0.1:7").await?;
    ///     let there = async {
    ///         c.reader.copy_or_drain(&mut target.writer).await?;
    ///         target.writer.close().await
    ///     };
    ///     let back = async {
    ///         target.reader.copy_or_drain(&mut c.writer).await?;
    ///         c.writer.close().await
    ///     };
    ///     future::try_zip(there, back).await.map(drop)
    /// }
    /// ```
    pub async fn copy_or_drain<W>(&mut self, writer: &mut W) -> io::Result<u64>
    where
        W: AsyncWrite + Unpin + ?Sized,
    {
        let (mut copied, mut unflushed) = (0, false);
        loop {
            let more = poll_fn(|cx| {
                let polled = self.poll_more_or_drain(cx);
                if polled.is_pending() && unflushed {
                    ready!(Pin::new(&mut *writer).poll_flush(cx))?;
                    unflushed = false;
                }
                polled
            });
            if !more.await? {
                break;
            }
            let written = poll_fn(|cx| self.poll_write_to(cx, writer)).await?;
            copied += written as u64;
            unflushed = true;
        }
        poll_fn(|cx| Pin::new(&mut *writer).poll_flush(cx)).await?;
        Ok(copied)
    }

    /// Polls [`read_chunk_or_drain`](Self::read_chunk_or_drain), into a chunk that may already have
    /// a buffer. It has none after `Pending`.
    #[inline(always)]
    pub(crate) fn poll_fill_or_drain(
        &mut self,
        cx: &mut Context<'_>,
        chunk: &mut Chunk,
    ) -> Poll<io::Result<()>> {
        self.poll_or_drain(cx, |this, cx| this.poll_fill(cx, chunk))
    }

    /// Polls for a header at the beginning of the input. `parse` receives all unread bytes after each
    /// arrival, and returns the header with its length. The bytes behind the header stay unread.
    ///
    /// Returns `None` at the end of input, and when [`read_or_drain`](Self::read_or_drain) would
    /// return `Ok(0)` because of a drain.
    pub(crate) fn poll_header_or_drain<T>(
        &mut self,
        cx: &mut Context<'_>,
        max_bytes: usize,
        mut parse: impl FnMut(&[u8]) -> Option<(T, usize)>,
    ) -> Poll<io::Result<Option<T>>> {
        self.poll_or_drain(cx, |this, cx| {
            loop {
                ready!(this.poll_budget(cx))?;
                if let Some((header, length)) = parse(&this.ahead) {
                    this.consume_frame(length);
                    return Poll::Ready(Ok(Some(header)));
                }
                if ready!(this.poll_more(cx, max_bytes))? == 0 {
                    return Poll::Ready(Ok(None));
                }
                this.record.end_quiet();
            }
        })
    }

    /// Polls `poll`. While that is pending, returns the default value once the server drains and the
    /// peer is idle.
    #[inline(always)]
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
            // A layer may have received a part of a record.
            if is_last && self.record.flags.has(Flag::AwaitingQuiet) {
                self.record.flags.set(Flag::Drained);
                return Poll::Ready(Ok(T::default()));
            }
            ready!(self.poll_quiet(cx))?;
            // Bytes that arrived in time may not be reported as readable yet.
            self.record.assume_readable();
            is_last = true;
        };
        self.record.end_quiet();
        polled
    }

    /// Ready when the server drains and the peer has sent nothing for [`QUIET_TIMEOUT`].
    #[inline(always)]
    fn poll_quiet(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(context) = self.record.context() else {
            return Poll::Pending;
        };
        if !self.record.waiting().reaches(cx.waker()) {
            self.record.waiting().register(cx.waker());
        }
        // Checked after the registration: an end that comes later wakes the task.
        self.record.check()?;
        if !context.shutdown.is_draining() {
            return Poll::Pending;
        }
        self.poll_quiet_sleep(cx, context)
    }

    #[cold]
    fn poll_quiet_sleep(
        &self,
        cx: &mut Context<'_>,
        context: &ServerContext,
    ) -> Poll<io::Result<()>> {
        self.record.flags.set(Flag::AwaitingQuiet);
        let quiet = &self.record.cold().quiet_sleep;
        let mut sleep = quiet
            .take()
            .unwrap_or_else(|| Box::new(context.clock.sleep(QUIET_TIMEOUT)));
        if Pin::new(&mut *sleep).poll(cx).is_pending() {
            quiet.put(sleep);
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    /// Writes some of the received bytes, and returns their number.
    fn poll_write_to<W>(&mut self, cx: &mut Context<'_>, writer: &mut W) -> Poll<io::Result<usize>>
    where
        W: AsyncWrite + Unpin + ?Sized,
    {
        let there = ready!(Pin::new(&mut *self).poll_fill_buf(cx))?;
        let written = ready!(Pin::new(writer).poll_write(cx, there))?;
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        Pin::new(self).consume(written);
        Poll::Ready(Ok(written))
    }
}
