//! A buffered writer, which queues bytes up to a mark and sends them while the handler runs.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::mem;
use std::sync::Arc;

use futures_lite::AsyncWrite;

use super::write_queue::{SharedWriter, Until};
use super::{AnyWrite, Writer};
use crate::connection::{Flag, Peer, Record};
use crate::framing::Length;

/// A [`Writer`] with a queue of bytes to send, like asyncio's `StreamWriter`.
///
/// [`write`](Self::write) queues bytes and never waits. [`ready`](Self::ready) sends queued bytes,
/// and so does the connection's task whenever the handler waits for something. On a connection
/// without a server, such as that of a client, only the calls of this type send, and `ready` waits
/// until everything is sent.
///
/// Memory is bounded by two [water marks](Self::water_marks). While more than the high water mark is
/// queued (64 KiB by default), `write` fails. Once the queue has exceeded it, `ready` waits until at
/// most the low water mark (16 KiB by default) is left. An empty queue uses no memory.
///
/// Dropping the writer drops the queued bytes. [`Event::Unsent`](crate::Event::Unsent) reports them,
/// and [`Stats::bytes_unsent`](crate::stats::Stats::bytes_unsent) and [`Peer::bytes_unsent`] count
/// them. A handler that ends with [`close`](Self::close) or [`flush`](Self::flush) drops none.
///
/// All methods except [`into_inner`](Self::into_inner) are **cancel-safe**: queued bytes stay queued,
/// and the method can be called again.
///
/// # Examples
///
/// ```
/// use halves::Connection;
///
/// /// Sends a million numbers, at the speed of the client.
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
    // The connection's task has a weak reference to it.
    queue: Arc<SharedWriter<W>>,
    record: Arc<Record>,
}

impl<W: AsyncWrite + Send + Unpin + 'static> Writer<W> {
    /// Wraps this writer in a [`Buffered`] writer, in which writes do not wait.
    ///
    /// # Examples
    ///
    /// ```
    /// let c = halves::Connection::new(futures_lite::io::empty(), vec![]);
    /// let writer = c.writer.buffered();
    /// assert_eq!(writer.waiting(), 0);
    /// ```
    pub fn buffered(self) -> Buffered<W> {
        let record = self.record().clone();
        let queue = Arc::new(SharedWriter::new(self));
        record.set_queue(Box::new(Arc::downgrade(&queue)));
        Buffered { queue, record }
    }
}

impl<W> Buffered<W> {
    /// Sets the water marks, in bytes.
    ///
    /// [`write`](Self::write) fails while more than `high` bytes are queued. Once the queue has
    /// exceeded `high`, [`ready`](Self::ready) waits until at most `low` bytes are left. The defaults
    /// are 16 KiB and 64 KiB.
    ///
    /// # Panics
    ///
    /// If `low` is greater than `high`.
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
        assert!(low <= high, "the low water mark exceeds the high one");
        let mut queue = self.queue.lock();
        (queue.low_water, queue.high_water) = (low, high);
        drop(queue);
        self
    }

    /// Queues all of `bytes`. Does not wait, and does not send.
    ///
    /// # Errors
    ///
    /// * [`WouldBlock`](io::ErrorKind::WouldBlock) if more than the high water mark is queued
    ///   already. One write may exceed the mark. Calling [`ready`](Self::ready) before each write
    ///   avoids this error.
    /// * [`BrokenPipe`](io::ErrorKind::BrokenPipe) after [`close`](Self::close).
    /// * [`ConnectionAborted`](io::ErrorKind::ConnectionAborted) once the server has ended the
    ///   connection.
    /// * An error of the stream, from a send since the last call.
    ///
    /// On an error, none of `bytes` is queued.
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

    /// Queues several pieces, one after the other; all or none. (In asyncio: `writelines`.)
    ///
    /// # Errors
    ///
    /// Those of [`write`](Self::write).
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

    /// Queues `bytes` as a frame, with its length in front; all or nothing.
    ///
    /// [`Reader::frame`](crate::Reader::frame) reads such frames. The reader's frame limit does not
    /// apply here.
    ///
    /// # Errors
    ///
    /// Those of [`write`](Self::write), and [`InvalidInput`](io::ErrorKind::InvalidInput) if the
    /// length field cannot represent the size of the frame, as in [`Writer::write_frame`].
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

    /// Returns the number of queued bytes.
    ///
    /// # Examples
    ///
    /// ```
    /// let c = halves::Connection::new(futures_lite::io::empty(), vec![]);
    /// let mut writer = c.writer.buffered();
    /// writer.write(b"hello").expect("the queue has room");
    /// assert_eq!(writer.waiting(), 5);
    /// ```
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.queue.lock().bytes.len()
    }

    /// Returns true if nothing more can be written: [`close`](Self::close) was called, or the server
    /// has ended the connection.
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

    /// Returns true if this direction can end alone, as [`Peer::can_half_close`] does.
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

    /// Returns the peer of this connection, with the address of each end.
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
    /// Sends as much as the stream accepts, and waits until the queue has room.
    ///
    /// If the queue has exceeded the high water mark, this waits for the low one. Otherwise it waits
    /// only when the budget is used up. Without a server it waits until everything is sent.
    ///
    /// Cancel-safe.
    ///
    /// # Errors
    ///
    /// Those of the stream, and [`ConnectionAborted`](io::ErrorKind::ConnectionAborted).
    ///
    /// # Examples
    ///
    /// ```
    /// # smol::block_on(async {
    /// let (near, mut far) = halves::listener::memory::pair(64);
    /// let mut writer = near.writer.buffered();
    /// writer.write(b"hello")?;
    /// writer.ready().await?;
    /// assert_eq!(far.reader.exactly(5).await?, b"hello");
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    pub async fn ready(&mut self) -> io::Result<()> {
        // Without a server, no task sends the rest.
        let has_server = self.record.context().is_some();
        self.until(if has_server { Until::Low } else { Until::Sent })
            .await
    }

    /// Sends all queued bytes, and flushes the stream, so that they leave this process.
    ///
    /// Cancel-safe.
    ///
    /// # Errors
    ///
    /// Those of [`ready`](Self::ready).
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

    /// Sends all queued bytes, and ends the output. The peer reads the end of input, and may still
    /// write.
    ///
    /// Cancel-safe. Nothing can be written after the first call, even if it is cancelled.
    ///
    /// # Errors
    ///
    /// * [`Unsupported`](io::ErrorKind::Unsupported) if this direction
    ///   [cannot](Self::can_write_eof) end alone. The call then has no effect.
    /// * Those of [`ready`](Self::ready).
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
            let unsupported = "this stream cannot end one direction alone";
            return Err(io::Error::new(io::ErrorKind::Unsupported, unsupported));
        }
        self.close().await
    }

    /// Sends all queued bytes, and closes the writer. A second call returns `Ok`.
    ///
    /// Completes when the kernel has all bytes. The peer reads the end of input, where the stream
    /// supports it.
    ///
    /// Cancel-safe. Nothing can be written after the first call, even if it is cancelled.
    ///
    /// # Errors
    ///
    /// Those of [`ready`](Self::ready).
    ///
    /// # Examples
    ///
    /// ```
    /// # smol::block_on(async {
    /// let c = halves::Connection::new(futures_lite::io::empty(), vec![]);
    /// let mut writer = c.writer.buffered();
    /// writer.write(b"hello")?;
    /// writer.close().await?;
    /// assert_eq!((writer.waiting(), c.peer.bytes_out()), (0, 5));
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    pub async fn close(&mut self) -> io::Result<()> {
        self.queue.lock().closing = true;
        self.until(Until::Closed).await
    }

    /// [Flushes](Self::flush) everything, and returns the underlying writer, for example for
    /// [`Connection::upgrade`](crate::Connection::upgrade).
    ///
    /// Not cancel-safe: a cancelled call drops the writer and the queued bytes.
    ///
    /// # Errors
    ///
    /// Those of [`ready`](Self::ready). The writer and the queued bytes are dropped then.
    ///
    /// # Examples
    ///
    /// ```
    /// # smol::block_on(async {
    /// let mut c = halves::Connection::new(futures_lite::io::empty(), vec![]);
    /// let mut writer = c.writer.buffered();
    /// writer.write(b"hello")?;
    /// c.writer = writer.into_inner().await?;
    /// assert_eq!(c.peer.bytes_out(), 5);
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
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
        // The bytes are taken out first, so that the task does not send what is reported as unsent.
        let unsent = mem::take(&mut self.queue.lock().bytes);
        if !unsent.is_empty() {
            self.record.report_dropped(unsent.len());
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
