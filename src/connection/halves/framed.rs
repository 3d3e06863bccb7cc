//! Reading in frames: lines, fixed sizes, separators and length prefixes.

use std::future::poll_fn;
use std::io;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_lite::{AsyncBufRead, AsyncRead, Stream};

use super::chunk::CHUNK_BYTES;
use super::{AnyRead, Chunk, Reader};
use crate::connection::Flag;
use crate::framing::{Decoded, FrameDecoder, FrameError, Framing, Length};

/// Reading in frames.
///
/// A frame is at most 64 KiB long, unless [`set_frame_limit`](Self::set_frame_limit) sets another
/// limit. The reader buffers at most one frame of that size, or 64 KiB if the limit is lower. It has
/// no buffer while no part of a frame has arrived.
///
/// All of these methods are **cancel-safe**: the received part of a frame stays in the reader, and
/// any method can be called next. The same holds after [`TooLong`](FrameError::TooLong).
impl<R: AsyncRead + Unpin> Reader<R> {
    /// Reads a line, including the `\n` at its end. Returns `None` at the end of input. (In asyncio:
    /// `readline`.)
    ///
    /// # Errors
    ///
    /// Those of [`FrameError`]. A last line without `\n` is
    /// [`Incomplete`](FrameError::Incomplete), and the error holds it.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_lite::AsyncWriteExt;
    /// use halves::Connection;
    ///
    /// /// Answers each line in capital letters.
    /// async fn upper(mut c: Connection) -> std::io::Result<()> {
    ///     while let Some(mut line) = c.reader.line().await? {
    ///         line.make_ascii_uppercase();
    ///         c.writer.write_all(&line).await?;
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub async fn line(&mut self) -> Result<Option<Vec<u8>>, FrameError> {
        self.next_frame(Framing::LINES).await
    }

    /// Reads up to one of `separators`, including the separator. Returns `None` at the end of input.
    /// (In asyncio: `readuntil`.)
    ///
    /// The separator that ends first counts. The frame limit applies to the bytes before it.
    ///
    /// # Errors
    ///
    /// Those of [`FrameError`].
    ///
    /// # Panics
    ///
    /// If `separators` is empty or contains an empty separator.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::Connection;
    ///
    /// # smol::block_on(async {
    /// let mut c = Connection::new(&b"HELO there\r\nDATA\n"[..], futures_lite::io::sink());
    /// assert_eq!(c.reader.until(&[b" ", b"\r\n"]).await?.unwrap(), b"HELO ");
    /// assert_eq!(c.reader.until(&[b"\r\n", b"\n"]).await?.unwrap(), b"there\r\n");
    /// assert_eq!(c.reader.until(&[b"\r\n", b"\n"]).await?.unwrap(), b"DATA\n");
    /// assert_eq!(c.reader.until(&[b"\r\n"]).await?, None);
    /// # Ok::<(), halves::framing::FrameError>(()) }).unwrap();
    /// ```
    pub async fn until(&mut self, separators: &[&[u8]]) -> Result<Option<Vec<u8>>, FrameError> {
        self.next_frame(Framing::Until(separators)).await
    }

    /// Reads exactly `bytes` bytes. (In asyncio: `readexactly`.)
    ///
    /// Unlike [`read_exact`](futures_lite::AsyncReadExt::read_exact) it loses no bytes when it is
    /// cancelled.
    ///
    /// # Errors
    ///
    /// Those of [`FrameError`]. At the end of input the error is
    /// [`Incomplete`](FrameError::Incomplete), even if no bytes arrived. If `bytes` exceeds the
    /// frame limit, the error is [`TooLong`](FrameError::TooLong), and nothing is read.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::Connection;
    ///
    /// # smol::block_on(async {
    /// let mut c = Connection::new(&b"PNG1234"[..], futures_lite::io::sink());
    /// assert_eq!(c.reader.exactly(3).await?, b"PNG");
    /// # Ok::<(), halves::framing::FrameError>(()) }).unwrap();
    /// ```
    pub async fn exactly(&mut self, bytes: usize) -> Result<Vec<u8>, FrameError> {
        let frame = self.next_frame(Framing::Exactly(bytes)).await?;
        frame.ok_or_else(|| FrameError::Incomplete {
            partial: Vec::new(),
            expected: Some(bytes),
        })
    }

    /// Reads a frame with its length in front, and returns it without the length. Returns `None` at
    /// the end of input.
    ///
    /// # Errors
    ///
    /// Those of [`FrameError`]. A length above the frame limit is
    /// [`TooLong`](FrameError::TooLong), and the frame itself is not read.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::Connection;
    /// use halves::framing::Length;
    ///
    /// # smol::block_on(async {
    /// let mut c = Connection::new(&b"\x00\x05hello"[..], futures_lite::io::sink());
    /// assert_eq!(c.reader.frame(Length::U16Be).await?.unwrap(), b"hello");
    /// assert_eq!(c.reader.frame(Length::U16Be).await?, None);
    /// # Ok::<(), halves::framing::FrameError>(()) }).unwrap();
    /// ```
    pub async fn frame(&mut self, length: Length) -> Result<Option<Vec<u8>>, FrameError> {
        self.next_frame(Framing::Length(length)).await
    }

    /// Returns a [`Stream`] of all frames that follow. It ends at the end of input and after an error.
    /// The reader can be used again after the stream is dropped.
    ///
    /// The stream does not end when the server drains: a handler that waits in it is cut at the drain
    /// deadline, unless its peer ends first. To end in time, call
    /// [`more_or_drain`](Self::more_or_drain) before each [`frame`](Self::frame),
    /// [`line`](Self::line) or similar call.
    ///
    /// # Panics
    ///
    /// If there is no separator, if a separator is empty, or if the framing is
    /// [`Exactly(0)`](Framing::Exactly).
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_lite::StreamExt;
    /// use halves::Connection;
    /// use halves::framing::Framing;
    ///
    /// # smol::block_on(async {
    /// let mut c = Connection::new(&b"one\0two\0"[..], futures_lite::io::sink());
    /// let frames: Vec<_> = c.reader.frames(Framing::Until(&[b"\0"])).try_collect().await?;
    /// assert_eq!(frames, [b"one\0", b"two\0"]);
    /// # Ok::<(), halves::framing::FrameError>(()) }).unwrap();
    /// ```
    pub fn frames<'a>(&'a mut self, framing: impl Into<Framing<'a>>) -> Frames<'a, R> {
        let framing = framing.into();
        let empty = framing == Framing::Exactly(0);
        assert!(!empty, "a stream of frames of 0 bytes never ends");
        let decoder = self.decoder(framing);
        Frames {
            reader: self,
            framing,
            decoder: Some(decoder),
        }
    }

    /// Waits for input, and returns true once there is some. Returns false at the end of input, and
    /// when the server drains and the peer has sent nothing for one second, like
    /// [`read_or_drain`](Self::read_or_drain).
    ///
    /// A handler that calls it between frames ends in time for a drain, and never in the middle of a
    /// frame. For [`Timeouts::min_rate`], the call marks the earlier input as complete.
    ///
    /// Cancel-safe.
    ///
    /// [`Timeouts::min_rate`]: crate::Timeouts::min_rate
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
    /// use halves::framing::Length;
    ///
    /// async fn echo(mut c: Connection) -> std::io::Result<()> {
    ///     while c.reader.more_or_drain().await? {
    ///         if let Some(frame) = c.reader.frame(Length::U8).await? {
    ///             c.writer.write_all(&frame).await?;
    ///         }
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub async fn more_or_drain(&mut self) -> io::Result<bool> {
        self.record.end_message();
        poll_fn(|cx| self.poll_more_or_drain(cx)).await
    }

    /// Polls [`more_or_drain`](Self::more_or_drain).
    pub(crate) fn poll_more_or_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        self.poll_or_drain(cx, |this, cx| {
            let filled = ready!(Pin::new(this).poll_fill_buf(cx))?;
            Poll::Ready(Ok(!filled.is_empty()))
        })
    }

    async fn next_frame(&mut self, framing: Framing<'_>) -> Result<Option<Vec<u8>>, FrameError> {
        let mut decoder = self.decoder(framing);
        poll_fn(|cx| self.poll_frame(cx, &mut decoder)).await
    }

    fn decoder<'f>(&self, framing: Framing<'f>) -> FrameDecoder<'f> {
        FrameDecoder::new(framing, self.frame_limit())
    }

    fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
        decoder: &mut FrameDecoder<'_>,
    ) -> Poll<Result<Option<Vec<u8>>, FrameError>> {
        loop {
            ready!(self.poll_budget(cx))?;
            let max_bytes = match decoder.decode(&self.ahead)? {
                Decoded::Frame { size, prefix } => {
                    let frame = self.ahead[prefix..size].to_vec();
                    self.consume_frame(size);
                    return Poll::Ready(Ok(Some(frame)));
                }
                Decoded::NeedMore { max_bytes } => max_bytes,
            };
            if ready!(self.poll_more(cx, max_bytes))? > 0 {
                continue;
            }
            let partial = self.ahead.to_vec();
            if partial.is_empty() {
                return Poll::Ready(Ok(None));
            }
            self.consume_frame(partial.len());
            let expected = decoder.expected(&partial);
            return Poll::Ready(Err(FrameError::Incomplete { partial, expected }));
        }
    }

    /// Reads more of a frame of at most `max_bytes` bytes. Returns the number of bytes, 0 at the end of
    /// input.
    pub(super) fn poll_more(
        &mut self,
        cx: &mut Context<'_>,
        max_bytes: usize,
    ) -> Poll<io::Result<usize>> {
        self.record.set_partial(!self.ahead.is_empty());
        let mut ahead = mem::take(&mut self.ahead);
        let polled = ahead.poll_append(max_bytes, |buf| {
            self.poll_io(cx, |io, cx| io.poll_read(cx, buf))
        });
        self.ahead = ahead;
        let received = ready!(polled)?;
        self.record.reading.charge(received);
        // Counted at once: the frame may take long, and its peer is not idle meanwhile.
        self.record.received(self.ahead.count(true));
        Poll::Ready(Ok(received))
    }

    /// Reads ahead while the handler waits for something else. Ready when 64 KiB are read, and at the
    /// end of input.
    pub(crate) fn poll_read_ahead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.ahead.len() < CHUNK_BYTES && !self.record.flags.has(Flag::Eof) {
            ready!(self.poll_budget(cx))?;
            let read = self.poll_more(cx, CHUNK_BYTES);
            // The handler does not wait for the rest of a frame.
            self.record.set_partial(false);
            self.record.end_message();
            if read.is_pending() {
                self.record.reading.reset();
            }
            ready!(read)?;
        }
        Poll::Ready(Ok(()))
    }

    /// Accounts for `n` bytes yielded to the handler. Their reads are charged to the budget already.
    pub(super) fn consume_frame(&mut self, n: usize) {
        let counted = self.ahead.counted();
        self.ahead.advance(n);
        if self.ahead.is_empty() {
            self.ahead = Chunk::default();
        }
        self.record.received(n.saturating_sub(counted));
        self.record.reading.charge(0);
    }
}

impl<R> Reader<R> {
    /// Sets the maximum size of a frame in bytes, without its separator or the length in front. The
    /// default is 64 KiB.
    ///
    /// The limit belongs to the connection, so it also applies to readers of a layer above it.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::Connection;
    /// use halves::framing::FrameError;
    ///
    /// # smol::block_on(async {
    /// use futures_lite::AsyncBufReadExt;
    ///
    /// let mut c = Connection::new(&b"too long\n"[..], futures_lite::io::sink());
    /// c.reader.set_frame_limit(4);
    /// let error = c.reader.line().await.unwrap_err();
    /// let FrameError::TooLong { consumed, limit: 4, .. } = error else { panic!("{error}") };
    /// c.reader.consume(consumed);
    /// c.reader.set_frame_limit(100);
    /// assert!(c.reader.line().await?.unwrap().ends_with(b"\n"));
    /// # Ok::<(), FrameError>(()) }).unwrap();
    /// ```
    pub fn set_frame_limit(&mut self, bytes: usize) {
        self.record.set_frame_limit(bytes);
    }

    /// Returns the maximum size of a frame in bytes, without its separator or the length in front.
    ///
    /// # Examples
    ///
    /// ```
    /// let c = halves::Connection::new(futures_lite::io::empty(), futures_lite::io::sink());
    /// assert_eq!(c.reader.frame_limit(), 65_536);
    /// ```
    #[must_use]
    pub fn frame_limit(&self) -> usize {
        self.record.frame_limit()
    }

    /// Returns true if the end of input was read and no received bytes are left.
    ///
    /// # Examples
    ///
    /// ```
    /// # smol::block_on(async {
    /// let mut c = halves::Connection::new(futures_lite::io::empty(), futures_lite::io::sink());
    /// assert!(!c.reader.at_eof(), "nothing was read yet");
    /// assert_eq!(c.reader.line().await?, None);
    /// assert!(c.reader.at_eof());
    /// # Ok::<(), halves::framing::FrameError>(()) }).unwrap();
    /// ```
    #[must_use]
    pub fn at_eof(&self) -> bool {
        self.ahead.is_empty() && self.record.flags.has(Flag::Eof)
    }
}

/// A [`Stream`] of the frames that a [`Reader`] yields, made by [`Reader::frames`].
#[derive(Debug)]
#[must_use = "streams do nothing unless polled"]
pub struct Frames<'a, R = AnyRead> {
    reader: &'a mut Reader<R>,
    framing: Framing<'a>,
    /// The decoder of the next frame; `None` at the end.
    decoder: Option<FrameDecoder<'a>>,
}

impl<R: AsyncRead + Unpin> Stream for Frames<'_, R> {
    type Item = Result<Vec<u8>, FrameError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let Some(decoder) = &mut this.decoder else {
            return Poll::Ready(None);
        };
        let frame = ready!(this.reader.poll_frame(cx, decoder)).transpose();
        let is_open = matches!(frame, Some(Ok(_)));
        this.decoder = is_open.then(|| this.reader.decoder(this.framing));
        Poll::Ready(frame)
    }
}
