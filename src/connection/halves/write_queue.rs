//! The queue of a [`Buffered`](super::Buffered) writer, and how the connection's task sends it.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak};
use std::task::{Context, Poll, Waker, ready};

use futures_lite::AsyncWrite;

use super::Writer;
use crate::connection::Record;
use crate::connection::shared::WakerPair;
use crate::connection::state::SendQueued;

/// The default high water mark. The low one is a quarter of it.
const HIGH_WATER_BYTES: usize = 64 * 1024;

/// A writer with a queue of bytes. Two tasks send from it: that of the [`Buffered`](super::Buffered)
/// writer, and the connection's task whenever the handler waits.
pub(super) struct SharedWriter<W> {
    queue: Mutex<QueueState<W>>,
    /// The wakers of the task that flushes, and of the connection's task.
    wakers: Arc<WakerPair>,
    /// Wakes both tasks. The stream is only polled with this waker.
    waker: Waker,
}

pub(super) struct QueueState<W> {
    /// `None` once [`Buffered::into_inner`](super::Buffered::into_inner) has taken it.
    pub(super) writer: Option<Writer<W>>,
    pub(super) bytes: VecDeque<u8>,
    pub(super) low_water: usize,
    pub(super) high_water: usize,
    /// The queue has exceeded the high water mark, and not yet come down to the low one.
    paused: bool,
    /// The error of a send by the connection's task, until the next call returns it.
    failed: Option<io::Error>,
    /// [`Buffered::close`](super::Buffered::close) was called.
    pub(super) closing: bool,
    closed: bool,
}

/// The state of the queue at which a call is complete.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// At most the low water mark is queued, if the high one was exceeded.
    Low,
    Sent,
    Flushed,
    Closed,
}

impl<W> SharedWriter<W> {
    pub(super) fn new(writer: Writer<W>) -> Self {
        let wakers = Arc::<WakerPair>::default();
        Self {
            queue: Mutex::new(QueueState {
                writer: Some(writer),
                bytes: VecDeque::new(),
                low_water: HIGH_WATER_BYTES / 4,
                high_water: HIGH_WATER_BYTES,
                paused: false,
                failed: None,
                closing: false,
                closed: false,
            }),
            waker: wakers.clone().into(),
            wakers,
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, QueueState<W>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues all pieces, if no more than the high water mark is queued.
    pub(super) fn put(&self, pieces: &[&[u8]]) -> io::Result<()> {
        let mut queue = self.lock();
        let idle = queue.bytes.is_empty();
        queue.put(pieces)?;
        let notify = idle && !queue.bytes.is_empty();
        drop(queue);
        if notify {
            // The connection's task may wait already, if another task writes.
            self.wakers.second.wake();
        }
        Ok(())
    }
}

impl<W: AsyncWrite + Unpin> SharedWriter<W> {
    /// Sends queued bytes in the task of the writer, until the queue is in the state `until`.
    pub(super) fn poll(
        &self,
        cx: &mut Context<'_>,
        record: &Record,
        until: Until,
    ) -> Poll<io::Result<()>> {
        // Registered first, so that no wake during the poll is missed.
        self.wakers.first.register(cx.waker());
        let mut queue = self.lock();
        if let Some(error) = queue.failed.take() {
            return Poll::Ready(Err(error));
        }
        while !queue.bytes.is_empty() {
            // Yields to other tasks even if the stream accepts everything.
            ready!(record.writing.poll(cx));
            let sent = queue.poll_send(&mut Context::from_waker(&self.waker));
            if sent.is_pending() && until == Until::Low && !queue.paused {
                return Poll::Ready(Ok(()));
            }
            ready!(sent)?;
        }
        queue.poll_end(&mut Context::from_waker(&self.waker), until)
    }
}

impl<W> QueueState<W> {
    fn put(&mut self, pieces: &[&[u8]]) -> io::Result<()> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        if self.closing || self.writer.is_none() {
            let closed = "cannot write: the writer is closed";
            return Err(io::Error::new(io::ErrorKind::BrokenPipe, closed));
        }
        let waiting = self.bytes.len();
        if waiting > self.high_water {
            let full = format!("{waiting} bytes wait to be sent: call ready() first");
            return Err(io::Error::new(io::ErrorKind::WouldBlock, full));
        }
        for piece in pieces {
            self.bytes.extend(*piece);
        }
        self.paused |= self.bytes.len() > self.high_water;
        Ok(())
    }
}

impl<W: AsyncWrite + Unpin> QueueState<W> {
    fn writer(&mut self) -> io::Result<Pin<&mut Writer<W>>> {
        let writer = self.writer.as_mut();
        writer
            .map(Pin::new)
            .ok_or_else(|| io::ErrorKind::BrokenPipe.into())
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(writer) = &mut self.writer else {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        };
        let (first, second) = self.bytes.as_slices();
        let slices = [IoSlice::new(first), IoSlice::new(second)];
        match ready!(Pin::new(writer).poll_write_vectored(cx, &slices))? {
            0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            sent => drop(self.bytes.drain(..sent)),
        }
        if self.bytes.is_empty() {
            // Frees the memory of an empty queue.
            self.bytes = VecDeque::new();
        }
        self.paused &= self.bytes.len() > self.low_water;
        Poll::Ready(Ok(()))
    }

    fn poll_end(&mut self, cx: &mut Context<'_>, until: Until) -> Poll<io::Result<()>> {
        if self.closed || matches!(until, Until::Low | Until::Sent) {
            return Poll::Ready(Ok(()));
        }
        ready!(self.writer()?.poll_flush(cx))?;
        if until == Until::Closed {
            ready!(self.writer()?.poll_close(cx))?;
            self.closed = true;
        }
        Poll::Ready(Ok(()))
    }
}

impl<W: AsyncWrite + Send + Unpin> SendQueued for Weak<SharedWriter<W>> {
    fn send_queued(&self, cx: &mut Context<'_>) -> bool {
        let Some(shared) = self.upgrade() else {
            return false;
        };
        shared.wakers.second.register(cx.waker());
        let mut queue = match shared.queue.try_lock() {
            Ok(queue) => queue,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // The holder of the lock may not send, or may have polled the stream before this task
            // was registered. The task therefore tries again.
            Err(TryLockError::WouldBlock) => {
                cx.waker().wake_by_ref();
                return true;
            }
        };
        let paused = queue.paused;
        let mut both = Context::from_waker(&shared.waker);
        while !queue.bytes.is_empty() && queue.failed.is_none() {
            match queue.poll_send(&mut both) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => queue.failed = Some(error),
                Poll::Pending => break,
            }
        }
        let notify = paused != queue.paused || queue.bytes.is_empty() || queue.failed.is_some();
        drop(queue);
        if notify {
            shared.wakers.first.wake();
        }
        true
    }

    fn queued(&self) -> usize {
        let shared = self.upgrade();
        shared.map_or(0, |shared| {
            let queue = shared.queue.try_lock();
            queue.map_or(0, |queue| queue.bytes.len())
        })
    }
}
