//! The writing half: counts bytes and yields to other tasks.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_lite::{AsyncWrite, AsyncWriteExt};

use super::AnyWrite;
use crate::connection::{Peer, Record, SocketGuard};
use crate::framing::Length;

/// The writing half of a connection: an [`AsyncWrite`] around the underlying stream.
///
/// It counts the bytes that the stream accepts, and yields to other tasks as
/// [`Reader`](crate::Reader) does. Once the server has ended the connection, writes fail with
/// [`ConnectionAborted`](io::ErrorKind::ConnectionAborted).
///
/// The first write since the connection's task was woken is sent at once. If the writer is used in
/// another task, this is the first write since the writer last had to wait. On a socket, on a thread
/// of an [`Executor`](crate::Executor), the small writes that follow (at most 16 KiB each) are
/// combined. They are sent when all tasks of this turn have run, or earlier: on `flush`, on `close`,
/// before the next read, and at 64 KiB. The next write or flush returns an error of that send.
///
/// `close` ends the output: the peer reads the end of input, where the stream supports it. The
/// reading half stays open.
///
/// # Examples
///
/// ```
/// use futures_lite::AsyncWriteExt;
/// use halves::Connection;
///
/// # smol::block_on(async {
/// let mut connection = Connection::new(futures_lite::io::empty(), vec![]);
/// connection.writer.write_all(b"hello").await?;
/// connection.writer.close().await?;
/// assert_eq!(connection.peer.bytes_out(), 5);
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
#[derive(Debug)]
pub struct Writer<W = AnyWrite> {
    io: W,
    record: Arc<Record>,
}

impl<W> Writer<W> {
    pub(in crate::connection) fn new(io: W, record: Arc<Record>) -> Self {
        Self { io, record }
    }

    pub(super) fn io(&self) -> &W {
        &self.io
    }

    pub(crate) fn record(&self) -> &Arc<Record> {
        &self.record
    }

    pub(in crate::connection) fn into_parts(self) -> (W, Arc<Record>) {
        (self.io, self.record)
    }

    /// Returns the peer of this connection.
    ///
    /// # Examples
    ///
    /// ```
    /// # use halves::Connection;
    /// let connection = Connection::new(futures_lite::io::empty(), futures_lite::io::sink());
    /// assert_eq!(connection.writer.peer().bytes_out(), 0);
    /// ```
    pub fn peer(&self) -> Peer {
        Peer::of(&self.record)
    }
}

impl Writer {
    pub(in crate::connection) fn socket(&self) -> &SocketGuard {
        self.io.socket()
    }
}

impl<W: AsyncWrite + Unpin> Writer<W> {
    /// Writes `bytes` as a frame, with its length in front.
    ///
    /// [`Reader::frame`](crate::Reader::frame) reads such frames. The reader's frame limit does not
    /// apply here.
    ///
    /// Not cancel-safe: a cancelled call may have written a part of the frame, and the peer takes
    /// later bytes for the rest of it.
    /// [`Buffered::write_frame`](crate::connection::Buffered::write_frame) does not wait.
    ///
    /// # Errors
    ///
    /// * [`InvalidInput`](io::ErrorKind::InvalidInput) if the length field cannot represent the size
    ///   of the frame. The maximum is 255, 65,535 or 4,294,967,295 bytes. Nothing is written.
    /// * Those of the stream. An unknown part of the frame is written then.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::Connection;
    /// use halves::framing::Length;
    /// use halves::listener::memory;
    ///
    /// # smol::block_on(async {
    /// let (mut near, mut far) = memory::pair(64);
    /// near.writer.write_frame(Length::U16Be, b"hello").await?;
    /// assert_eq!(far.reader.frame(Length::U16Be).await?.unwrap(), b"hello");
    /// # Ok::<(), halves::framing::FrameError>(()) }).unwrap();
    /// ```
    pub async fn write_frame(&mut self, length: Length, bytes: &[u8]) -> io::Result<()> {
        let mut room = [0; 4];
        let prefix = length.prefix(bytes.len(), &mut room)?;
        let mut slices = [IoSlice::new(prefix), IoSlice::new(bytes)];
        let mut left = &mut slices[..];
        while !left.is_empty() {
            let written = self.write_vectored(left).await?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            IoSlice::advance_slices(&mut left, written);
        }
        Ok(())
    }

    /// Returns `Pending` once the budget is used up.
    #[inline(always)]
    pub(super) fn poll_budget(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.record.check()?;
        let turn = self.record.writing.poll(cx);
        if turn.is_pending() {
            // If the connection ends now, the answer is truncated, as in a blocked write.
            self.record.block_write();
        }
        turn.map(Ok)
    }

    /// Counts what the stream has taken.
    #[inline(always)]
    pub(super) fn count_written(
        &self,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match written {
            Poll::Pending => {
                self.record.writing.reset();
                self.record.block_write();
            }
            Poll::Ready(Ok(n)) => {
                self.record.writing.charge(n);
                self.record.sent(n);
            }
            Poll::Ready(Err(_)) => {}
        }
        written
    }

    /// Records the time that a flush or a close waits, as for a write.
    fn wait_for<T>(&self, polled: Poll<T>) -> Poll<T> {
        if polled.is_pending() {
            self.record.block();
        } else {
            self.record.unblock();
        }
        polled
    }
}

impl<W: AsyncWrite + Unpin> AsyncWrite for Writer<W> {
    #[inline(always)]
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_budget(cx))?;
        let written = Pin::new(&mut this.io).poll_write(cx, buf);
        this.count_written(written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_budget(cx))?;
        let written = Pin::new(&mut this.io).poll_write_vectored(cx, bufs);
        this.count_written(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.record.check()?;
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        self.wait_for(flushed)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.record.check()?;
        let closed = Pin::new(&mut self.io).poll_close(cx);
        match ready!(self.wait_for(closed)) {
            // The peer has closed the connection, or the output is closed already.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Poll::Ready(Ok(())),
            result => Poll::Ready(result),
        }
    }
}

impl<W> Unpin for Writer<W> {}
