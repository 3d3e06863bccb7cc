//! Reading in frames: a line, so many bytes, what a separator ends or a length begins.

use std::future::poll_fn;
use std::io;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_lite::{AsyncBufRead, AsyncRead, Stream};

use super::{AnyRead, Chunk, Reader};
use crate::connection::Flag;
use crate::framing::{Decoded, FrameDecoder, FrameError, Framing, Length};

/// Reading in frames.
///
/// A frame is at most 64 KiB long, unless [`set_frame_limit`](Self::set_frame_limit) says
/// otherwise; a reader holds no more than that, 64 KiB at least, and nothing when nothing of a
/// frame has come. All of these calls are **cancel-safe**: what has come of a frame stays in the
/// reader, and the call can be made again, or any other; so it is with one that was
/// [`TooLong`](FrameError::TooLong).
impl<R: AsyncRead + Unpin> Reader<R> {
    /// A line, with the `\n` at its end; none at the end of input. (asyncio's `readline`.)
    ///
    /// # Errors
    ///
    /// Those of [`FrameError`]. A last line that has no end is
    /// [`Incomplete`](FrameError::Incomplete), and is in the error.
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

    /// Everything up to one of these separators, which is at the end of it; none at the end of input.
    /// (asyncio's `readuntil`.)
    ///
    /// Of several, the one counts that ends first. The limit is on what is before it.
    ///
    /// # Errors
    ///
    /// Those of [`FrameError`].
    ///
    /// # Panics
    ///
    /// When there is no separator, or an empty one.
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

    /// So many bytes. (asyncio's `readexactly`.) Unlike
    /// [`read_exact`](futures_lite::AsyncReadExt::read_exact) it loses nothing when it is cancelled.
    ///
    /// # Errors
    ///
    /// Those of [`FrameError`]; at the end of input it is [`Incomplete`](FrameError::Incomplete),
    /// also where nothing came, and more than the limit is [`TooLong`](FrameError::TooLong) before
    /// anything is read.
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

    /// As many bytes as the number in front of them says, without the number; none at the end of
    /// input.
    ///
    /// # Errors
    ///
    /// Those of [`FrameError`]; a number above the limit is [`TooLong`](FrameError::TooLong) before
    /// what it announces is read.
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

    /// All frames to come, as a [`Stream`], which ends at the end of input and after an error. The
    /// reader can be used again when it is dropped.
    ///
    /// It does not hear that the server drains: a handler that waits in it is cut at the deadline,
    /// unless its peer ends. One that is to hear it asks [`more_or_drain`](Self::more_or_drain) before
    /// each [`frame`](Self::frame), [`line`](Self::line) or their like.
    ///
    /// # Panics
    ///
    /// When there is no separator, or an empty one; and when a frame would have exactly 0 bytes.
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
        assert!(!empty, "frames of 0 bytes have no end");
        let decoder = self.decoder(framing);
        Frames {
            reader: self,
            framing,
            decoder: Some(decoder),
        }
    }

    /// Waits until there is something to read, and says whether: `false` at the end of input, and
    /// where [`read_or_drain`](Self::read_or_drain) would say so, because the server is draining and
    /// the peer has been quiet. Called between frames, it ends a handler in time, and never in the
    /// middle of one. What was read before is complete then, for [`Timeouts::min_rate`].
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

    /// Whether there is something to read, and no drain that ends the handler.
    pub(super) fn poll_more_or_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
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
            let most = match decoder.decode(&self.ahead)? {
                Decoded::Frame { size, prefix } => {
                    let frame = self.ahead[prefix..size].to_vec();
                    self.pass(size);
                    return Poll::Ready(Ok(Some(frame)));
                }
                Decoded::NeedMore { most } => most,
            };
            if ready!(self.poll_more(cx, most))? > 0 {
                continue;
            }
            let partial = self.ahead.to_vec();
            if partial.is_empty() {
                return Poll::Ready(Ok(None));
            }
            self.pass(partial.len());
            let expected = decoder.expected(&partial);
            return Poll::Ready(Err(FrameError::Incomplete { partial, expected }));
        }
    }

    /// Adds to what has come of a frame of `most` bytes at most, and says how much; 0 at the end of
    /// input.
    fn poll_more(&mut self, cx: &mut Context<'_>, most: usize) -> Poll<io::Result<usize>> {
        self.record.set_partial(!self.ahead.is_empty());
        let mut ahead = mem::take(&mut self.ahead);
        let polled =
            ahead.poll_append(most, |buf| self.poll_io(cx, |io, cx| io.poll_read(cx, buf)));
        self.ahead = ahead;
        let came = ready!(polled)?;
        self.record.reading.charge(came);
        // At once: the whole may take long, and its peer is not idle.
        self.record.received(self.ahead.count(true));
        Poll::Ready(Ok(came))
    }

    /// So many bytes are the handler's now. The reading of them was charged already.
    fn pass(&mut self, n: usize) {
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
    /// How many bytes a frame may have at most, without its separator or the length in front. The
    /// default is 64 KiB.
    ///
    /// It belongs to the connection: what reads from a layer above it has the same limit.
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

    /// How many bytes a frame may have at most.
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

    /// Whether the end of input was read, and nothing is left before it.
    ///
    /// # Examples
    ///
    /// ```
    /// # smol::block_on(async {
    /// let mut c = halves::Connection::new(futures_lite::io::empty(), futures_lite::io::sink());
    /// assert!(!c.reader.at_eof(), "nobody has looked");
    /// assert_eq!(c.reader.line().await?, None);
    /// assert!(c.reader.at_eof());
    /// # Ok::<(), halves::framing::FrameError>(()) }).unwrap();
    /// ```
    #[must_use]
    pub fn at_eof(&self) -> bool {
        self.ahead.is_empty() && self.record.flags.has(Flag::Eof)
    }
}

/// The frames that a [`Reader`] yields: see [`Reader::frames`].
///
/// # Examples
///
/// See [`Reader::frames`].
#[derive(Debug)]
#[must_use = "streams do nothing unless polled"]
pub struct Frames<'a, R = AnyRead> {
    reader: &'a mut Reader<R>,
    framing: Framing<'a>,
    /// For the next frame; none at the end.
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
        let goes_on = matches!(frame, Some(Ok(_)));
        this.decoder = goes_on.then(|| this.reader.decoder(this.framing));
        Poll::Ready(frame)
    }
}
