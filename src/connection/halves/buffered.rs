//! Writing that need not wait: bytes are kept up to a mark, and sent while the handler goes on.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::mem;
use std::sync::Arc;

use futures_lite::AsyncWrite;

use super::write_queue::{Until, WriteQueue};
use super::{AnyWrite, Writer};
use crate::connection::{Flag, Peer, Record};
use crate::framing::Length;

/// A [`Writer`] that keeps what the stream does not take yet, as asyncio's `StreamWriter` does.
///
/// [`write`](Self::write) never waits. What it keeps is sent by [`ready`](Self::ready), and by the
/// connection's task whenever the handler waits for something, so that nothing lies there until the
/// next call. (Where no server has the connection, such as at a client, nobody else sends, and a drain
/// waits until all is sent.) Memory is bounded: above the high water mark, 64 KiB unless
/// [set](Self::water_marks), nothing more is taken in, and a drain waits until at most the low
/// one, 16 KiB, is left. While nothing is kept, no memory is.
///
/// What is still kept when it is dropped is lost, as the handler did not wait for it. That is told
/// by [`Event::Unsent`](crate::Event::Unsent), and counted by
/// [`Stats::bytes_unsent`](crate::stats::Stats::bytes_unsent) and [`Peer::bytes_unsent`]. A handler that ends
/// with [`close`](Self::close) or [`flush`](Self::flush) loses nothing.
///
/// All of its calls but [`into_inner`](Self::into_inner) are **cancel-safe**: what was kept is kept on,
/// and the call can be made again.
///
/// # Examples
///
/// ```
/// use halves::Connection;
///
/// /// Counts for the client, who may be slow.
/// async fn count(c: Connection) -> std::io::Result<()> {
///     let mut writer = c.writer.buffered();
///     for n in 0..1_000_000 {
///         writer.write(format!("{n}\n").as_bytes())?;
///         writer.ready().await?;
///     }
///     writer.close().await
/// }
/// ```
pub struct Buffered<W = AnyWrite> {
    // Shared with the connection's task, which does not keep it alive.
    queue: Arc<WriteQueue<W>>,
    record: Arc<Record>,
}

impl<W: AsyncWrite + Send + Unpin + 'static> Writer<W> {
    /// This writer, with a buffer before it, for writing that need not wait.
    ///
    /// # Examples
    ///
    /// See [`Buffered`].
    pub fn buffered(self) -> Buffered<W> {
        let record = self.record().clone();
        let queue = Arc::new(WriteQueue::new(self));
        record.set_queue(Box::new(Arc::downgrade(&queue)));
        Buffered { queue, record }
    }
}

impl<W> Buffered<W> {
    /// The water marks, in bytes: [`write`](Self::write) takes nothing in while more than `high` are
    /// kept, and [`ready`](Self::ready) then waits until at most `low` are left.
    ///
    /// # Panics
    ///
    /// When `low` is more than `high`.
    ///
    /// # Examples
    ///
    /// ```
    /// let c = halves::Connection::new(futures_lite::io::empty(), vec![]);
    /// let writer = c.writer.buffered().water_marks(0, 1024);
    /// # drop(writer);
    /// ```
    #[must_use]
    pub fn water_marks(self, low: usize, high: usize) -> Self {
        assert!(low <= high, "the low water mark is not above the high one");
        let mut queue = self.queue.lock();
        (queue.low_water, queue.high_water) = (low, high);
        drop(queue);
        self
    }

    /// Keeps these bytes, whole, to be sent. It does not wait, and leaves the sending to others: see
    /// [`Buffered`].
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) when more than the high water mark is kept already,
    /// which [`ready`](Self::ready) before each write avoids; one write may go above it.
    /// [`BrokenPipe`](io::ErrorKind::BrokenPipe) after [`close`](Self::close). An error of the
    /// stream, with what was sent since the last call. Nothing of `bytes` is kept then.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io::ErrorKind;
    ///
    /// let c = halves::Connection::new(futures_lite::io::empty(), vec![]);
    /// let mut writer = c.writer.buffered().water_marks(0, 4);
    /// writer.write(b"hello")?;
    /// assert_eq!(writer.write(b", world").unwrap_err().kind(), ErrorKind::WouldBlock);
    /// assert_eq!(writer.waiting(), 5);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_several(&[bytes])
    }

    /// Keeps these bytes, one after the other, to be sent; all or none. (asyncio's `writelines`.)
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    ///
    /// # Examples
    ///
    /// ```
    /// # smol::block_on(async {
    /// let c = halves::Connection::new(futures_lite::io::empty(), vec![]);
    /// let mut writer = c.writer.buffered();
    /// writer.write_several(&[b"HTTP/1.0 ", b"204", b" No Content\r\n\r\n"])?;
    /// writer.close().await?;
    /// assert_eq!(c.peer.bytes_out(), 27);
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    pub fn write_several(&mut self, pieces: &[&[u8]]) -> io::Result<()> {
        self.record.check()?;
        self.queue.put(pieces)
    }

    /// Keeps these bytes as a frame, with the length in front, to be sent; all or nothing. The mirror of
    /// [`Reader::frame`](crate::Reader::frame), whose limit does not count here.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write), and as [`Writer::write_frame`] when there are more bytes than the
    /// length can say.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::framing::Length;
    ///
    /// let c = halves::Connection::new(futures_lite::io::empty(), vec![]);
    /// let mut writer = c.writer.buffered();
    /// writer.write_frame(Length::U8, b"hello")?;
    /// assert_eq!(writer.waiting(), 6);
    /// assert!(writer.write_frame(Length::U8, &[0; 256]).is_err());
    /// # std::io::Result::Ok(())
    /// ```
    pub fn write_frame(&mut self, length: Length, bytes: &[u8]) -> io::Result<()> {
        let mut room = [0; 4];
        let prefix = length.prefix(bytes.len(), &mut room)?;
        self.write_several(&[prefix, bytes])
    }

    /// How many bytes are kept.
    ///
    /// # Examples
    ///
    /// See [`write`](Self::write).
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.queue.lock().bytes.len()
    }

    /// Whether nothing more can be written: the end is said, or the server has ended the connection.
    ///
    /// # Examples
    ///
    /// ```
    /// # smol::block_on(async {
    /// let c = halves::Connection::new(futures_lite::io::empty(), vec![]);
    /// let mut writer = c.writer.buffered();
    /// assert!(!writer.is_closing());
    /// writer.close().await?;
    /// assert!(writer.is_closing());
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.queue.lock().closing || self.record.check().is_err()
    }

    /// Whether the stream can say the end of this direction alone: see
    /// [`Peer::can_half_close`].
    ///
    /// # Examples
    ///
    /// ```
    /// let c = halves::Connection::new(futures_lite::io::empty(), vec![]);
    /// assert!(c.writer.buffered().can_write_eof());
    /// ```
    #[must_use]
    pub fn can_write_eof(&self) -> bool {
        !self.record.flags.has(Flag::NoHalfClose)
    }

    /// Who is at the other end: its [`endpoint`](Peer::endpoint), and [`local`](Peer::local) of ours.
    ///
    /// # Examples
    ///
    /// ```
    /// let c = halves::Connection::new(futures_lite::io::empty(), vec![]);
    /// assert_eq!(c.writer.buffered().peer().to_string(), "unknown");
    /// ```
    #[must_use]
    pub fn peer(&self) -> Peer {
        Peer::of(&self.record)
    }
}

impl<W: AsyncWrite + Unpin> Buffered<W> {
    /// Sends what the stream takes. If more than the high water mark was kept, this waits until at
    /// most the low one is left; else it only waits where it is the turn of others.
    ///
    /// Cancel-safe.
    ///
    /// # Errors
    ///
    /// Those of the stream, and [`ConnectionAborted`](io::ErrorKind::ConnectionAborted).
    ///
    /// # Examples
    ///
    /// See [`Buffered`].
    pub async fn ready(&mut self) -> io::Result<()> {
        // Where no task of a server's sends the rest.
        let driven = self.record.context().is_some();
        self.until(if driven { Until::Low } else { Until::Sent })
            .await
    }

    /// Sends everything, and has it leave all buffers that this process has.
    ///
    /// Cancel-safe.
    ///
    /// # Errors
    ///
    /// As [`ready`](Self::ready).
    ///
    /// # Examples
    ///
    /// ```
    /// # smol::block_on(async {
    /// let (near, far) = halves::listener::memory::pair(64);
    /// let mut writer = near.writer.buffered();
    /// writer.write(b"hello")?;
    /// writer.flush().await?;
    /// let mut reader = far.reader;
    /// assert_eq!(reader.exactly(5).await?, b"hello");
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    pub async fn flush(&mut self) -> io::Result<()> {
        self.until(Until::Flushed).await
    }

    /// Sends everything, and says end of input to the peer, who may still write.
    ///
    /// Cancel-safe; nothing can be written after it was begun.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](io::ErrorKind::Unsupported) where the stream
    /// [cannot](Self::can_write_eof) say the end of one direction alone; nothing is changed then. As
    /// [`ready`](Self::ready).
    ///
    /// # Examples
    ///
    /// ```
    /// # smol::block_on(async {
    /// let (near, mut far) = halves::listener::memory::pair(64);
    /// let mut writer = near.writer.buffered();
    /// writer.write(b"all of it\n")?;
    /// writer.write_eof().await?;
    /// assert_eq!(far.reader.line().await?.unwrap(), b"all of it\n");
    /// assert_eq!(far.reader.line().await?, None);
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    pub async fn write_eof(&mut self) -> io::Result<()> {
        if !self.can_write_eof() {
            let whole = "this stream cannot end one direction alone";
            return Err(io::Error::new(io::ErrorKind::Unsupported, whole));
        }
        self.close().await
    }

    /// Sends everything, and ends this half: complete when the kernel has all of it, and the peer is
    /// told the end, where the stream can. A second time it is `Ok`.
    ///
    /// Cancel-safe; nothing can be written after it was begun.
    ///
    /// # Errors
    ///
    /// As [`ready`](Self::ready).
    ///
    /// # Examples
    ///
    /// See [`Buffered`].
    pub async fn close(&mut self) -> io::Result<()> {
        self.queue.lock().closing = true;
        self.until(Until::Closed).await
    }

    /// The writer itself, when everything is [flushed](Self::flush): for a layer that takes over.
    ///
    /// # Errors
    ///
    /// As [`ready`](Self::ready). What is kept is lost then, and when this is cancelled.
    ///
    /// # Examples
    ///
    /// See [`Connection::upgrade`](crate::Connection::upgrade).
    pub async fn into_inner(mut self) -> io::Result<Writer<W>> {
        self.flush().await?;
        let writer = self.queue.lock().writer.take();
        writer.ok_or_else(|| io::ErrorKind::BrokenPipe.into())
    }

    async fn until(&mut self, until: Until) -> io::Result<()> {
        poll_fn(|cx| self.queue.poll(cx, &self.record, until)).await
    }
}

impl<W> Drop for Buffered<W> {
    fn drop(&mut self) {
        // Taken: what is told as lost is not sent by the task in this moment.
        let lost = mem::take(&mut self.queue.lock().bytes);
        if !lost.is_empty() {
            self.record.report_dropped(lost.len());
        }
    }
}

impl<W> fmt::Debug for Buffered<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffered")
            .field("waiting", &self.waiting())
            .finish_non_exhaustive()
    }
}
