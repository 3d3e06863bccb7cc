//! Splitting a stream that is both reader and writer, such as TLS, into two halves.

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker, ready};

use atomic_waker::AtomicWaker;
use futures_lite::{AsyncRead, AsyncWrite};

use crate::connection::halves::reads_beneath;
use crate::connection::shared::{SharedStream, WakerPair};

/// Splits a stream into two halves, which may be used in two tasks.
///
/// The stream is polled with a single waker that wakes the tasks of both halves. This suits a stream
/// such as TLS, in which a read may have to write and a write may have to read. A poll of one half
/// can receive what the other half waits for, so a completed poll also wakes the other half. A poll
/// that returns `Pending` wakes the other half only if the stream has read from a [`WireReader`] of
/// [`Connection::into_parts`], or wakes its waker itself.
///
/// Dropping a half does not end the stream. The stream is dropped with the second half.
/// [`Connection::from_stream`] also ends the stream in order.
///
/// [`Connection::from_stream`]: crate::Connection::from_stream
/// [`Connection::into_parts`]: crate::Connection::into_parts
/// [`WireReader`]: crate::connection::WireReader
///
/// # Examples
///
/// ```
/// use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
///
/// # smol::block_on(async {
/// let (near, far) = async_net::unix::UnixStream::pair()?;
/// let (_, mut writer) = halves::connection::split(near);
/// let (mut reader, _) = halves::connection::split(far);
/// let mut received = [0; 5];
/// let write = writer.write_all(b"hello");
/// future::try_zip(write, reader.read_exact(&mut received)).await?;
/// assert_eq!(&received, b"hello");
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
pub fn split<S: AsyncRead + AsyncWrite + Unpin>(stream: S) -> (ReadHalf<S>, WriteHalf<S>) {
    let shared = Arc::new(SplitStream::new(stream));
    (ReadHalf(shared.clone()), WriteHalf(shared))
}

/// The reading half of a stream, made by [`split`].
pub struct ReadHalf<S>(Arc<SplitStream<S>>);

/// The writing half of a stream, made by [`split`].
///
/// Closing it closes the output of the stream. Dropping it does not.
pub struct WriteHalf<S>(pub(super) Arc<SplitStream<S>>);

pub(super) struct SplitStream<S> {
    pub(super) stream: SharedStream<S>,
    /// The wakers of the reading task and of the writing task.
    wakers: Arc<WakerPair>,
    /// Wakes both tasks. The stream is only polled with this waker.
    pub(super) waker: Waker,
    /// A read has returned the end of input.
    pub(super) ended: AtomicBool,
    /// The output of the stream is closed.
    pub(super) closed: AtomicBool,
}

impl<S: Unpin> SplitStream<S> {
    fn new(stream: S) -> Self {
        let wakers = Arc::<WakerPair>::default();
        Self {
            stream: SharedStream::new(stream),
            waker: wakers.clone().into(),
            wakers,
            ended: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        }
    }

    /// Polls for the half that has its waker in `place`. The other half has its waker in `other`.
    fn poll<T>(
        &self,
        cx: &mut Context<'_>,
        (place, other): (&AtomicWaker, &AtomicWaker),
        poll: impl FnOnce(Pin<&mut S>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let before = reads_beneath();
        // Registered first, so that no wake during the poll is missed.
        place.register(cx.waker());
        let mut both = Context::from_waker(&self.waker);
        let result = self.stream.poll(|stream| poll(stream, &mut both));
        if result.is_ready() {
            drop(place.take());
        }
        // This poll may have received what the other half waits for, and nothing else wakes it.
        if result.is_ready() || before != reads_beneath() {
            other.wake();
        }
        result
    }

    pub(super) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        poll: impl FnOnce(Pin<&mut S>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let WakerPair { first, second } = &*self.wakers;
        let result = self.poll(cx, (first, second), poll);
        if matches!(result, Poll::Ready(Ok(0))) {
            self.ended.store(true, Ordering::Release);
        }
        result
    }

    fn poll_write<T>(
        &self,
        cx: &mut Context<'_>,
        poll: impl FnOnce(Pin<&mut S>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let WakerPair { first, second } = &*self.wakers;
        self.poll(cx, (second, first), poll)
    }

    pub(super) fn poll_close(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>
    where
        S: AsyncWrite,
    {
        if self.closed.load(Ordering::Acquire) {
            return Poll::Ready(Ok(()));
        }
        let result = ready!(self.poll_write(cx, AsyncWrite::poll_close));
        self.closed.store(true, Ordering::Release);
        Poll::Ready(result)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ReadHalf<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.0.poll_read(cx, |stream, cx| stream.poll_read(cx, buf))
    }

    fn poll_read_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        if bufs.iter().all(|buf| buf.is_empty()) {
            return Poll::Ready(Ok(0));
        }
        self.0
            .poll_read(cx, |stream, cx| stream.poll_read_vectored(cx, bufs))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WriteHalf<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0
            .poll_write(cx, |stream, cx| stream.poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0
            .poll_write(cx, |stream, cx| stream.poll_write_vectored(cx, bufs))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_write(cx, AsyncWrite::poll_flush)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_close(cx)
    }
}

impl<S> fmt::Debug for ReadHalf<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadHalf").finish_non_exhaustive()
    }
}

impl<S> fmt::Debug for WriteHalf<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteHalf").finish_non_exhaustive()
    }
}
