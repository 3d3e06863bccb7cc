//! Copying from a reader to any writer, until the end of input or a drain.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_lite::{AsyncBufRead, AsyncRead, AsyncWrite};

use super::Reader;

impl<R: AsyncRead + Unpin> Reader<R> {
    /// Copies the input to `writer`, and returns the number of bytes copied.
    ///
    /// Ends at the end of input. Like [`read_or_drain`](Self::read_or_drain), it also ends when the
    /// server drains and the peer has sent nothing for one second. The writer is flushed at the end,
    /// and whenever there is nothing to read. It is not closed.
    ///
    /// Cancel-safe: bytes that the writer has not accepted stay in the reader.
    ///
    /// # Errors
    ///
    /// Those of both halves, [`ConnectionAborted`](io::ErrorKind::ConnectionAborted), and
    /// [`WriteZero`](io::ErrorKind::WriteZero) if the writer accepts no bytes. Bytes that the writer
    /// has not accepted stay in the reader.
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
