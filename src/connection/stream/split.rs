//! One stream that is both, such as TLS, as two halves.

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker, ready};

use atomic_waker::AtomicWaker;
use futures_lite::{AsyncRead, AsyncWrite};

use super::shared::{SharedStream, WakerPair};
use crate::connection::halves::reads_beneath;

/// Splits a stream into two halves, which may be in two tasks.
///
/// Whatever the stream waits for, both halves are woken: a stream whose reading has to write, or
/// whose writing has to read, as TLS does, knows one waker only. What one half comes to hear for the
/// other, that one is woken for when the call is done; in a call that has to wait only where the
/// stream reads from what [`Connection::into_parts`] gave, or wakes its waker itself. Dropping a half
/// ends nothing; the stream is dropped with the second one.
///
/// [`Connection::from_stream`] is the same, with an end in good order.
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
/// let mut heard = [0; 5];
/// let say = writer.write_all(b"hello");
/// future::try_zip(say, reader.read_exact(&mut heard)).await?;
/// assert_eq!(&heard, b"hello");
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
pub fn split<S: AsyncRead + AsyncWrite + Unpin>(stream: S) -> (ReadHalf<S>, WriteHalf<S>) {
    let shared = Arc::new(SplitStream::new(stream));
    (ReadHalf(shared.clone()), WriteHalf(shared))
}

/// The reading half of a stream that was [`split`].
pub struct ReadHalf<S>(Arc<SplitStream<S>>);

/// The writing half of a stream that was [`split`]. Closing it closes the stream's writing side;
/// dropping it does not.
pub struct WriteHalf<S>(pub(super) Arc<SplitStream<S>>);

pub(super) struct SplitStream<S> {
    pub(super) stream: SharedStream<S>,
    /// The reader, then the writer.
    waiting: Arc<WakerPair>,
    /// Wakes both; the only one that the stream ever sees.
    pub(super) waker: Waker,
    /// A read has found the end of input.
    pub(super) ended: AtomicBool,
    /// Its writing side was closed.
    pub(super) closed: AtomicBool,
}

impl<S: Unpin> SplitStream<S> {
    fn new(stream: S) -> Self {
        let waiting = Arc::<WakerPair>::default();
        Self {
            stream: SharedStream::new(stream),
            waker: waiting.clone().into(),
            waiting,
            ended: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        }
    }

    /// Polls for the half that waits at `place`, while the other one may wait at `other`.
    fn poll<T>(
        &self,
        cx: &mut Context<'_>,
        (place, other): (&AtomicWaker, &AtomicWaker),
        poll: impl FnOnce(Pin<&mut S>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let before = reads_beneath();
        // First: what happens during the poll is not to be missed.
        place.register(cx.waker());
        let mut both = Context::from_waker(&self.waker);
        let result = self.stream.poll(|stream| poll(stream, &mut both));
        if result.is_ready() {
            drop(place.take());
        }
        // What the other one waits for may have come to us, and nobody else will tell of it.
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
        let WakerPair { first, second } = &*self.waiting;
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
        let WakerPair { first, second } = &*self.waiting;
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
